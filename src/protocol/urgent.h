/* Urgent requests: messages of kind ZCB_KIND_CONTROL without payload, on the urgent channel. */
#ifndef ZCB_PROTOCOL_URGENT_H
#define ZCB_PROTOCOL_URGENT_H

/* The message's flags: what; its id: of which. STOP and CLOSE_CHANNEL as zcb_urgent. */
enum {
    URGENT_PING = 16,
    URGENT_PONG = 17,
    URGENT_ACCEPT = 18 /* take in the channels that wait on the link */
};

#endif
