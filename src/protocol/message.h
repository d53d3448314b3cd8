/* Commands and their replies, on the commands channel. */
#ifndef ZCB_PROTOCOL_MESSAGE_H
#define ZCB_PROTOCOL_MESSAGE_H

#include <assert.h>

#include "channel/channel.h"

/* ---- messages on the commands channel; kind ZCB_KIND_CONTROL, id is the command's ---- */

/* Program to engine; the text follows. */
struct command_wire {
    uint32_t op;
    uint32_t flags;
    uint32_t channel;
    uint32_t depth;
};
static_assert(sizeof(struct command_wire) == 16, "wire layout");

/* Engine to program; flags of the message say which. Then the fields' texts, each with a NUL behind it. */
enum { REPLY_OUTPUT = 1, REPLY_COMPLETION = 2 };

struct reply_wire {
    uint32_t status;
    uint32_t success;
    uint32_t refused;
    int32_t exit_code;
    int64_t execution_ns;
    uint64_t field_bytes[ZCB_FIELDS]; /* without the NUL */
};
static_assert(sizeof(struct reply_wire) == 80, "wire layout");

#endif
