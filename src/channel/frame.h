/*
 * The allocator of a producer's frame and window: which chunks are in use, which memory is free,
 * which is committed. Its tables are private memory; the other process cannot see or change them.
 *
 * The holder of the sending lock calls these functions, unless their comment says "any thread".
 */
#ifndef ZCB_FRAME_H
#define ZCB_FRAME_H

#include "layout.h"

/* Free memory of the frame. */
struct extent {
    uint64_t offset;
    uint64_t bytes;
};

/* Memory in use: a chunk of the frame or a piece of the window. It is free when it is neither out
 * nor held. */
struct chunk {
    uint64_t offset;
    uint64_t bytes; /* 0: this id is free */
    bool out;       /* its sender fills it, or the consumer has not given it back */
    bool held;      /* a zcb_block of this side has it */
};

/* A held chunk that the user has freed, in the list of frame.freed. */
struct freed_chunk {
    struct freed_chunk *next;
    uint32_t chunk;
};

struct frame {
    const struct geometry *geometry;
    const plat_memory *memory;
    uint64_t data_at;       /* offset of the frame in the region */
    struct chunk *chunks;   /* by id: the window's pieces first, then the frame's chunks */
    uint32_t used_ids;      /* lower ids have an entry in `chunks`; the rest is not touched */
    uint32_t *free_ids;     /* stack of ids below used_ids, of the frame's chunks */
    uint32_t free_id_count; /* in free_ids */
    uint32_t *free_pieces;  /* stack of ids; the piece that was used last is on top */
    uint32_t free_piece_count;
    struct extent *free_extents; /* of the frame, by offset, never adjacent */
    uint32_t free_extent_count;
    unsigned char *committed; /* a flag for each COMMIT_BYTES */
    struct freed_chunk *_Atomic freed;
};

/* geometry and memory must outlive the frame. ZCB_ERR_NO_MEMORY. */
zcb_error zcbi_frame_init(struct frame *frame, const struct geometry *geometry,
                          const plat_memory *memory, uint64_t data_at);
void zcbi_frame_destroy(struct frame *frame);

/* Allocates `bytes` (> 0) of contiguous memory, from the lowest place where they fit, so that
 * memory which was used before is used again first. The chunk is out. False when there is no room
 * now. */
bool zcbi_frame_allocate(struct frame *frame, uint64_t bytes, uint32_t *chunk);
/* Takes a piece of the window, the one that was given back last. It is out. False when none is
 * free. */
bool zcbi_frame_take_piece(struct frame *frame, uint32_t *chunk);
/* Offset of a chunk, in frame and window taken as one. */
uint64_t zcbi_frame_offset(const struct frame *frame, uint32_t chunk);
/* Makes sure that this range of frame and window is committed. ZCB_ERR_NO_MEMORY, _SYSTEM. */
zcb_error zcbi_frame_commit(struct frame *frame, uint64_t offset, uint64_t bytes);
/* The chunk is no longer out. ZCB_ERR_PROTOCOL when it was not. */
zcb_error zcbi_frame_give_back(struct frame *frame, uint32_t chunk);
/* A chunk that was just allocated becomes held instead of out. */
void zcbi_frame_hold(struct frame *frame, uint32_t chunk);
/* A held chunk is sent: it is out as well. */
void zcbi_frame_set_out(struct frame *frame, uint32_t chunk);
/* Any thread. freed->chunk is no longer held, as soon as zcbi_frame_collect_freed has run. Takes
 * over the memory of `freed`, which it frees by free(). */
void zcbi_frame_free_later(struct frame *frame, struct freed_chunk *freed);
/* Any thread. True when zcbi_frame_collect_freed would find a chunk. */
bool zcbi_frame_has_freed(struct frame *frame);
void zcbi_frame_collect_freed(struct frame *frame);
/* Keeps the first `bytes` (> 0) of a chunk that is not held, and frees the rest. The consumer may
 * be using those bytes already. */
void zcbi_frame_shrink(struct frame *frame, uint32_t chunk, uint64_t bytes);

#endif
