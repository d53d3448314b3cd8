#include "region.h"

#include <stdlib.h>
#include <string.h>

#include "platform/error.h"

#define DEFAULT_FRAME_BYTES (UINT64_C(64) << 20)
#define DEFAULT_WINDOW_BYTES (UINT64_C(4) << 20)

void zcbi_region_reference(struct region *region)
{
    atomic_fetch_add(&region->references, 1); /* partner: zcbi_region_release */
}

void zcbi_region_release(struct region *region)
{
    if (!region || atomic_fetch_sub(&region->references, 1) != 1) /* partner: zcbi_region_release */
        return;
    for (int i = 0; i < BELLS; i++)
        zcbi_plat_close(region->bells[i]);
    zcbi_plat_memory_release_handle(&region->memory);
    zcbi_plat_memory_unmap(&region->memory);
    free(region);
}

static struct region *region_allocate(void)
{
    struct region *region = calloc(1, sizeof(*region));
    if (!region)
        return NULL;
    atomic_init(&region->references, 1);
    region->memory.handle = PLAT_NO_HANDLE;
    for (int i = 0; i < BELLS; i++)
        region->bells[i] = PLAT_NO_HANDLE;
    return region;
}

/* Commits the pages that are touched from the start: header, control pages and return rings. */
static zcb_error commit_controls(struct region *region)
{
    const struct geometry *geometry = &region->geometry;
    zcb_error error = zcbi_plat_memory_commit(&region->memory, 0, PLAT_PAGE_BYTES);
    for (int i = 0; i < 2 && !error; i++)
        error = zcbi_plat_memory_commit(&region->memory, (size_t)geometry->control_at[i],
                                        PLAT_PAGE_BYTES + RETURNS_BYTES);
    return error;
}

/* Makes sure that the pages which this end touches without a descriptor exist, whether or not the
 * opener has committed them. */
static zcb_error ensure_controls(const struct region *region)
{
    const struct geometry *geometry = &region->geometry;
    zcb_error error = zcbi_plat_memory_ensure(&region->memory, 0, PLAT_PAGE_BYTES);
    for (int i = 0; i < 2 && !error; i++)
        error = zcbi_plat_memory_ensure(&region->memory, (size_t)geometry->control_at[i],
                                        (size_t)(geometry->data_at[i] - geometry->control_at[i]));
    return error;
}

/* ---------------------------------------------------------------- making a region */

static zcb_error create_memory(struct region *region)
{
    zcb_error error =
        zcbi_plat_memory_create((size_t)region->geometry.region_bytes, &region->memory);
    if (!error)
        error = commit_controls(region);
    if (!error)
        error = ensure_controls(region);
    for (int i = 0; i < BELLS && !error; i++)
        error = zcbi_plat_event_create(&region->bells[i]);
    if (error)
        return error;
    *(struct region_header *)region->memory.base = (struct region_header){
        .magic = LAYOUT_MAGIC,
        .version = LAYOUT_VERSION,
        .header_bytes = sizeof(struct region_header),
        .frame_bytes = region->geometry.frame_bytes,
        .window_bytes = region->geometry.window_bytes,
    };
    return ZCB_OK;
}

zcb_error zcbi_region_create(const zcb_channel_options *options, struct region **region)
{
    uint64_t frame_bytes = options ? options->frame_bytes : 0;
    uint64_t window_bytes = options ? options->window_bytes : 0;
    struct region *made = region_allocate();
    if (!made)
        return ZCB_ERR_NO_MEMORY;
    zcb_error error =
        zcbi_geometry_init(&made->geometry, frame_bytes ? frame_bytes : DEFAULT_FRAME_BYTES,
                           window_bytes ? window_bytes : DEFAULT_WINDOW_BYTES);
    if (!error)
        error = create_memory(made);
    if (error) {
        zcbi_region_release(made);
        return error;
    }
    *region = made;
    return ZCB_OK;
}

void zcbi_region_handles(const struct region *region, struct region_handles *handles)
{
    handles->frame_bytes = region->geometry.frame_bytes;
    handles->window_bytes = region->geometry.window_bytes;
    handles->memory = region->memory.handle;
    memcpy(handles->bells, region->bells, sizeof(handles->bells));
}

/* ---------------------------------------------------------------- attaching to a region */

static zcb_error check_header(const struct region *region)
{
    struct region_header header;
    memcpy(&header, region->memory.base, sizeof(header));
    if (header.magic != LAYOUT_MAGIC)
        return ZCB_ERR_PROTOCOL;
    if (header.version != LAYOUT_VERSION)
        return ZCB_ERR_VERSION;
    bool same = header.header_bytes == sizeof(header) &&
                header.frame_bytes == region->geometry.frame_bytes &&
                header.window_bytes == region->geometry.window_bytes;
    return same ? ZCB_OK : ZCB_ERR_PROTOCOL;
}

static zcb_error attach_region(struct region *region, const struct region_handles *handles)
{
    if (zcbi_geometry_init(&region->geometry, handles->frame_bytes, handles->window_bytes))
        return ZCB_ERR_PROTOCOL;
    for (int i = 0; i < BELLS; i++)
        if (!zcbi_plat_is_event(handles->bells[i]))
            return ZCB_ERR_PROTOCOL;
    zcb_error error = zcbi_plat_memory_attach(
        handles->memory, (size_t)region->geometry.region_bytes, &region->memory);
    if (!error)
        error = ensure_controls(region);
    return error ? error : check_header(region);
}

/* Marks the joiner's end closed. Needs no mapping: there may be no memory for one. */
static void mark_closed(plat_handle memory, const plat_handle *bells,
                        const struct geometry *geometry)
{
    uint64_t rx = geometry->control_at[0] + offsetof(struct stream_control, consumer_closed);
    uint64_t tx = geometry->control_at[1] + offsetof(struct stream_control, producer_closed);
    zcbi_plat_memory_poke(memory, (size_t)rx, 1);
    zcbi_plat_memory_poke(memory, (size_t)tx, 1);
    for (int i = 0; i < BELLS; i++)
        zcbi_plat_event_set(bells[i]);
}

void zcbi_region_mark_closed(struct region *region)
{
    mark_closed(region->memory.handle, region->bells, &region->geometry);
}

void zcbi_region_refuse(const struct region_handles *handles)
{
    struct geometry geometry;
    if (!zcbi_geometry_init(&geometry, handles->frame_bytes, handles->window_bytes))
        mark_closed(handles->memory, handles->bells, &geometry);
    zcbi_plat_close(handles->memory);
    for (int i = 0; i < BELLS; i++)
        zcbi_plat_close(handles->bells[i]);
}

zcb_error zcbi_region_attach(const struct region_handles *handles, struct region **region)
{
    struct region *made = region_allocate();
    if (!made) {
        zcbi_region_refuse(handles);
        return ZCB_ERR_NO_MEMORY;
    }
    made->memory.handle = handles->memory;
    memcpy(made->bells, handles->bells, sizeof(made->bells));
    zcb_error error = attach_region(made, handles);
    if (error) {
        if (zcbi_error_is_shortage(error))
            zcbi_region_mark_closed(made);
        zcbi_region_release(made);
        return error;
    }
    *region = made;
    return ZCB_OK;
}
