/* Blocks that the user fills in place. block.c has their life, send.c sends them. */
#ifndef ZCB_BLOCK_H
#define ZCB_BLOCK_H

#include "channel.h"

/* Under the turn: enters what the user has freed into the frame's book. */
void zcbi_blocks_collect(struct producer *tx);
/* Under the turn: the block that this payload fills from its beginning and that was not sent yet, or NULL. */
struct zcb_block *zcbi_blocks_find(struct producer *tx, const zcb_text *payload);
/* For a producer that goes. */
void zcbi_blocks_destroy(struct producer *tx);

#endif
