/*
 * The memory that the two processes of a channel share. All fields have a fixed width. The reader
 * checks each value before it uses it.
 *
 *   region   = header page | stream 0 (opener to joiner) | stream 1 (joiner to opener)
 *   stream   = control page | return ring | descriptor ring | frame | window
 *
 * The producer allocates chunks: variable ones in the frame, and the window's chunks of one fixed
 * size, its pieces. It fills a chunk and publishes a descriptor of it. The consumer gives the chunk
 * back by its id through the return ring.
 */
#ifndef ZCB_LAYOUT_H
#define ZCB_LAYOUT_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "platform/platform.h"

#define LAYOUT_MAGIC UINT64_C(0x316263617a63627a)
#define LAYOUT_VERSION 1u

#define RING_ENTRIES 4096u /* descriptors of a stream; a power of two */
#define CHUNKS 4096u       /* that can be allocated at a time, pieces included; a power of two */
#define NO_CHUNK UINT32_MAX
#define COMMIT_BYTES 65536u /* the unit in which frame and window are committed */

/* Two cache lines, because processors fetch them in pairs. */
#define LINE_BYTES 128

struct region_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    uint64_t frame_bytes;
    uint64_t window_bytes;
};

/* Whether a side sleeps, and on which bell. */
enum sleep {
    SLEEP_NONE,
    SLEEP_BELL,   /* on the stream's data bell or room bell */
    SLEEP_STANDBY /* a standby thread, on the standby bell (standby.c) */
};

struct stream_control {
    /* Written by the producer. */
    alignas(LINE_BYTES) _Atomic uint64_t head; /* descriptors published */
    _Atomic uint64_t sent;                     /* messages sent completely */
    _Atomic uint32_t producer_closed;          /* 1: the producer's end is closed */
    /* enum sleep; set by the producer, cleared by the side that rings the bell */
    _Atomic uint32_t producer_asleep;
    /* Written by the consumer. */
    alignas(LINE_BYTES) _Atomic uint64_t tail; /* descriptors taken */
    _Atomic uint64_t returned;                 /* chunks given back */
    _Atomic uint64_t dropped;                  /* number + 1 of the message that it drops */
    _Atomic uint32_t wish;                     /* zcb_wish while a thread receives, else 0 */
    _Atomic uint32_t consumer_closed;          /* 1: the consumer's end is closed */
    /* enum sleep; set by the consumer, cleared by the side that rings the bell */
    _Atomic uint32_t consumer_asleep;
};

enum descriptor_mark {
    MARK_FIRST = 1, /* begins a message */
    MARK_LAST = 2,  /* ends it */
    MARK_WHOLE = 4, /* all of the message lies in this one chunk */
    MARK_ABORT = 8  /* ends it: the sender has given it up; no payload */
};

/* One part of a message. */
struct descriptor {
    uint64_t id;
    uint64_t message_bytes; /* of the whole message; ZCB_OPEN_ENDED: not known yet */
    uint64_t offset;        /* of this part, in frame and window taken as one */
    uint64_t bytes;         /* of this part */
    uint32_t kind;
    uint32_t flags;
    uint32_t chunk; /* to be given back; NO_CHUNK for a part of 0 bytes */
    uint32_t marks; /* enum descriptor_mark */
    uint64_t unused[2];
};

static_assert(sizeof(struct region_header) == 32, "shared layout");
static_assert(sizeof(struct stream_control) == 2 * LINE_BYTES, "shared layout");
static_assert(offsetof(struct stream_control, tail) == LINE_BYTES, "shared layout");
static_assert(sizeof(struct descriptor) == 64, "shared layout");
static_assert(sizeof(_Atomic uint64_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "shared atomics");
static_assert(sizeof(_Atomic uint32_t) == 4 && ATOMIC_INT_LOCK_FREE == 2, "shared atomics");

/* Where the parts of a region lie. Each side computes it from the two sizes alone. */
struct geometry {
    uint64_t frame_bytes;
    uint64_t window_bytes;
    uint64_t piece_bytes; /* size of each piece of the window */
    uint32_t pieces;
    /* Offsets in the region, of stream 0 and stream 1. data_at: of the frame; the window
     * follows. */
    uint64_t control_at[2], returns_at[2], ring_at[2], data_at[2];
    uint64_t region_bytes;
};

#define RETURNS_BYTES (CHUNKS * sizeof(uint32_t))
#define RING_BYTES (RING_ENTRIES * sizeof(struct descriptor))

/* Rounds the sizes up to COMMIT_BYTES. ZCB_ERR_INVALID for sizes out of the public bounds. */
zcb_error zcbi_geometry_init(struct geometry *geometry, uint64_t frame_bytes,
                             uint64_t window_bytes);

#endif
