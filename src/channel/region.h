/* The memory that the two ends of a channel share, and its doorbells. */
#ifndef ZCB_REGION_H
#define ZCB_REGION_H

#include "layout.h"

/* Of each stream: there is data; there is room again. Stream 1, which the engine's process sends
 * on, has one more for a standby thread: there is data. */
enum { BELL_DATA_0, BELL_ROOM_0, BELL_DATA_1, BELL_ROOM_1, BELL_STANDBY_1, BELLS };

/* The mapping and its bells. Both ends of an in-process channel share one. */
struct region {
    _Atomic uint32_t references;
    struct geometry geometry;
    plat_memory memory;
    plat_handle bells[BELLS];
};

/* A region as it is handed from process to process. */
struct region_handles {
    uint64_t frame_bytes;
    uint64_t window_bytes;
    plat_handle memory;
    plat_handle bells[BELLS];
};

/* Makes a region of these sizes (options may be NULL), with one reference. ZCB_ERR_INVALID for
 * sizes out of the public bounds, ZCB_ERR_NO_MEMORY, _NO_HANDLES, _SYSTEM. */
zcb_error zcbi_region_create(const zcb_channel_options *options, struct region **region);
/* Maps a region that another process made, with one reference. Takes over the handles, also on
 * failure. ZCB_ERR_PROTOCOL for memory or bells that are not what they should be, ZCB_ERR_VERSION,
 * ZCB_ERR_NO_MEMORY, _NO_HANDLES, _SYSTEM. After one of the last three this end is marked closed,
 * so that the other process does not wait. */
zcb_error zcbi_region_attach(const struct region_handles *handles, struct region **region);
/* Marks this end of a region closed that is not mapped here, and closes the handles. */
void zcbi_region_refuse(const struct region_handles *handles);
/* Marks this end of a region closed that was attached, but has no channel. */
void zcbi_region_mark_closed(struct region *region);
void zcbi_region_reference(struct region *region);
/* Drops a reference. region may be NULL. */
void zcbi_region_release(struct region *region);
/* Fills in what another process attaches it by. The handles stay the region's. */
void zcbi_region_handles(const struct region *region, struct region_handles *handles);

#endif
