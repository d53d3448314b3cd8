/* The records that program and engine exchange on the link: the introduction, and new channels. */
#ifndef ZCB_PROTOCOL_LINK_H
#define ZCB_PROTOCOL_LINK_H

#include <assert.h>

#include "channel/channel.h"

/* Of all records, messages and shared memory: both sides must have the same. */
#define PROTOCOL_VERSION 2u
#define LINK_MAGIC UINT32_C(0x7a636231)

/* A session's own channels; bridges are numbered from CHANNEL_BRIDGES on. */
enum { CHANNEL_COMMANDS = 0, CHANNEL_URGENT = 1, CHANNEL_BRIDGES = 2 };

#define COMMANDS_FRAME_BYTES (UINT64_C(64) << 20)
#define COMMANDS_WINDOW_BYTES (UINT64_C(4) << 20)
#define URGENT_FRAME_BYTES ZCB_MIN_FRAME_BYTES
#define URGENT_WINDOW_BYTES ZCB_MIN_WINDOW_BYTES

enum link_type {
    LINK_WELCOME = 1, /* program to engine, first */
    LINK_CHANNEL = 2, /* program to engine; handles: the memory and the BELLS bells of a channel */
    LINK_HELLO = 3    /* engine to program, once it can take commands */
};

struct link_record {
    uint32_t magic;
    uint32_t version;
    uint32_t type;         /* link_type */
    uint32_t number;       /* CHANNEL: the channel's number; WELCOME: columns of formatted output */
    uint64_t frame_bytes;  /* CHANNEL */
    uint64_t window_bytes; /* CHANNEL */
    int64_t pid;           /* HELLO: the engine's */
    char engine_version[32];             /* HELLO: ends in NUL */
    char label[ZCB_MAX_LABEL_BYTES + 1]; /* CHANNEL: ends in NUL; "" for none */
};
static_assert(sizeof(struct link_record) == 200 && sizeof(struct link_record) <= PLAT_LINK_BYTES,
              "wire layout");

/* A record that was received, and its handles. */
struct link_message {
    struct link_record record;
    plat_handle handles[1 + BELLS];
    unsigned count;
};

/* Fills in magic and version, and sends the record. Never waits. ZCB_ERR_TIMEOUT when the link is
 * full, ZCB_ERR_PEER_GONE, _NO_MEMORY, _NO_HANDLES, _SYSTEM. */
zcb_error zcbi_link_send(plat_handle link, const struct link_record *record);
/* Sends a channel, which the other side joins. label may be NULL. Errors as zcbi_link_send. */
zcb_error zcbi_link_send_channel(plat_handle link, uint32_t number, const char *label,
                                 const zcb_channel *channel);

/* Receives a record. Its handles are the caller's, to be given to zcbi_link_join or
 * zcbi_link_refuse. *sender_pid (may be NULL) as zcbi_plat_link_receive. Never waits.
 * ZCB_ERR_TIMEOUT when there is none; ZCB_ERR_PEER_GONE, _NO_HANDLES, _SYSTEM; and without handles
 * ZCB_ERR_VERSION, with the record filled in, for another PROTOCOL_VERSION, and ZCB_ERR_PROTOCOL
 * for bytes that are no record. */
zcb_error zcbi_link_receive(plat_handle link, struct link_message *message, int64_t *sender_pid);
/* Joins the channel of a LINK_CHANNEL message. Takes over the handles, also on failure.
 * ZCB_ERR_PROTOCOL for another message; other errors as zcbi_channel_join. */
zcb_error zcbi_link_join(struct link_message *message, plat_handle peer, zcb_channel **channel);
/* Closes the handles of a message. If it is a channel, the other side finds it closed. */
void zcbi_link_refuse(struct link_message *message);

#endif
