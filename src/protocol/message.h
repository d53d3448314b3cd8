/*
 * Commands and replies: messages of kind ZCB_KIND_CONTROL on the commands channel. The message's id
 * is the command's. A command is a command_wire and parts. A reply is parts, in one message or
 * several; the last one has REPLY_COMPLETES and ends with a PART_COMPLETION.
 */
#ifndef ZCB_PROTOCOL_MESSAGE_H
#define ZCB_PROTOCOL_MESSAGE_H

#include "parts.h"

/* The fields are those of zcb_command. */
struct command_wire {
    uint32_t op;
    uint32_t flags;
    uint32_t channel;
    uint32_t depth;
};
static_assert(sizeof(struct command_wire) % PART_ALIGN == 0, "parts are aligned");

/* zcb_message.flags of a reply. */
enum { REPLY_COMPLETES = 1 };

/* A kind of part that zcb_part_kind does not have: a completion_wire. */
#define PART_COMPLETION 64u

struct completion_wire {
    uint32_t status;
    uint32_t success;
    uint32_t refused;
    int32_t exit_code;
    int64_t execution_ns;
};
static_assert(sizeof(struct completion_wire) == 24, "wire layout");

#endif
