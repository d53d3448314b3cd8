/*
 * The producer. A message goes one of two ways:
 *
 *   whole      into one block of the frame, while there is room for it: nobody needs to receive, and a
 *              receiver can hold it in place;
 *   streaming  through the window piece by piece, when a receiver is there: for what is longer than the
 *              frame has room for, and for long messages that will be copied anyway, because the window
 *              stays in the cache.
 *
 * A message that fits neither way waits, and nothing of it is to be seen until it goes, so that it can be
 * withdrawn without a trace.
 */
#include <string.h>

#include "block.h"
#include "copy.h"

#define RING_MASK (RING_ENTRIES - 1)
#define DESCRIPTORS_PER_PAGE (PLAT_PAGE_BYTES / sizeof(struct descriptor))
/* A whole message is copied, and published where somebody waits for it, in steps: small enough that copying in and
 * copying out overlap, large enough that a descriptor costs nothing beside them. */
#define LEAST_STEP_BYTES (UINT64_C(1) << 15)
#define MOST_STEP_BYTES (UINT64_C(1) << 18)
#define LEAST_PAST_CACHES (UINT64_C(1) << 14)
#define MOST_PAST_CACHES (UINT64_C(1) << 19)

/* ---------------------------------------------------------------- what the consumer says */

/* Descriptors that can be published, one kept back for an abort; or ZCB_ERR_PROTOCOL. */
static zcb_error ring_room(zcb_channel *channel, uint32_t *room)
{
    struct producer *tx = &channel->tx;
    uint64_t tail = atomic_load_explicit(&tx->control->tail, memory_order_acquire);
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
    zcbi_blocks_collect(tx);
    uint64_t returned = atomic_load_explicit(&tx->control->returned, memory_order_acquire);
    if (returned < tx->returned || returned - tx->returned > BLOCKS)
        return zcbi_channel_fail(channel);
    while (tx->returned < returned) {
        uint32_t block =
            atomic_load_explicit(&tx->returns[tx->returned % BLOCKS], memory_order_relaxed);
        if (zcbi_frame_give_back(&tx->frame, block))
            return zcbi_channel_fail(channel);
        tx->returned++;
    }
    return ZCB_OK;
}

/* Somebody waits there for the message after all that has been published. */
static bool consumer_waits(const struct producer *tx)
{
    return atomic_load(&tx->control->wish) != 0 && atomic_load(&tx->control->tail) == tx->head;
}

static bool consumer_dropped(const struct producer *tx)
{
    return tx->now.begun && atomic_load(&tx->control->dropped) == tx->now.number + 1;
}

/* Why nothing more can be sent, or ZCB_OK. */
zcb_error zcbi_tx_state(zcb_channel *channel)
{
    zcb_error error = zcbi_channel_state(channel);
    if (!error && atomic_load(&channel->tx.control->consumer_closed))
        error = ZCB_ERR_PEER_CLOSED;
    return error;
}

static bool room_ready(void *arg)
{
    zcb_channel *channel = arg;
    struct producer *tx = &channel->tx;
    if (atomic_load(&tx->control->returned) != tx->returned || atomic_load(&tx->let_go) ||
        zcbi_tx_state(channel))
        return true;
    if (tx->now.ring_full && tx->head - atomic_load(&tx->control->tail) < RING_ENTRIES - 1)
        return true;
    /* Who streams waits for a piece that is given back, whoever waits there. */
    return tx->now.begun || tx->now.streaming ? consumer_dropped(tx) : consumer_waits(tx);
}

struct source zcbi_tx_room_source(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    return (struct source){room_ready, channel, &tx->control->producer_asleep, tx->room_bell};
}

static zcb_error wait_for_room(zcb_channel *channel, const zcb_wait *wait)
{
    if (channel->tx.lazy)
        zcbi_tx_ring(&channel->tx); /* whoever stands by is to make room */
    return zcbi_channel_wait(channel, zcbi_tx_room_source(channel), &channel->tx.spin, wait);
}

/* ---------------------------------------------------------------- publishing */

/* Descriptors are committed a page at a time on the ring's first round, one ahead of the next: that one is
 * for an abort, which must not fail. */
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

void zcbi_tx_ring(struct producer *tx)
{
    _Atomic uint32_t *asleep = &tx->control->consumer_asleep;
    uint32_t who =
        atomic_load(asleep) == SLEEP_NONE ? SLEEP_NONE : atomic_exchange(asleep, SLEEP_NONE);
    if (who != SLEEP_NONE)
        zcbi_plat_event_set(who == SLEEP_STANDBY ? tx->standby_bell : tx->data_bell);
}

static zcb_error publish(zcb_channel *channel, uint32_t block, uint64_t offset, uint64_t bytes,
                         uint32_t marks)
{
    struct producer *tx = &channel->tx;
    zcb_error error = marks & MARK_ABORT ? ZCB_OK : commit_descriptor(channel);
    if (error)
        return error;
    const zcb_message *message = &tx->now.message;
    tx->ring[tx->head & RING_MASK] = (struct descriptor){
        .id = message->id,
        .message_bytes = message->bytes,
        .offset = offset,
        .bytes = bytes,
        .kind = message->kind,
        .flags = message->flags,
        .block = block,
        .marks = marks | (tx->now.begun ? 0 : MARK_FIRST),
    };
    tx->now.begun = true;
    tx->now.published += bytes;
    if (marks & (MARK_LAST | MARK_ABORT))
        tx->ended++;
    if (marks & MARK_LAST)
        atomic_store_explicit(&tx->control->sent, ++tx->sent, memory_order_release);
    tx->head++;
    atomic_store(&tx->control->head, tx->head); /* partner: data_ready */
    if (!tx->lazy || atomic_load(&tx->control->consumer_asleep) != SLEEP_STANDBY)
        zcbi_tx_ring(tx);
    return ZCB_OK;
}

/* ---------------------------------------------------------------- choosing the way */

static bool worth_streaming(const zcb_channel *channel)
{
    const struct producer *tx = &channel->tx;
    return !tx->keep_whole && tx->now.message.bytes > 2 * channel->region->geometry.piece_bytes &&
           atomic_load(&tx->control->wish) == ZCB_WISH_COPY && consumer_waits(tx);
}

/* Takes in what the consumer has given back. *room: descriptors that can be published. */
static zcb_error ready_to_send(zcb_channel *channel, uint32_t *room)
{
    zcb_error error = zcbi_tx_state(channel);
    if (!error)
        error = zcbi_tx_collect(channel);
    return error ? error : ring_room(channel, room);
}

/* ZCB_ERR_TIMEOUT: neither way is open now. */
static zcb_error choose_way(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    uint32_t room = 0;
    zcb_error error = ready_to_send(channel, &room);
    if (error)
        return error;
    if (now->message.bytes == 0)
        return room > 0 ? ZCB_OK : ZCB_ERR_TIMEOUT;
    if (worth_streaming(channel)) {
        now->streaming = true;
        return ZCB_OK;
    }
    if (room > 0 && zcbi_frame_allocate(&tx->frame, now->message.bytes, &now->block)) {
        now->offset = zcbi_frame_offset(&tx->frame, now->block);
        return ZCB_OK;
    }
    if (consumer_waits(tx)) {
        now->streaming = true;
        return ZCB_OK;
    }
    return ZCB_ERR_TIMEOUT;
}

zcb_error zcbi_tx_begin(zcb_channel *channel, const zcb_message *message, const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    tx->now = (struct sending){.message = *message, .number = tx->ended, .block = NO_BLOCK};
    for (;;) {
        zcb_error error = choose_way(channel);
        if (!error && message->bytes == 0)
            return publish(channel, NO_BLOCK, 0, 0, MARK_LAST | MARK_WHOLE);
        if (error != ZCB_ERR_TIMEOUT)
            return error;
        error = wait_for_room(channel, wait);
        if (error)
            return error;
    }
}

/* ---------------------------------------------------------------- writing */

static uint64_t step_bytes(const struct sending *now)
{
    uint64_t step = now->message.bytes / 64;
    if (step > MOST_STEP_BYTES)
        return MOST_STEP_BYTES;
    return step < LEAST_STEP_BYTES ? LEAST_STEP_BYTES : step;
}

/* Publishes what has been copied of a whole message: at its end, or in steps as soon as somebody waits for it. */
static zcb_error publish_whole(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    bool last = now->written == now->message.bytes;
    uint32_t room = 0;
    if (!last && now->written - now->published < step_bytes(now))
        return ZCB_OK;
    if (!last) {
        zcb_error error = ring_room(channel, &room);
        if (error)
            return error;
        if (room < 2 || !(now->begun || consumer_waits(tx)))
            return ZCB_OK;
    }
    return publish(channel, now->block, now->offset + now->published, now->written - now->published,
                   MARK_WHOLE | (last ? MARK_LAST : 0u));
}

/* The block of a message of middling size was read lately: warm memory is used again first. A short one is
 * not worth it, and a long one finds most of its block in no cache any more. */
static void copy_in(const struct sending *now, void *to, const void *from, size_t bytes)
{
    if (now->message.bytes >= LEAST_PAST_CACHES && now->message.bytes <= MOST_PAST_CACHES)
        zcbi_copy_for_reader(to, from, bytes);
    else
        memcpy(to, from, bytes);
}

static zcb_error write_whole(zcb_channel *channel, const unsigned char *bytes, size_t count,
                             size_t *written, struct pace *pace)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    while (count > 0) {
        zcb_error error = zcbi_pace_check(pace);
        if (!error && consumer_dropped(tx))
            error = ZCB_ERR_REFUSED;
        uint64_t most = step_bytes(now);
        size_t step = count < most ? count : (size_t)most;
        uint64_t at = now->offset + now->written;
        if (!error)
            error = zcbi_frame_commit(&tx->frame, at, step);
        if (error)
            return error;
        copy_in(now, channel->region->memory.base + tx->frame.data_at + at, bytes, step);
        bytes += step;
        count -= step;
        now->written += step;
        *written += step;
        pace->copied += step;
        error = publish_whole(channel);
        if (error)
            return error;
    }
    return ZCB_OK;
}

/* A free piece of the window and a free descriptor, waiting for them. */
static zcb_error take_piece(zcb_channel *channel, uint32_t *block, const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    for (;;) {
        uint32_t room = 0;
        zcb_error error = ready_to_send(channel, &room);
        if (!error && consumer_dropped(tx))
            error = ZCB_ERR_REFUSED;
        if (error)
            return error;
        if (room > 0 && zcbi_frame_take_piece(&tx->frame, block))
            return ZCB_OK;
        error = wait_for_room(channel, wait);
        if (error)
            return error;
    }
}

static zcb_error write_streaming(zcb_channel *channel, const unsigned char *bytes, size_t count,
                                 size_t *written, struct pace *pace)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    uint64_t piece_bytes = channel->region->geometry.piece_bytes;
    while (count > 0) {
        uint32_t block;
        zcb_error error = zcbi_pace_check(pace);
        if (!error)
            error = take_piece(channel, &block, pace->wait);
        if (error)
            return error;
        size_t step = count < piece_bytes ? count : (size_t)piece_bytes;
        uint64_t at = zcbi_frame_offset(&tx->frame, block);
        error = zcbi_frame_commit(&tx->frame, at, piece_bytes);
        if (!error) {
            memcpy(channel->region->memory.base + tx->frame.data_at + at, bytes, step);
            bool last = now->written + step == now->message.bytes;
            error = publish(channel, block, at, step, last ? MARK_LAST : 0u);
        }
        if (error) {
            (void)zcbi_frame_give_back(&tx->frame, block);
            return error;
        }
        bytes += step;
        count -= step;
        now->written += step;
        *written += step;
        pace->copied += step;
    }
    return ZCB_OK;
}

zcb_error zcbi_tx_write(zcb_channel *channel, const void *bytes, size_t count, size_t *written,
                        const zcb_wait *wait)
{
    struct sending *now = &channel->tx.now;
    if (count > now->message.bytes - now->written)
        return ZCB_ERR_INVALID;
    struct pace pace;
    zcbi_channel_pace_init(&pace, wait);
    return now->streaming ? write_streaming(channel, bytes, count, written, &pace)
                          : write_whole(channel, bytes, count, written, &pace);
}

void zcbi_tx_abort(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    bool ended = now->begun && now->published == now->message.bytes;
    if (now->begun && !ended)
        (void)publish(channel, NO_BLOCK, 0, 0, MARK_ABORT); /* a descriptor is kept back for it */
    else if (!now->begun && now->block != NO_BLOCK)
        (void)zcbi_frame_give_back(&tx->frame, now->block);
    now->block = NO_BLOCK;
}

/* ---------------------------------------------------------------- whole messages */

/* A block of the user's, filled in place: there is nothing to copy. */
static zcb_error send_block(zcb_channel *channel, const zcb_message *message,
                            struct zcb_block *block, const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    tx->now = (struct sending){.message = *message, .number = tx->ended, .block = NO_BLOCK};
    zcb_error error;
    uint32_t room = 0;
    while (!(error = ready_to_send(channel, &room)) && room == 0)
        if ((error = wait_for_room(channel, wait)) != ZCB_OK)
            break;
    if (error)
        return error;
    zcbi_frame_set_out(&tx->frame, block->block);
    error = publish(channel, block->block, zcbi_frame_offset(&tx->frame, block->block),
                    message->bytes, MARK_WHOLE | MARK_LAST);
    if (error)
        (void)zcbi_frame_give_back(&tx->frame, block->block);
    else
        block->sent = true;
    return error;
}

zcb_error zcbi_tx_send(zcb_channel *channel, const zcb_message *message, const zcb_text *parts,
                       unsigned count, const zcb_wait *wait)
{
    struct zcb_block *block = count == 1 ? zcbi_blocks_find(&channel->tx, &parts[0]) : NULL;
    if (block)
        return send_block(channel, message, block, wait);
    zcb_error error = zcbi_tx_begin(channel, message, wait);
    for (unsigned i = 0; i < count && !error; i++) {
        size_t written = 0;
        if (parts[i].bytes > 0)
            error = zcbi_tx_write(channel, parts[i].text, parts[i].bytes, &written, wait);
    }
    if (error)
        zcbi_tx_abort(channel);
    return error;
}

/* The other process has ended; asked once a message, since a frame with room needs no wait that would
 * notice. */
static bool peer_ended(const zcb_channel *channel)
{
    unsigned ready;
    return channel->peer != PLAT_NO_HANDLE &&
           zcbi_plat_wait(&channel->peer, 1, 0, &ready) == ZCB_OK;
}

static bool is_sendable(const zcb_channel *channel, const zcb_message *message)
{
    return channel && message && message->kind != 0 && message->bytes <= SIZE_MAX;
}

zcb_error zcb_send(zcb_channel *channel, const zcb_message *message, const void *payload,
                   const zcb_wait *wait)
{
    if (!is_sendable(channel, message) || (message->bytes > 0 && !payload))
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_channel_take_turn(channel, &channel->tx.turn, wait);
    if (error)
        return error;
    zcb_text part = {payload, (size_t)message->bytes};
    error =
        peer_ended(channel) ? ZCB_ERR_PEER_GONE : zcbi_tx_send(channel, message, &part, 1, wait);
    zcbi_turn_give(&channel->tx.turn);
    return error;
}

zcb_error zcb_send_begin(zcb_channel *channel, const zcb_message *message, const zcb_wait *wait)
{
    if (!is_sendable(channel, message))
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_channel_take_turn(channel, &channel->tx.turn, wait);
    if (error)
        return error;
    error = peer_ended(channel) ? ZCB_ERR_PEER_GONE : zcbi_tx_begin(channel, message, wait);
    if (error)
        zcbi_turn_give(&channel->tx.turn);
    return error;
}

zcb_error zcb_send_write(zcb_channel *channel, const void *data, size_t bytes, size_t *done,
                         const zcb_wait *wait)
{
    if (!zcbi_channel_owned(channel))
        return ZCB_ERR_FORKED;
    return zcbi_tx_write(channel, data, bytes, done, wait);
}

zcb_error zcb_send_end(zcb_channel *channel)
{
    if (!zcbi_channel_owned(channel))
        return ZCB_ERR_FORKED;
    const struct sending *now = &channel->tx.now;
    if (now->published != now->message.bytes)
        return ZCB_ERR_INVALID;
    zcbi_turn_give(&channel->tx.turn);
    return ZCB_OK;
}

void zcb_send_drop(zcb_channel *channel)
{
    if (!zcbi_channel_owned(channel))
        return;
    zcbi_tx_abort(channel);
    zcbi_turn_give(&channel->tx.turn);
}
