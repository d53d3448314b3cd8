/*
 * Which message of a bridge belongs to which posted transfer.
 *
 * Posted receives and sent messages come in order, and this side alone decides who belongs to whom: a message carries the
 * id of the posted receive that it is for; one that is sent before any receive is posted carries 0, and the next
 * posted receive is told to take it. So the engine never guesses, whatever fails or is withdrawn.
 *
 * All of it under the session's lock.
 */
#ifndef ZCB_PAIRING_H
#define ZCB_PAIRING_H

#include "channel/channel.h"

/* A posted transfer that has no message yet. Made when it is posted, which can fail: what is noted of it later, and
 * its coming back from a message that is withdrawn, cannot. */
struct post {
    struct post *next;
    uint64_t id;
    bool lease;  /* a receive that is to hold its message in place */
    bool failed; /* a receive, and nobody has seen it yet */
    bool seen;   /* a send whose failure the user saw before its error message came */
};

struct posts {
    struct post *first;
    struct post **end;
};

struct pairing {
    struct posts receives; /* that no message has been given to */
    struct posts sends;    /* that no message has come of */
    uint64_t unmatched;    /* messages sent with id 0 that no posted receive was told to take */
    struct post *taker;    /* the last posted receive that was told to take one, or NULL */
};

/* A bridge as its session knows it. */
struct paired_channel {
    struct paired_channel *next;
    zcb_channel *channel;
    bool closed;
    struct pairing pairing;
};

/* Ends all waits on the channel. */
void zcbi_paired_close(struct paired_channel *paired);

void zcbi_pairing_init(struct pairing *pairing);
void zcbi_pairing_destroy(struct pairing *pairing);

/* A transfer (zcb_op) is in the engine's queue; false: no memory. Sets ZCB_COMMAND_TAKE_QUEUED in *flags when a receive
 * takes a message that was sent before. */
bool zcbi_pairing_post(struct pairing *pairing, uint64_t id, uint32_t op, uint32_t *flags);
/* It did not get there after all. */
void zcbi_pairing_unpost(struct pairing *pairing, uint64_t id, uint32_t op, uint32_t flags,
                         bool done);
/* A receive has failed and took no message. */
void zcbi_pairing_fail(struct pairing *pairing, uint64_t id, uint32_t flags);
/* A receive is taken back. False when its message has been sent. */
bool zcbi_pairing_is_posted(struct pairing *pairing, uint64_t id);
void zcbi_pairing_withdraw(struct pairing *pairing, uint64_t id);

/* Gives a message that is to be sent the posted receive that it is for, or none yet (id 0); *send_flags says how it goes.
 * The receive's post, *taken, is then the caller's, or NULL: give it back by zcbi_pairing_unmatch and _repost, or free it.
 * ZCB_ERR_REFUSED, and *taken: that receive has failed. ZCB_ERR_TOO_LARGE: it is to hold the message in place, and
 * frame_bytes are too few; it goes on waiting. */
zcb_error zcbi_pairing_match(struct pairing *pairing, zcb_message *message, uint64_t frame_bytes,
                             uint32_t *send_flags, struct post **taken);
/* The message is withdrawn. The post of the receive that it was for, or that was told to take it meanwhile, is then the
 * caller's: NULL when none was. */
struct post *zcbi_pairing_unmatch(struct pairing *pairing, struct post *taken);
/* That receive waits again, as the first. */
void zcbi_pairing_repost(struct pairing *pairing, struct post *post);
/* The receive that was told last to take a message, or 0. */
uint64_t zcbi_pairing_taker(const struct pairing *pairing);

/* A message has come; true when it is an error that the user knows of already. */
bool zcbi_pairing_arrived(struct pairing *pairing, const zcb_message *message);
/* The user has seen the failure of this transfer: it hits no later send or receive. */
void zcbi_pairing_seen(struct pairing *pairing, uint64_t id);

#endif
