/*
 * Blocks: chunks of the frame that the user fills in place, so that sending them copies nothing.
 *
 * A block's chunk is held by this side until zcb_block_free, and out from the send until the
 * consumer gives it back. It is free when it is neither. Only the holder of the sending lock may
 * change the allocator, and zcb_block_free must not wait for that lock. So zcb_block_free puts the
 * chunk on a list, which the next sender collects (frame.h).
 */
#include "block.h"

#include <stdlib.h>

struct zcb_block *zcbi_block_find(struct producer *tx, const struct span *payload)
{
    if (payload->bytes == 0)
        return NULL;
    zcbi_plat_mutex_lock(&tx->block_lock);
    struct zcb_block *block = tx->blocks;
    while (block && block->data != payload->data)
        block = block->next;
    zcbi_plat_mutex_unlock(&tx->block_lock);
    return block && !block->sent && payload->bytes <= block->bytes ? block : NULL;
}

/* Under the sending lock. */
static zcb_error allocate_chunk(zcb_channel *channel, struct zcb_block *block, const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    uint32_t chunk;
    for (;;) {
        zcb_error error = zcbi_tx_state(channel);
        if (!error)
            error = zcbi_tx_collect(channel);
        if (error)
            return error;
        if (zcbi_frame_allocate(&tx->frame, block->bytes, &chunk))
            break;
        error = zcbi_tx_wait_for_memory(channel, wait);
        if (error)
            return error;
    }
    uint64_t offset = zcbi_frame_offset(&tx->frame, chunk);
    zcb_error error = zcbi_frame_commit(&tx->frame, offset, block->bytes);
    if (error) {
        (void)zcbi_frame_give_back(&tx->frame, chunk);
        return error;
    }
    zcbi_frame_hold(&tx->frame, chunk);
    block->freed.chunk = chunk;
    block->data = channel->region->memory.base + tx->frame.data_at + offset;
    return ZCB_OK;
}

static void add_block(zcb_channel *channel, struct zcb_block *block)
{
    struct producer *tx = &channel->tx;
    zcbi_channel_keep(channel);
    zcbi_plat_mutex_lock(&tx->block_lock);
    block->next = tx->blocks;
    tx->blocks = block;
    zcbi_plat_mutex_unlock(&tx->block_lock);
}

zcb_error zcb_block_allocate(zcb_channel *channel, uint64_t bytes, zcb_block **block,
                             const zcb_wait *wait)
{
    if (!channel || !block || bytes == 0)
        return ZCB_ERR_INVALID;
    if (bytes > channel->region->geometry.frame_bytes)
        return ZCB_ERR_TOO_LARGE;
    struct zcb_block *made = calloc(1, sizeof(*made));
    if (!made)
        return ZCB_ERR_NO_MEMORY;
    *made = (struct zcb_block){.channel = channel, .bytes = bytes};
    zcb_error error = zcbi_tx_lock(channel, wait);
    if (!error) {
        error = allocate_chunk(channel, made, wait);
        zcbi_tx_unlock(channel);
    }
    if (error) {
        free(made);
        return error;
    }
    add_block(channel, made);
    *block = made;
    return ZCB_OK;
}

void *zcb_block_data(const zcb_block *block)
{
    return block->data;
}

uint64_t zcb_block_bytes(const zcb_block *block)
{
    return block->bytes;
}

static void remove_block(struct producer *tx, const struct zcb_block *block)
{
    zcbi_plat_mutex_lock(&tx->block_lock);
    struct zcb_block **link = &tx->blocks;
    while (*link != block)
        link = &(*link)->next;
    *link = block->next;
    zcbi_plat_mutex_unlock(&tx->block_lock);
}

void zcb_block_free(zcb_block *block)
{
    if (!block)
        return;
    zcb_channel *channel = block->channel;
    struct producer *tx = &channel->tx;
    if (zcbi_channel_owned(channel)) {
        remove_block(tx, block);
        zcbi_frame_free_later(&tx->frame, &block->freed);
        doorbell_ring(&tx->control->producer_asleep, tx->room_bell); /* partner: room_ready */
    } else {
        free(block);
    }
    zcbi_channel_release(channel);
}
