/* Typed parts in a message: each a part_wire, its bytes, and one to PART_ALIGN zeroes up to the next one. */
#ifndef ZCB_PROTOCOL_PARTS_H
#define ZCB_PROTOCOL_PARTS_H

#include <assert.h>

#include "channel/channel.h"

#define PART_ALIGN 8

struct part_wire {
    uint32_t kind;
    uint32_t flags;
    uint64_t bytes; /* without the zeroes */
};
static_assert(sizeof(struct part_wire) == 16, "wire layout");

/* The bytes of a message of parts, piece by piece: a head of fixed form, and the parts. */
struct parts_writer {
    struct span head; /* a multiple of PART_ALIGN long, or nothing */
    const zcb_part *parts;
    size_t count;
    /* Where it stands. */
    size_t next; /* part */
    int step;
    struct part_wire wire;
};

/* The length of the whole message. */
uint64_t zcbi_parts_bytes(const struct parts_writer *writer);
/* The next piece, which may be empty; false behind the last. It lives until the next call. */
bool zcbi_parts_next(struct parts_writer *writer, struct span *piece);

/* How many parts these bytes are: ZCB_ERR_PROTOCOL when they are no parts. */
zcb_error zcbi_parts_count(const unsigned char *bytes, size_t length, size_t *count);
/* Takes the next of the parts that zcbi_parts_count has counted; *at counts up from 0. Its data lies in `bytes`. */
zcb_part zcbi_parts_take(const unsigned char *bytes, size_t *at);

#endif
