/* Blocks that the user fills in place. block.c makes and frees them, send.c sends them. */
#ifndef ZCB_BLOCK_H
#define ZCB_BLOCK_H

#include "end.h"

/* A chunk of the frame that the user fills. */
struct zcb_block {
    struct freed_chunk freed; /* the first member: zcbi_frame_free_later takes over this memory */
    struct zcb_block *next;   /* of producer.blocks */
    zcb_channel *channel;     /* a reference: keeps the mapping */
    void *data;
    uint64_t bytes;
    bool sent;
};

/* Under the sending lock: the block that this payload fills from its beginning, if it was not sent
 * yet; else NULL. */
struct zcb_block *zcbi_block_find(struct producer *tx, const struct span *payload);

#endif
