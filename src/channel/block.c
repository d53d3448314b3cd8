/*
 * Blocks of the frame that the user fills in place, so that sending them copies nothing.
 *
 * Such a block is held by this side until zcb_block_free, and by the consumer from the send until it gives
 * the block back; the memory is free when neither has it. The frame's book belongs to whoever has the
 * sending turn, and zcb_block_free must not wait for that: so it puts the block on a list, which the next
 * sender takes in.
 */
#include "block.h"

#include <stdlib.h>

void zcbi_blocks_collect(struct producer *tx)
{
    if (!atomic_load_explicit(&tx->let_go, memory_order_relaxed))
        return;
    struct zcb_block *block = atomic_exchange(&tx->let_go, NULL);
    while (block) {
        struct zcb_block *next = block->next;
        zcbi_frame_let_go(&tx->frame, block->block);
        free(block);
        block = next;
    }
}

struct zcb_block *zcbi_blocks_find(struct producer *tx, const zcb_text *payload)
{
    if (payload->bytes == 0)
        return NULL;
    zcbi_plat_mutex_lock(&tx->block_lock);
    struct zcb_block *block = tx->blocks;
    while (block && block->data != payload->text)
        block = block->next;
    zcbi_plat_mutex_unlock(&tx->block_lock);
    return block && !block->sent && payload->bytes <= block->bytes ? block : NULL;
}

void zcbi_blocks_destroy(struct producer *tx)
{
    struct zcb_block *block = atomic_exchange(&tx->let_go, NULL);
    while (block) {
        struct zcb_block *next = block->next;
        free(block);
        block = next;
    }
    zcbi_plat_mutex_destroy(&tx->block_lock);
}

static bool something_is_free(void *arg)
{
    zcb_channel *channel = arg;
    const struct producer *tx = &channel->tx;
    return atomic_load(&tx->control->returned) != tx->returned || atomic_load(&tx->let_go) ||
           zcbi_tx_state(channel);
}

static zcb_error wait_for_memory(zcb_channel *channel, const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    struct source memory = {something_is_free, channel, &tx->control->producer_asleep,
                            tx->room_bell};
    return zcbi_channel_wait(channel, memory, &tx->spin, wait);
}

/* Under the turn. */
static zcb_error allocate(zcb_channel *channel, struct zcb_block *block, const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    for (;;) {
        zcb_error error = zcbi_tx_state(channel);
        if (!error)
            error = zcbi_tx_collect(channel);
        if (error)
            return error;
        if (zcbi_frame_allocate(&tx->frame, block->bytes, &block->block))
            break;
        error = wait_for_memory(channel, wait);
        if (error)
            return error;
    }
    uint64_t offset = zcbi_frame_offset(&tx->frame, block->block);
    zcb_error error = zcbi_frame_commit(&tx->frame, offset, block->bytes);
    if (error) {
        (void)zcbi_frame_give_back(&tx->frame, block->block);
        return error;
    }
    zcbi_frame_hold(&tx->frame, block->block);
    block->data = channel->region->memory.base + tx->frame.data_at + offset;
    return ZCB_OK;
}

static void enter(zcb_channel *channel, struct zcb_block *block)
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
    zcb_error error = zcbi_channel_take_turn(channel, &channel->tx.turn, wait);
    if (!error) {
        error = allocate(channel, made, wait);
        zcbi_turn_give(&channel->tx.turn);
    }
    if (error) {
        free(made);
        return error;
    }
    enter(channel, made);
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

static void leave(struct producer *tx, struct zcb_block *block)
{
    zcbi_plat_mutex_lock(&tx->block_lock);
    struct zcb_block **link = &tx->blocks;
    while (*link != block)
        link = &(*link)->next;
    *link = block->next;
    block->next = atomic_load(&tx->let_go);
    while (
        !atomic_compare_exchange_weak(&tx->let_go, &block->next, block)) /* partner: room_ready */
        ;
    zcbi_plat_mutex_unlock(&tx->block_lock);
    wait_ring(&tx->control->producer_asleep, tx->room_bell);
}

void zcb_block_free(zcb_block *block)
{
    if (!block)
        return;
    zcb_channel *channel = block->channel;
    if (zcbi_channel_owned(channel))
        leave(&channel->tx, block);
    else
        free(block);
    zcbi_channel_release(channel);
}
