/* What program and engine say to each other on top of channels and the link. Version: PROTOCOL_VERSION. */
#ifndef ZCB_PROTOCOL_H
#define ZCB_PROTOCOL_H

#include <assert.h>

#include "channel/layout.h"

#define PROTOCOL_VERSION 1u
#define LINK_MAGIC UINT32_C(0x7a636231)

/* A session's own channels; bridges are numbered from CHANNEL_BRIDGES on. */
enum { CHANNEL_COMMANDS = 0, CHANNEL_URGENT = 1, CHANNEL_BRIDGES = 2 };

#define COMMANDS_FRAME_BYTES (UINT64_C(64) << 20)
#define COMMANDS_WINDOW_BYTES (UINT64_C(4) << 20)
#define URGENT_FRAME_BYTES ZCB_MIN_FRAME_BYTES
#define URGENT_WINDOW_BYTES ZCB_MIN_WINDOW_BYTES

/* ---- records on the link ---- */

enum link_type {
    LINK_WELCOME = 1, /* program to engine, first */
    LINK_CHANNEL = 2, /* program to engine, with the memory and the BELLS bells of one channel */
    LINK_HELLO = 3    /* engine to program, once it serves */
};

struct link_record {
    uint32_t magic;
    uint32_t version;
    uint32_t type;   /* link_type */
    uint32_t number; /* CHANNEL: the channel's; WELCOME: columns of formatted output */
    uint64_t frame_bytes;
    uint64_t window_bytes;
    int64_t pid;                         /* HELLO: the engine's own */
    char engine_version[32];             /* HELLO: ends in NUL */
    char label[ZCB_MAX_LABEL_BYTES + 1]; /* CHANNEL: ends in NUL */
};
static_assert(sizeof(struct link_record) == 200 && sizeof(struct link_record) <= PLAT_LINK_BYTES,
              "wire layout");

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

/* ---- messages on the urgent channel; kind ZCB_KIND_CONTROL, no payload ---- */

/* The message's flags: what; its id: of which. */
enum {
    URGENT_STOP = 1,          /* of the command, wherever it is; unknown ids are ignored */
    URGENT_CLOSE_CHANNEL = 2, /* the bridge with this number was closed */
    URGENT_PING = 16,
    URGENT_PONG = 17,
    URGENT_ACCEPT = 18 /* take in the channels that wait on the link */
};

#endif
