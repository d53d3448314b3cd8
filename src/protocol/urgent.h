/* Urgent requests: messages of kind ZCB_KIND_CONTROL without payload, on the urgent channel. The
 * message's flags say what is asked: a zcb_urgent, or one of these. Its id says of which command,
 * channel or ping. */
#ifndef ZCB_PROTOCOL_URGENT_H
#define ZCB_PROTOCOL_URGENT_H

enum {
    URGENT_STOP = 1,          /* stop a command, wherever it is; unknown ids are ignored */
    URGENT_CLOSE_CHANNEL = 2, /* the bridge with this number was closed */
    URGENT_PING = 16,         /* the answer is an URGENT_PONG with the same id */
    URGENT_PONG = 17,
    URGENT_ACCEPT = 18 /* receive the channels that wait on the link */
};

#endif
