#include "layout.h"

#define MIN_PIECE_BYTES (UINT64_C(1) << 16)
#define MAX_PIECE_BYTES (UINT64_C(1) << 20)
#define PIECES_WANTED 8

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* Several pieces, so that copying in and copying out overlap; each small enough for the cache. */
static uint64_t piece_bytes_for(uint64_t window_bytes)
{
    uint64_t piece = window_bytes / PIECES_WANTED / COMMIT_BYTES * COMMIT_BYTES;
    if (piece < MIN_PIECE_BYTES)
        return MIN_PIECE_BYTES;
    return piece > MAX_PIECE_BYTES ? MAX_PIECE_BYTES : piece;
}

zcb_error zcbi_geometry_init(struct geometry *geometry, uint64_t frame_bytes, uint64_t window_bytes)
{
    if (frame_bytes < ZCB_MIN_FRAME_BYTES || frame_bytes > ZCB_MAX_FRAME_BYTES ||
        window_bytes < ZCB_MIN_WINDOW_BYTES || window_bytes > ZCB_MAX_WINDOW_BYTES)
        return ZCB_ERR_INVALID;
    geometry->frame_bytes = round_up(frame_bytes, COMMIT_BYTES);
    geometry->window_bytes = round_up(window_bytes, COMMIT_BYTES);
    geometry->piece_bytes = piece_bytes_for(geometry->window_bytes);
    geometry->pieces = (uint32_t)(geometry->window_bytes / geometry->piece_bytes);

    uint64_t at = PLAT_PAGE_BYTES;
    for (int i = 0; i < 2; i++) {
        geometry->control_at[i] = at;
        geometry->returns_at[i] = at + PLAT_PAGE_BYTES;
        geometry->ring_at[i] = geometry->returns_at[i] + RETURNS_BYTES;
        geometry->data_at[i] = geometry->ring_at[i] + RING_BYTES;
        at = geometry->data_at[i] + geometry->frame_bytes + geometry->window_bytes;
    }
    geometry->region_bytes = at;
    return ZCB_OK;
}
