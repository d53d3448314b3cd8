/*
 * The pairing table of a bridge: which message belongs to which posted transfer.
 *
 * Posted receives and the program's messages are paired in order, and the program alone decides. A
 * message carries the id of the posted receive that it is for. A message that is sent before any
 * receive is posted carries id 0, and the next posted receive gets ZCB_COMMAND_TAKE_QUEUED: it
 * takes that message. So the engine never has to guess, even when transfers fail or are withdrawn.
 *
 * Every function here is called under the session's lock.
 */
#ifndef ZCB_PAIRING_H
#define ZCB_PAIRING_H

#include "channel/channel.h"

/* A posted transfer without a message. Allocated when it is posted, because that call can fail for
 * want of memory; the later calls, which note its failure or post it again, cannot. */
struct post {
    struct post *next;
    uint64_t id;
    bool lease;  /* a receive that will hold its message in place */
    bool failed; /* a receive that has failed, and the user does not know it yet */
    bool seen;   /* a send that has failed, and the user knew it before its error message came */
};

/* A queue. */
struct posts {
    struct post *first;
    struct post **end;
};

struct pairing {
    struct posts receives; /* without a message of the program */
    struct posts sends;    /* without a message of the engine */
    uint64_t unmatched;    /* messages with id 0 that no posted receive takes */
    struct post *taker;    /* the last receive with ZCB_COMMAND_TAKE_QUEUED, or NULL */
};

/* A bridge's channel and pairing table, in the session's list. */
struct paired_channel {
    struct paired_channel *next;
    zcb_channel *channel;
    bool closed;
    struct pairing pairing;
};

/* Closes the channel, if it is not closed. */
void zcbi_paired_close(struct paired_channel *paired);

void zcbi_pairing_init(struct pairing *pairing);
void zcbi_pairing_destroy(struct pairing *pairing);

/* Adds a transfer (op: ZCB_OP_RECEIVE or ZCB_OP_SEND) that is to be sent to the engine. Sets
 * ZCB_COMMAND_TAKE_QUEUED in *flags when a receive takes a message that was sent before. False: no
 * memory. */
bool zcbi_pairing_post(struct pairing *pairing, uint64_t id, uint32_t op, uint32_t *flags);
/* Removes it again, because it could not be sent. done: it has ended already. */
void zcbi_pairing_unpost(struct pairing *pairing, uint64_t id, uint32_t op, uint32_t flags,
                         bool done);
/* A receive has failed and took no message. */
void zcbi_pairing_fail(struct pairing *pairing, uint64_t id, uint32_t flags);
/* False when the receive's message has been sent. */
bool zcbi_pairing_is_posted(struct pairing *pairing, uint64_t id);
/* Removes a receive that the user withdraws. */
void zcbi_pairing_withdraw(struct pairing *pairing, uint64_t id);

/* Pairs a message that is to be sent with the first posted receive: sets message->id, 0 without
 * one, and *send_flags (enum send_flags). *taken is the receive's post, or NULL. It is the
 * caller's, who gives it to zcbi_pairing_unmatch or frees it.
 * ZCB_ERR_REFUSED, with *taken: that receive has failed.
 * ZCB_ERR_TOO_LARGE, without it: the receive will hold the message in place, and frame_bytes are
 * too few. */
zcb_error zcbi_pairing_match(struct pairing *pairing, zcb_message *message, uint64_t frame_bytes,
                             uint32_t *send_flags, struct post **taken);
/* The message is withdrawn. Returns the post of the receive that it was for, or that takes it
 * since; NULL: there is none. It is the caller's, who gives it to zcbi_pairing_repost or frees
 * it. */
struct post *zcbi_pairing_unmatch(struct pairing *pairing, struct post *taken);
/* Puts that receive back to the front of the queue. Takes over the post. */
void zcbi_pairing_repost(struct pairing *pairing, struct post *post);
/* The id of the last receive with ZCB_COMMAND_TAKE_QUEUED, or 0. */
uint64_t zcbi_pairing_taker(const struct pairing *pairing);

/* A message of the engine has arrived. True: it is an error that the user knows already. */
bool zcbi_pairing_arrived(struct pairing *pairing, const zcb_message *message);
/* As zcb_bridge_seen. */
void zcbi_pairing_seen(struct pairing *pairing, uint64_t id);

#endif
