/* Urgent requests: messages of kind ZCB_KIND_CONTROL without payload, on the urgent channel. */
#ifndef ZCB_PROTOCOL_URGENT_H
#define ZCB_PROTOCOL_URGENT_H

/* The message's flags: what; its id: of which. */
enum {
    URGENT_STOP = 1,          /* of the command, wherever it is; unknown ids are ignored */
    URGENT_CLOSE_CHANNEL = 2, /* the bridge with this number was closed */
    URGENT_PING = 16,
    URGENT_PONG = 17,
    URGENT_ACCEPT = 18 /* take in the channels that wait on the link */
};

#endif
