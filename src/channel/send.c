/*
 * Sending. A message goes one of two ways:
 *
 *   whole      into one chunk of the frame, while there is room for it. No receiver is needed, and
 *              a receiver can hold the message in place.
 *   streaming  through the window piece by piece, when a receiver waits: for a message that the
 *              frame has no room for, and for a long one that will be copied anyway, because the
 *              window stays in the cache.
 *
 * A message that can go neither way waits. It stays invisible until it goes, so it can be withdrawn
 * without a trace. Open-ended messages: send_open.c.
 */
#include "end.h"

#include <string.h>

#include "block.h"
#include "copy.h"
#include "send_open.h"

/* A whole message is copied in steps, and published in steps if a receiver waits: small enough that
 * copying in and copying out overlap, large enough that a descriptor costs little beside them. */
#define LEAST_STEP_BYTES (UINT64_C(1) << 15)
#define MOST_STEP_BYTES (UINT64_C(1) << 18)
/* The sizes of messages that are copied past the caches (copy_in). */
#define LEAST_PAST_CACHES (UINT64_C(1) << 14)
#define MOST_PAST_CACHES (UINT64_C(1) << 19)

/* ---------------------------------------------------------------- choosing the way */

static bool worth_streaming(const zcb_channel *channel)
{
    const struct producer *tx = &channel->tx;
    return !(tx->now.flags & SEND_WHOLE) &&
           tx->now.message.bytes > 2 * channel->region->geometry.piece_bytes &&
           stream_wished(tx->control) == ZCB_WISH_COPY && zcbi_tx_consumer_waits(tx);
}

/* ZCB_ERR_TIMEOUT: the message can go neither way now. */
static zcb_error choose_way(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    uint32_t room = 0;
    zcb_error error = zcbi_tx_ready(channel, &room);
    if (error)
        return error;
    if (now->message.bytes == 0)
        return room > 0 ? ZCB_OK : ZCB_ERR_TIMEOUT;
    if (worth_streaming(channel)) {
        now->streaming = true;
        return ZCB_OK;
    }
    if (room > 0 && zcbi_frame_allocate(&tx->frame, now->message.bytes, &now->chunk)) {
        now->offset = zcbi_frame_offset(&tx->frame, now->chunk);
        return ZCB_OK;
    }
    if (zcbi_tx_consumer_waits(tx)) {
        now->streaming = true;
        return ZCB_OK;
    }
    return ZCB_ERR_TIMEOUT;
}

zcb_error zcbi_tx_begin(zcb_channel *channel, const zcb_message *message, uint32_t flags,
                        const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    tx->now = (struct sending){
        .message = *message, .flags = flags, .number = tx->ended, .chunk = NO_CHUNK};
    if (message->bytes == ZCB_OPEN_ENDED)
        return zcbi_open_begin(channel, wait);
    for (;;) {
        zcb_error error = choose_way(channel);
        if (!error && message->bytes == 0)
            return zcbi_tx_publish(channel, NO_CHUNK, 0, 0, MARK_LAST | MARK_WHOLE);
        if (error != ZCB_ERR_TIMEOUT)
            return error;
        error = zcbi_tx_wait_for_room(channel, wait);
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

/* Publishes the copied bytes of a whole message: at its end, or in steps once a receiver waits. */
static zcb_error publish_whole(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    bool last = now->written == now->message.bytes;
    uint32_t room = 0;
    if (!last && now->written - now->published < step_bytes(now))
        return ZCB_OK;
    if (!last) {
        zcb_error error = zcbi_tx_ring_room(channel, &room);
        if (error)
            return error;
        if (room < 2 || !(now->begun || zcbi_tx_consumer_waits(tx)))
            return ZCB_OK;
    }
    return zcbi_tx_publish(channel, now->chunk, now->offset + now->published,
                           now->written - now->published, MARK_WHOLE | (last ? MARK_LAST : 0u));
}

/* The allocator reuses memory at once, so the chunk of a message of middling size was read lately
 * by the other processor. A short message is not worth the trouble; the chunk of a long one has
 * mostly left the caches. */
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
        if (!error && zcbi_tx_dropped(tx))
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

static bool take_window_piece(struct producer *tx, uint32_t *piece)
{
    return zcbi_frame_take_piece(&tx->frame, piece);
}

static zcb_error write_streaming(zcb_channel *channel, const unsigned char *bytes, size_t count,
                                 size_t *written, struct pace *pace)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    uint64_t piece_bytes = channel->region->geometry.piece_bytes;
    while (count > 0) {
        uint32_t piece;
        zcb_error error = zcbi_pace_check(pace);
        if (!error)
            error = zcbi_tx_take_chunk(channel, take_window_piece, &piece, pace->wait);
        if (error)
            return error;
        size_t step = count < piece_bytes ? count : (size_t)piece_bytes;
        uint64_t at = zcbi_frame_offset(&tx->frame, piece);
        error = zcbi_frame_commit(&tx->frame, at, piece_bytes);
        if (!error) {
            memcpy(channel->region->memory.base + tx->frame.data_at + at, bytes, step);
            bool last = now->written + step == now->message.bytes;
            error = zcbi_tx_publish(channel, piece, at, step, last ? MARK_LAST : 0u);
        }
        if (error) {
            (void)zcbi_frame_give_back(&tx->frame, piece);
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
    if (now->message.bytes == ZCB_OPEN_ENDED)
        return zcbi_open_write(channel, bytes, count, written, &pace);
    return now->streaming ? write_streaming(channel, bytes, count, written, &pace)
                          : write_whole(channel, bytes, count, written, &pace);
}

void zcbi_tx_abort(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    if (now->ended)
        return;
    /* Once begun, a whole message's chunk comes back from the consumer. The chunk that an
     * open-ended one is filling was not published, so it is given back here. */
    bool unseen = !now->begun || now->message.bytes == ZCB_OPEN_ENDED;
    if (unseen && now->chunk != NO_CHUNK)
        (void)zcbi_frame_give_back(&tx->frame, now->chunk);
    now->chunk = NO_CHUNK;
    if (now->begun)
        (void)zcbi_tx_publish(channel, NO_CHUNK, 0, 0, MARK_ABORT);
}

/* ---------------------------------------------------------------- whole messages */

/* Sends a block that the user filled in place: there is nothing to copy. */
static zcb_error send_block(zcb_channel *channel, const zcb_message *message, uint32_t flags,
                            struct zcb_block *block, const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    uint32_t chunk = block->freed.chunk;
    tx->now = (struct sending){
        .message = *message, .flags = flags, .number = tx->ended, .chunk = NO_CHUNK};
    zcb_error error;
    uint32_t room = 0;
    while (!(error = zcbi_tx_ready(channel, &room)) && room == 0)
        if ((error = zcbi_tx_wait_for_room(channel, wait)) != ZCB_OK)
            break;
    if (error)
        return error;
    zcbi_frame_set_out(&tx->frame, chunk);
    error = zcbi_tx_publish(channel, chunk, zcbi_frame_offset(&tx->frame, chunk), message->bytes,
                            MARK_WHOLE | MARK_LAST);
    if (error)
        (void)zcbi_frame_give_back(&tx->frame, chunk);
    else
        block->sent = true;
    return error;
}

zcb_error zcbi_tx_send(zcb_channel *channel, const zcb_message *message, uint32_t flags,
                       const struct span *parts, unsigned count, const zcb_wait *wait)
{
    struct zcb_block *block = count == 1 ? zcbi_block_find(&channel->tx, &parts[0]) : NULL;
    if (block)
        return send_block(channel, message, flags, block, wait);
    zcb_error error = zcbi_tx_begin(channel, message, flags, wait);
    for (unsigned i = 0; i < count && !error; i++) {
        size_t written = 0;
        if (parts[i].bytes > 0)
            error = zcbi_tx_write(channel, parts[i].data, parts[i].bytes, &written, wait);
    }
    if (error)
        zcbi_tx_abort(channel);
    return error;
}

/* ---------------------------------------------------------------- the public calls */

zcb_error zcbi_tx_lock(zcb_channel *channel, const zcb_wait *wait)
{
    return zcbi_channel_acquire(channel, &channel->tx.lock, wait);
}

void zcbi_tx_unlock(zcb_channel *channel)
{
    zcbi_ticket_lock_release(&channel->tx.lock);
}

bool zcbi_tx_has_block(zcb_channel *channel, const void *data, size_t bytes)
{
    struct span payload = {data, bytes};
    return zcbi_block_find(&channel->tx, &payload) != NULL;
}

/* Looked at once a message: while the frame has room no wait would notice that the other process
 * has ended. */
static bool peer_ended(const zcb_channel *channel)
{
    unsigned ready;
    return channel->peer != PLAT_NO_HANDLE &&
           zcbi_plat_wait(&channel->peer, 1, 0, &ready) == ZCB_OK;
}

static bool is_sendable(const zcb_channel *channel, const zcb_message *message)
{
    return channel && message && message->kind != 0 &&
           (message->bytes <= SIZE_MAX || message->bytes == ZCB_OPEN_ENDED);
}

zcb_error zcb_send(zcb_channel *channel, const zcb_message *message, const void *payload,
                   const zcb_wait *wait)
{
    if (!is_sendable(channel, message) || message->bytes == ZCB_OPEN_ENDED ||
        (message->bytes > 0 && !payload))
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_tx_lock(channel, wait);
    if (error)
        return error;
    struct span part = {payload, (size_t)message->bytes};
    error =
        peer_ended(channel) ? ZCB_ERR_PEER_GONE : zcbi_tx_send(channel, message, 0, &part, 1, wait);
    zcbi_tx_unlock(channel);
    return error;
}

zcb_error zcb_send_begin(zcb_channel *channel, const zcb_message *message, const zcb_wait *wait)
{
    if (!is_sendable(channel, message))
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_tx_lock(channel, wait);
    if (error)
        return error;
    error = peer_ended(channel) ? ZCB_ERR_PEER_GONE : zcbi_tx_begin(channel, message, 0, wait);
    if (error)
        zcbi_tx_unlock(channel);
    return error;
}

zcb_error zcb_send_write(zcb_channel *channel, const void *data, size_t bytes, size_t *done,
                         const zcb_wait *wait)
{
    if (!zcbi_channel_owned(channel))
        return ZCB_ERR_FORKED;
    return zcbi_tx_write(channel, data, bytes, done, wait);
}

zcb_error zcb_send_flush(zcb_channel *channel)
{
    if (!zcbi_channel_owned(channel))
        return ZCB_ERR_FORKED;
    const struct sending *now = &channel->tx.now;
    return now->message.bytes == ZCB_OPEN_ENDED && !now->ended ? zcbi_open_flush(channel) : ZCB_OK;
}

zcb_error zcb_send_end(zcb_channel *channel)
{
    if (!zcbi_channel_owned(channel))
        return ZCB_ERR_FORKED;
    const struct sending *now = &channel->tx.now;
    if (now->message.bytes == ZCB_OPEN_ENDED && !now->ended) {
        zcb_error error = zcbi_open_end(channel);
        if (error)
            return error;
    }
    if (!now->ended)
        return ZCB_ERR_INVALID;
    zcbi_tx_unlock(channel);
    return ZCB_OK;
}

void zcb_send_drop(zcb_channel *channel)
{
    if (!zcbi_channel_owned(channel))
        return;
    zcbi_tx_abort(channel);
    zcbi_tx_unlock(channel);
}
