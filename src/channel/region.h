/* The memory that the two ends of a channel share, and its doorbells. */
#ifndef ZCB_REGION_H
#define ZCB_REGION_H

#include "layout.h"

/* Of stream 0 and stream 1: something is there, there is room again; of stream 1: something is there for the
 * standby thread. */
enum { BELL_DATA_0, BELL_ROOM_0, BELL_DATA_1, BELL_ROOM_1, BELL_STANDBY_1, BELLS };

/* The mapping and its bells; both ends of an in-process channel share one. */
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

/* Makes a region of these sizes (options may be NULL), with one reference. ZCB_ERR_INVALID for sizes out of
 * the public bounds, ZCB_ERR_NO_MEMORY, ZCB_ERR_NO_HANDLES. */
zcb_error zcbi_region_create(const zcb_channel_options *options, struct region **region);
/* Maps one that another process made. The handles are taken over, also on failure. Where something is short
 * here, both streams are closed first, so that the other process does not wait. */
zcb_error zcbi_region_attach(const struct region_handles *handles, struct region **region);
/* Closes both streams of a region that is not mapped here, and its handles. */
void zcbi_region_refuse(const struct region_handles *handles);
/* Closes both streams of a region that was attached and finds no end to belong to. */
void zcbi_region_say_closed(struct region *region);
void zcbi_region_reference(struct region *region);
/* Gives a reference up. NULL is ignored. */
void zcbi_region_release(struct region *region);
/* What another process attaches it by; the handles stay the region's. */
void zcbi_region_handles(const struct region *region, struct region_handles *handles);

#endif
