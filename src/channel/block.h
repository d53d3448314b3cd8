/* Blocks that the user fills in place: block.c has their life, send.c sends them. */
#ifndef ZCB_BLOCK_H
#define ZCB_BLOCK_H

#include "end.h"

/* Memory that the user fills. */
struct zcb_block {
    struct freed_block freed; /* first: what is freed once it is given up */
    struct zcb_block *next;
    zcb_channel *channel; /* keeps the mapping */
    void *data;
    uint64_t bytes;
    bool sent;
};

/* Under the turn: the block that this payload fills from its beginning and that was not sent yet, or NULL. */
struct zcb_block *zcbi_block_find(struct producer *tx, const struct span *payload);

#endif
