/* Commands and replies as they stand in a message, written by hand. */
#ifndef ZCB_TEST_WIRE_H
#define ZCB_TEST_WIRE_H

#include <string.h>

#include "protocol/message.h"

/* Writes one part to `to`; returns how many bytes that makes. */
static inline size_t write_part(void *to, uint32_t kind, const void *data, size_t bytes)
{
    unsigned char *at = to;
    struct part_wire wire = {.kind = kind, .bytes = bytes};
    size_t whole = sizeof(wire) + bytes / PART_ALIGN * PART_ALIGN + PART_ALIGN;
    memset(at, 0, whole);
    memcpy(at, &wire, sizeof(wire));
    if (bytes > 0)
        memcpy(at + sizeof(wire), data, bytes);
    return whole;
}

/* Writes a command of one text; returns how many bytes that makes. */
static inline size_t write_command(void *to, struct command_wire head, const void *text,
                                   size_t bytes)
{
    memcpy(to, &head, sizeof(head));
    return sizeof(head) +
           write_part((unsigned char *)to + sizeof(head), ZCB_PART_TEXT, text, bytes);
}

#endif
