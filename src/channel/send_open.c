/*
 * An open-ended message goes in chunks of the size of a window's piece. A chunk is published when
 * it is full, the last one at the end of the message.
 *
 * The first chunk lies in the frame, if it has room: a message that ends within it is published as
 * a whole message of known length, which needs no receiver and can be held in place. The others are
 * pieces of the window, which stay in the cache, or lie in the frame while all pieces are out. So
 * the sender needs no receiver to begin, and is at most frame and window ahead of it.
 */
#include "send_open.h"

#include <string.h>

static bool is_in_frame(const struct producer *tx, uint32_t chunk)
{
    return chunk >= tx->frame.geometry->pieces;
}

zcb_error zcbi_open_begin(zcb_channel *channel, const zcb_wait *wait)
{
    uint32_t room = 0;
    channel->tx.now.streaming = true;
    for (;;) {
        zcb_error error = zcbi_tx_ready(channel, &room);
        if (error || room > 0)
            return error;
        error = zcbi_tx_wait_for_room(channel, wait);
        if (error)
            return error;
    }
}

static bool allocate_next(struct producer *tx, uint32_t *chunk)
{
    uint64_t bytes = tx->frame.geometry->piece_bytes;
    if (!tx->now.begun && zcbi_frame_allocate(&tx->frame, bytes, chunk))
        return true;
    return zcbi_frame_take_piece(&tx->frame, chunk) ||
           zcbi_frame_allocate(&tx->frame, bytes, chunk);
}

static zcb_error take_chunk(zcb_channel *channel, const zcb_wait *wait)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    zcb_error error = zcbi_tx_take_chunk(channel, allocate_next, &now->chunk, wait);
    if (error)
        return error;
    now->offset = zcbi_frame_offset(&tx->frame, now->chunk);
    now->room = tx->frame.geometry->piece_bytes;
    return ZCB_OK;
}

/* Publishes the bytes of the current chunk. marks: 0, or those of the last part. */
static zcb_error publish_chunk(zcb_channel *channel, uint32_t marks)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    uint64_t bytes = now->written - now->published;
    uint32_t chunk = now->chunk;
    zcb_error error =
        zcbi_tx_publish(channel, chunk, chunk == NO_CHUNK ? 0 : now->offset, bytes, marks);
    if (error)
        return error;
    if (chunk != NO_CHUNK && is_in_frame(tx, chunk))
        zcbi_frame_shrink(&tx->frame, chunk, bytes);
    now->chunk = NO_CHUNK;
    now->room = 0;
    return ZCB_OK;
}

/* No piece is kept of which nothing was written: its end is a descriptor without a chunk. */
static void give_back_empty(struct producer *tx)
{
    struct sending *now = &tx->now;
    if (now->written != now->published)
        return;
    (void)zcbi_frame_give_back(&tx->frame, now->chunk);
    now->chunk = NO_CHUNK;
    now->room = 0;
}

static zcb_error copy_into_chunk(zcb_channel *channel, const unsigned char *bytes, size_t step)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    uint64_t at = now->offset + (now->written - now->published);
    zcb_error error = zcbi_frame_commit(&tx->frame, at, step);
    if (error) {
        give_back_empty(tx);
        return error;
    }
    memcpy(channel->region->memory.base + tx->frame.data_at + at, bytes, step);
    now->written += step;
    now->room -= step;
    return ZCB_OK;
}

zcb_error zcbi_open_write(zcb_channel *channel, const unsigned char *bytes, size_t count,
                          size_t *written, struct pace *pace)
{
    struct sending *now = &channel->tx.now;
    while (count > 0) {
        zcb_error error = zcbi_pace_check(pace);
        if (!error && now->chunk == NO_CHUNK)
            error = take_chunk(channel, pace->wait);
        if (error)
            return error;
        size_t step = count < now->room ? count : (size_t)now->room;
        error = copy_into_chunk(channel, bytes, step);
        if (error)
            return error;
        bytes += step;
        count -= step;
        *written += step;
        pace->copied += step;
        error = now->room == 0 ? publish_chunk(channel, 0) : ZCB_OK;
        if (error)
            return error;
    }
    return ZCB_OK;
}

zcb_error zcbi_open_flush(zcb_channel *channel)
{
    /* A piece is taken together with a free descriptor. */
    const struct sending *now = &channel->tx.now;
    return now->written == now->published ? ZCB_OK : publish_chunk(channel, 0);
}

zcb_error zcbi_open_end(zcb_channel *channel)
{
    struct producer *tx = &channel->tx;
    struct sending *now = &tx->now;
    if (now->begun)
        return publish_chunk(channel, MARK_LAST);
    /* Nothing was published, so this becomes a message of known length. */
    now->message.bytes = now->written;
    bool whole = now->chunk == NO_CHUNK || is_in_frame(tx, now->chunk);
    return publish_chunk(channel, MARK_LAST | (whole ? MARK_WHOLE : 0u));
}
