/* Open-ended messages of any length in little memory: one chunk of bytes again and again. */
#ifndef ZCB_TEST_CHUNKS_H
#define ZCB_TEST_CHUNKS_H

#include "support.h"

#define CHUNK_BYTES 65536

static inline void fill_chunk(unsigned char *chunk)
{
    fill(chunk, CHUNK_BYTES, CHUNK_BYTES);
}

/* Sends the whole message, a part of it flushed now and then; withdrawn on every error. */
static inline zcb_error send_chunks(zcb_channel *channel, uint64_t id, uint64_t bytes,
                                    const zcb_wait *wait)
{
    unsigned char chunk[CHUNK_BYTES];
    fill_chunk(chunk);
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = id, .bytes = ZCB_OPEN_ENDED};
    zcb_error error = zcb_send_begin(channel, &message, wait);
    if (error)
        return error;
    for (uint64_t at = 0; at < bytes && !error;) {
        size_t left = CHUNK_BYTES - at % CHUNK_BYTES, done = 0;
        size_t step = at % 3 == 0 ? left : left / 2 + 1;
        error = zcb_send_write(channel, chunk + at % CHUNK_BYTES,
                               step < bytes - at ? step : (size_t)(bytes - at), &done, wait);
        at += done;
        if (!error && at % 5 == 0)
            error = zcb_send_flush(channel);
    }
    if (!error)
        error = zcb_send_end(channel);
    if (error)
        zcb_send_drop(channel);
    return error;
}

/* Reads a message that has begun to its end, and ends the turn; *bytes is how long it was, all of them right, or
 * UINT64_MAX. */
static inline zcb_error receive_chunks(zcb_channel *channel, const zcb_message *message,
                                       uint64_t *bytes, const zcb_wait *wait)
{
    unsigned char chunk[CHUNK_BYTES], got[CHUNK_BYTES];
    bool right = true, ended = false;
    zcb_error error = ZCB_OK;
    fill_chunk(chunk);
    *bytes = 0;
    while (!error && !ended) { /* *bytes is a number of whole chunks */
        size_t done = 0, step = CHUNK_BYTES;
        if (message->bytes - *bytes < step)
            step = (size_t)(message->bytes - *bytes);
        error = zcb_receive_read(channel, got, step, &done, wait);
        right = right && memcmp(got, chunk, done) == 0;
        *bytes += done;
        ended = done < CHUNK_BYTES;
    }
    if (!error)
        error = zcb_receive_end(channel);
    if (error)
        zcb_receive_drop(channel);
    if (!right)
        *bytes = UINT64_MAX;
    return error;
}

#endif
