#include "frame.h"

#include <stdlib.h>
#include <string.h>

#define GRAIN_BYTES 64u /* chunks are whole multiples of a cache line */

zcb_error zcbi_frame_init(struct frame *frame, const struct geometry *geometry,
                          const plat_memory *memory, uint64_t data_at)
{
    *frame = (struct frame){.geometry = geometry, .memory = memory, .data_at = data_at};
    uint64_t units = (geometry->frame_bytes + geometry->window_bytes) / COMMIT_BYTES;
    frame->chunks = malloc(CHUNKS * sizeof(*frame->chunks));
    frame->free_ids = malloc(CHUNKS * sizeof(*frame->free_ids));
    frame->free_pieces = malloc(geometry->pieces * sizeof(*frame->free_pieces));
    frame->free_extents = malloc((CHUNKS + 1) * sizeof(*frame->free_extents));
    frame->committed = calloc((size_t)units, 1);
    if (!frame->chunks || !frame->free_ids || !frame->free_pieces || !frame->free_extents ||
        !frame->committed) {
        zcbi_frame_destroy(frame);
        return ZCB_ERR_NO_MEMORY;
    }
    for (uint32_t piece = geometry->pieces; piece-- > 0;)
        frame->free_pieces[frame->free_piece_count++] = piece;
    memset(frame->chunks, 0, geometry->pieces * sizeof(*frame->chunks));
    frame->used_ids = geometry->pieces;
    frame->free_extents[0] = (struct extent){0, geometry->frame_bytes};
    frame->free_extent_count = 1;
    return ZCB_OK;
}

static void free_freed_list(struct freed_chunk *freed)
{
    while (freed) {
        struct freed_chunk *next = freed->next;
        free(freed);
        freed = next;
    }
}

void zcbi_frame_destroy(struct frame *frame)
{
    free_freed_list(atomic_load(&frame->freed)); /* partner: zcbi_frame_free_later */
    free(frame->chunks);
    free(frame->free_ids);
    free(frame->free_pieces);
    free(frame->free_extents);
    free(frame->committed);
    *frame = (struct frame){0};
}

static void remove_extent(struct frame *frame, uint32_t at)
{
    frame->free_extent_count--;
    memmove(&frame->free_extents[at], &frame->free_extents[at + 1],
            (frame->free_extent_count - at) * sizeof(struct extent));
}

static uint64_t whole_grains(uint64_t bytes)
{
    return (bytes + GRAIN_BYTES - 1) / GRAIN_BYTES * GRAIN_BYTES;
}

bool zcbi_frame_allocate(struct frame *frame, uint64_t bytes, uint32_t *chunk)
{
    bool out_of_ids = frame->free_id_count == 0 && frame->used_ids == CHUNKS;
    if (bytes > frame->geometry->frame_bytes || out_of_ids)
        return false;
    uint64_t grains = whole_grains(bytes);
    for (uint32_t i = 0; i < frame->free_extent_count; i++) {
        struct extent *extent = &frame->free_extents[i];
        if (extent->bytes < grains)
            continue;
        *chunk =
            frame->free_id_count > 0 ? frame->free_ids[--frame->free_id_count] : frame->used_ids++;
        frame->chunks[*chunk] = (struct chunk){extent->offset, grains, .out = true};
        extent->offset += grains;
        extent->bytes -= grains;
        if (extent->bytes == 0)
            remove_extent(frame, i);
        return true;
    }
    return false;
}

bool zcbi_frame_take_piece(struct frame *frame, uint32_t *chunk)
{
    if (frame->free_piece_count == 0)
        return false;
    *chunk = frame->free_pieces[--frame->free_piece_count];
    uint64_t piece_bytes = frame->geometry->piece_bytes;
    frame->chunks[*chunk] = (struct chunk){frame->geometry->frame_bytes + *chunk * piece_bytes,
                                           piece_bytes, .out = true};
    return true;
}

uint64_t zcbi_frame_offset(const struct frame *frame, uint32_t chunk)
{
    return frame->chunks[chunk].offset;
}

zcb_error zcbi_frame_commit(struct frame *frame, uint64_t offset, uint64_t bytes)
{
    uint64_t unit = offset / COMMIT_BYTES;
    uint64_t end = (offset + bytes + COMMIT_BYTES - 1) / COMMIT_BYTES;
    while (unit < end) {
        if (frame->committed[unit]) {
            unit++;
            continue;
        }
        uint64_t first = unit;
        while (unit < end && !frame->committed[unit])
            unit++;
        size_t at = (size_t)(frame->data_at + first * COMMIT_BYTES);
        size_t length = (size_t)((unit - first) * COMMIT_BYTES);
        zcb_error error = zcbi_plat_memory_commit(frame->memory, at, length);
        if (error)
            return error;
        zcbi_plat_memory_populate(frame->memory, at, length);
        memset(&frame->committed[first], 1, (size_t)(unit - first));
    }
    return ZCB_OK;
}

/* The index of the first free extent at or behind offset. */
static uint32_t extent_after(const struct frame *frame, uint64_t offset)
{
    uint32_t low = 0, high = frame->free_extent_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (frame->free_extents[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void free_extent(struct frame *frame, uint64_t offset, uint64_t bytes)
{
    struct extent *extents = frame->free_extents;
    uint32_t at = extent_after(frame, offset);
    bool joins_before = at > 0 && extents[at - 1].offset + extents[at - 1].bytes == offset;
    bool joins_after = at < frame->free_extent_count && offset + bytes == extents[at].offset;
    if (joins_before && joins_after) {
        extents[at - 1].bytes += bytes + extents[at].bytes;
        remove_extent(frame, at);
    } else if (joins_before) {
        extents[at - 1].bytes += bytes;
    } else if (joins_after) {
        extents[at].offset = offset;
        extents[at].bytes += bytes;
    } else {
        memmove(&extents[at + 1], &extents[at], (frame->free_extent_count - at) * sizeof(*extents));
        extents[at] = (struct extent){offset, bytes};
        frame->free_extent_count++;
    }
}

static void free_chunk(struct frame *frame, uint32_t chunk)
{
    struct chunk given = frame->chunks[chunk];
    frame->chunks[chunk].bytes = 0;
    if (chunk < frame->geometry->pieces) {
        frame->free_pieces[frame->free_piece_count++] = chunk;
    } else {
        frame->free_ids[frame->free_id_count++] = chunk;
        free_extent(frame, given.offset, given.bytes);
    }
}

zcb_error zcbi_frame_give_back(struct frame *frame, uint32_t chunk)
{
    if (chunk >= frame->used_ids || frame->chunks[chunk].bytes == 0 || !frame->chunks[chunk].out)
        return ZCB_ERR_PROTOCOL;
    frame->chunks[chunk].out = false;
    if (!frame->chunks[chunk].held)
        free_chunk(frame, chunk);
    return ZCB_OK;
}

void zcbi_frame_hold(struct frame *frame, uint32_t chunk)
{
    frame->chunks[chunk].out = false;
    frame->chunks[chunk].held = true;
}

void zcbi_frame_set_out(struct frame *frame, uint32_t chunk)
{
    frame->chunks[chunk].out = true;
}

static void release_hold(struct frame *frame, uint32_t chunk)
{
    frame->chunks[chunk].held = false;
    if (!frame->chunks[chunk].out)
        free_chunk(frame, chunk);
}

void zcbi_frame_free_later(struct frame *frame, struct freed_chunk *freed)
{
    freed->next = atomic_load(&frame->freed); /* partner: zcbi_frame_collect_freed */
    /* partner: zcbi_frame_collect_freed */
    while (!atomic_compare_exchange_weak(&frame->freed, &freed->next, freed))
        ;
}

bool zcbi_frame_has_freed(struct frame *frame)
{
    return atomic_load(&frame->freed) != NULL; /* partner: zcbi_frame_free_later */
}

void zcbi_frame_collect_freed(struct frame *frame)
{
    /* A chunk that is missed here is found by memory_ready, or by the next sender. */
    /* partner: zcbi_frame_free_later */
    if (!atomic_load_explicit(&frame->freed, memory_order_relaxed))
        return;
    /* partner: zcbi_frame_free_later */
    struct freed_chunk *freed = atomic_exchange(&frame->freed, NULL);
    for (const struct freed_chunk *f = freed; f; f = f->next)
        release_hold(frame, f->chunk);
    free_freed_list(freed);
}

void zcbi_frame_shrink(struct frame *frame, uint32_t chunk, uint64_t bytes)
{
    struct chunk *shrunk = &frame->chunks[chunk];
    uint64_t kept = whole_grains(bytes);
    if (kept >= shrunk->bytes)
        return;
    free_extent(frame, shrunk->offset + kept, shrunk->bytes - kept);
    shrunk->bytes = kept;
}
