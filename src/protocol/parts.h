/* Typed parts in a message. A part is a part_wire, its bytes, and 1 to PART_ALIGN zeroes, so that
 * the next part is aligned and text ends in NUL. */
#ifndef ZCB_PROTOCOL_PARTS_H
#define ZCB_PROTOCOL_PARTS_H

#include <assert.h>

#include "channel/channel.h"

#define PART_ALIGN 8

struct part_wire {
    uint32_t kind;
    uint32_t flags;
    uint64_t bytes; /* of the data, without the zeroes */
};
static_assert(sizeof(struct part_wire) == 16, "wire layout");

/* Gives the bytes of a message that consists of a head and parts, span by span. */
struct parts_writer {
    struct span head; /* a multiple of PART_ALIGN long, or empty */
    const zcb_part *parts;
    size_t count;
    /* The position; zero at first. */
    size_t next; /* index of the current part */
    int step;    /* the next span of that part */
    struct part_wire wire;
};

/* The length of the whole message. */
uint64_t zcbi_parts_bytes(const struct parts_writer *writer);
/* The next span, which may be empty; valid until the next call. False after the last one. */
bool zcbi_parts_next(struct parts_writer *writer, struct span *span);

/* Checks that the bytes are parts, and counts them. ZCB_ERR_PROTOCOL when they are not. */
zcb_error zcbi_parts_count(const unsigned char *bytes, size_t length, size_t *count);
/* The part at offset *at of bytes that zcbi_parts_count has checked; *at goes up to the next part.
 * The part's data lies in `bytes`. */
zcb_part zcbi_parts_take(const unsigned char *bytes, size_t *at);

#endif
