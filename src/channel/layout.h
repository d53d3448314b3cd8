/*
 * What the two processes of a channel share. Every field is fixed-width and checked by the reader;
 * nothing in here is trusted.
 *
 *   region   = header page | stream 0 (opener to joiner) | stream 1 (joiner to opener)
 *   stream   = control page | return ring | descriptor ring | frame | window
 *
 * The producer allocates blocks of the frame and pieces of the window, fills them and publishes
 * descriptors; the consumer gives blocks back through the return ring.
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
#define BLOCKS 4096u       /* blocks and pieces that can be out at a time; a power of two */
#define NO_BLOCK UINT32_MAX
#define COMMIT_BYTES 65536u /* memory is committed in units of this */

/* Two lines apart: processors fetch them in pairs. */
#define LINE_BYTES 128

struct region_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    uint64_t frame_bytes;
    uint64_t window_bytes;
};

enum sleep { SLEEP_NONE, SLEEP_BELL, SLEEP_STANDBY };

struct stream_control {
    /* Written by the producer. */
    alignas(LINE_BYTES) _Atomic uint64_t head; /* descriptors published */
    _Atomic uint64_t sent;                     /* messages sent completely */
    _Atomic uint32_t producer_closed;
    _Atomic uint32_t
        producer_asleep; /* enum sleep: set by the producer, cleared by whoever rings for it */
    /* Written by the consumer. */
    alignas(LINE_BYTES) _Atomic uint64_t tail; /* descriptors taken */
    _Atomic uint64_t returned;                 /* blocks given back */
    _Atomic uint64_t dropped;                  /* number + 1 of the message that is being dropped */
    _Atomic uint32_t wish;                     /* zcb_wish while somebody receives, else 0 */
    _Atomic uint32_t consumer_closed;
    _Atomic uint32_t
        consumer_asleep; /* likewise; SLEEP_STANDBY: another thread than the one that reads */
};

enum descriptor_mark {
    MARK_FIRST = 1, /* begins a message */
    MARK_LAST = 2,  /* ends it */
    MARK_WHOLE = 4, /* all of the message lies in this one block */
    MARK_ABORT = 8  /* ends it without success; no payload */
};

struct descriptor {
    uint64_t id;
    uint64_t message_bytes;
    uint64_t offset; /* of this part, in frame and window taken as one */
    uint64_t bytes;  /* of this part */
    uint32_t kind;
    uint32_t flags;
    uint32_t block; /* what the consumer gives back; NO_BLOCK for a message of 0 bytes */
    uint32_t marks;
    uint64_t unused[2];
};

static_assert(sizeof(struct region_header) == 32, "shared layout");
static_assert(sizeof(struct stream_control) == 2 * LINE_BYTES, "shared layout");
static_assert(offsetof(struct stream_control, tail) == LINE_BYTES, "shared layout");
static_assert(sizeof(struct descriptor) == 64, "shared layout");
static_assert(sizeof(_Atomic uint64_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "shared atomics");
static_assert(sizeof(_Atomic uint32_t) == 4 && ATOMIC_INT_LOCK_FREE == 2, "shared atomics");

/* Where things lie, computed by each side from the two sizes alone. */
struct geometry {
    uint64_t frame_bytes;
    uint64_t window_bytes;
    uint64_t piece_bytes; /* the window's pieces */
    uint32_t pieces;
    uint64_t control_at[2], returns_at[2], ring_at[2], data_at[2];
    uint64_t region_bytes;
};

#define RETURNS_BYTES (BLOCKS * sizeof(uint32_t))
#define RING_BYTES (RING_ENTRIES * sizeof(struct descriptor))

/* ZCB_ERR_INVALID for sizes out of the public bounds. Sizes are rounded up to COMMIT_BYTES. */
zcb_error zcbi_geometry_init(struct geometry *geometry, uint64_t frame_bytes,
                             uint64_t window_bytes);

#endif
