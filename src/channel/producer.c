/* The producer's view of the consumer: which chunks came back, how much room there is; and
 * publishing. */
#include "end.h"

#define DESCRIPTORS_PER_PAGE (PLAT_PAGE_BYTES / sizeof(struct descriptor))

/* ---------------------------------------------------------------- the consumer's counts */

zcb_error zcbi_tx_ring_room(zcb_channel *channel, uint32_t *room)
{
    struct producer *tx = &channel->tx;
    uint64_t tail = stream_taken(tx->control);
    if (tail > tx->head || tx->head - tail > RING_ENTRIES)
        return zcbi_channel_fail(channel);
    uint32_t free_entries = RING_ENTRIES - (uint32_t)(tx->head - tail);
    *room = free_entries > 0 ? free_entries - 1 : 0;
    tx->now.ring_full = *room == 0;
    return ZCB_OK;
}

zcb_error zcbi_tx_collect(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    zcbi_frame_collect_freed(&tx->frame);
    uint64_t returned = stream_returned(tx->control);
    if (returned < tx->returned || returned - tx->returned > CHUNKS)
        return zcbi_channel_fail(channel);
    while (tx->returned < returned) {
        uint32_t chunk = stream_returned_chunk(tx->returns, tx->returned);
        if (zcbi_frame_give_back(&tx->frame, chunk))
            return zcbi_channel_fail(channel);
        tx->returned++;
    }
    return ZCB_OK;
}

bool zcbi_tx_consumer_waits(const struct producer *tx)
{
    return stream_wished(tx->control) != 0 && stream_taken(tx->control) == tx->head;
}

bool zcbi_tx_dropped(const struct producer *tx)
{
    return tx->now.begun && stream_dropped(tx->control, tx->now.number);
}

zcb_error zcbi_tx_state(zcb_channel *channel)
{
    zcb_error error = zcbi_channel_state(channel);
    if (!error && stream_consumer_closed(channel->tx.control))
        error = ZCB_ERR_PEER_CLOSED;
    return error;
}

zcb_error zcbi_tx_ready(zcb_channel *channel, uint32_t *room)
{
    zcb_error error = zcbi_tx_state(channel);
    if (!error)
        error = zcbi_tx_collect(channel);
    return error ? error : zcbi_tx_ring_room(channel, room);
}

/* ---------------------------------------------------------------- waiting for room */

static bool memory_ready(void *arg)
{
    zcb_channel *channel = arg;
    struct producer *tx = &channel->tx;
    return stream_returned(tx->control) != tx->returned || zcbi_frame_has_freed(&tx->frame) ||
           zcbi_tx_state(channel);
}

static bool room_ready(void *arg)
{
    zcb_channel *channel = arg;
    struct producer *tx = &channel->tx;
    if (memory_ready(arg))
        return true;
    if (tx->now.ring_full && tx->head - stream_taken(tx->control) < RING_ENTRIES - 1)
        return true;
    /* Only a message that has no way yet waits for a receiver. One that streams waits for a
     * piece. */
    return tx->now.begun || tx->now.streaming ? zcbi_tx_dropped(tx) : zcbi_tx_consumer_waits(tx);
}

struct source zcbi_tx_room_source(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    return (struct source){room_ready, channel, &tx->control->producer_asleep, tx->room_bell};
}

zcb_error zcbi_tx_wait_for_room(zcb_channel *channel, const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    if (tx->now.flags & SEND_LAZY)
        zcbi_tx_flush(channel); /* a standby thread has to make room */
    return zcbi_channel_wait(channel, zcbi_tx_room_source(channel), &tx->spin, wait);
}

zcb_error zcbi_tx_take_chunk(zcb_channel *channel,
                             bool (*allocate)(struct producer *tx, uint32_t *chunk),
                             uint32_t *chunk, const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    for (;;) {
        uint32_t room = 0;
        zcb_error error = zcbi_tx_ready(channel, &room);
        if (!error && zcbi_tx_dropped(tx))
            error = ZCB_ERR_REFUSED;
        if (error || (room > 0 && allocate(tx, chunk)))
            return error;
        error = zcbi_tx_wait_for_room(channel, wait);
        if (error)
            return error;
    }
}

zcb_error zcbi_tx_wait_for_memory(zcb_channel *channel, const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    struct source memory = {memory_ready, channel, &tx->control->producer_asleep, tx->room_bell};
    return zcbi_channel_wait(channel, memory, &tx->spin, wait);
}

/* ---------------------------------------------------------------- publishing */

/* Commits the descriptor at head and the one behind it, which is for the end of the message, whose
 * publishing must not fail. A page at a time, on the first round of the ring. */
static zcb_error commit_descriptor(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    if (tx->head + 1 < tx->ring_committed)
        return ZCB_OK;
    size_t at = (size_t)(tx->ring_at + tx->ring_committed * sizeof(struct descriptor));
    zcb_error error = zcbi_plat_memory_commit(&channel->region->memory, at, PLAT_PAGE_BYTES);
    if (error)
        return error;
    tx->ring_committed += DESCRIPTORS_PER_PAGE;
    if (tx->ring_committed >= RING_ENTRIES)
        tx->ring_committed = UINT64_MAX;
    return ZCB_OK;
}

static void ring_consumer(struct producer *tx)
{
    uint32_t sleeper = doorbell_take_sleeper(&tx->control->consumer_asleep);
    if (sleeper != SLEEP_NONE)
        zcbi_plat_event_set(sleeper == SLEEP_STANDBY ? tx->standby_bell : tx->data_bell);
}

void zcbi_tx_flush(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    if (stream_taken(tx->control) != stream_published(tx->control))
        ring_consumer(tx);
}

/* This part takes the descriptor that is kept back, which is committed already. */
static bool uses_kept_descriptor(const struct sending *now, uint32_t marks)
{
    return (marks & MARK_ABORT) ||
           ((marks & MARK_LAST) && now->begun && now->message.bytes == ZCB_OPEN_ENDED);
}

zcb_error zcbi_tx_publish(zcb_channel *channel, uint32_t chunk, uint64_t offset, uint64_t bytes,
                          uint32_t marks)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    zcb_error error = uses_kept_descriptor(now, marks) ? ZCB_OK : commit_descriptor(channel);
    if (error)
        return error;
    tx->ring[tx->head & RING_MASK] = (struct descriptor){
        .id = now->message.id,
        .message_bytes = now->message.bytes,
        .offset = offset,
        .bytes = bytes,
        .kind = now->message.kind,
        .flags = now->message.flags,
        .chunk = chunk,
        .marks = marks | (now->begun ? 0 : MARK_FIRST),
    };
    now->begun = true;
    now->published += bytes;
    if (marks & (MARK_LAST | MARK_ABORT)) {
        now->ended = true;
        tx->ended++;
    }
    if (marks & MARK_LAST)
        stream_count_sent(tx->control, ++tx->sent);
    stream_publish(tx->control, ++tx->head);
    if (!(now->flags & SEND_LAZY) ||
        doorbell_sleeper(&tx->control->consumer_asleep) != SLEEP_STANDBY)
        ring_consumer(tx);
    return ZCB_OK;
}
