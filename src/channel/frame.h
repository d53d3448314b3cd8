/* The allocator of a producer's frame and window: which blocks are out, which memory is free, which is committed.
 * Nothing in here is shared with the other process. All but zcbi_frame_free_later is for the thread that has the
 * sending turn. */
#ifndef ZCB_FRAME_H
#define ZCB_FRAME_H

#include "layout.h"

struct extent {
    uint64_t offset;
    uint64_t bytes;
};

struct block {
    uint64_t offset;
    uint64_t bytes; /* 0: free */
    bool out;       /* the consumer has it, or is about to */
    bool held;      /* a zcb_block of this side has it */
};

/* A held block that its user has freed, until the next sender enters that. */
struct freed_block {
    struct freed_block *next;
    uint32_t block;
};

struct frame {
    const struct geometry *geometry;
    const plat_memory *memory;
    uint64_t data_at;
    struct block *blocks;  /* by id: the window's pieces first, then the frame's blocks */
    uint32_t used_blocks;  /* ids below this have an entry; the memory of the rest is not touched */
    uint32_t *free_blocks; /* stack of ids that were used before */
    uint32_t free_block_count;
    uint32_t *free_pieces; /* stack of ids: the warm one on top */
    uint32_t free_piece_count;
    struct extent *free_extents; /* of the frame, by offset, never adjacent */
    uint32_t free_extent_count;
    unsigned char *committed; /* one byte a COMMIT_BYTES unit */
    struct freed_block *_Atomic freed;
};

zcb_error zcbi_frame_init(struct frame *frame, const struct geometry *geometry,
                          const plat_memory *memory, uint64_t data_at);
void zcbi_frame_destroy(struct frame *frame);

/* A block of `bytes` (> 0) in one piece, from the lowest place that fits: warm memory is used again
 * first. False when there is none now. */
bool zcbi_frame_allocate(struct frame *frame, uint64_t bytes, uint32_t *block);
/* A piece of the window, the one given back last. False when all are out. */
bool zcbi_frame_take_piece(struct frame *frame, uint32_t *block);
uint64_t zcbi_frame_offset(const struct frame *frame, uint32_t block);
/* Makes sure that this part of frame and window exists. */
zcb_error zcbi_frame_commit(struct frame *frame, uint64_t offset, uint64_t bytes);
/* Takes a block or piece back from the consumer. ZCB_ERR_PROTOCOL when it is not out. */
zcb_error zcbi_frame_give_back(struct frame *frame, uint32_t block);
/* A block that was just allocated is not out, but held by this side. */
void zcbi_frame_hold(struct frame *frame, uint32_t block);
/* A held block goes out, once. */
void zcbi_frame_set_out(struct frame *frame, uint32_t block);
/* Any thread: this side holds freed->block no more. `freed` is the frame's from now on, which frees it (free). */
void zcbi_frame_free_later(struct frame *frame, struct freed_block *freed);
/* Any thread: something of the kind waits to be entered. */
bool zcbi_frame_has_freed(struct frame *frame);
/* Enters it. */
void zcbi_frame_collect_freed(struct frame *frame);
/* A block that is not held keeps its first `bytes` (> 0) only; the consumer may be using them already. */
void zcbi_frame_shrink(struct frame *frame, uint32_t block, uint64_t bytes);

#endif
