/* Messages through a pair of channel ends, whose contents follow from their ids; and calls that wait, each on a
 * thread of its own. */
#ifndef ZCB_TEST_MESSAGES_H
#define ZCB_TEST_MESSAGES_H

#include "pair.h"

#define LONGEST (3 * FRAME + 17) /* too long for the frame */

zcb_message message_of(uint64_t id, uint64_t bytes);
bool is_message(const zcb_message *message, const void *payload);

zcb_error send_filled(zcb_channel *channel, uint64_t id, uint64_t bytes, const zcb_wait *wait);
/* Reads the rest of the message: true when the message is whole and right. */
bool finish_by_copy(zcb_channel *channel, const zcb_message *message, const zcb_wait *wait);
bool receive_right(zcb_channel *channel, zcb_wish wish, zcb_message *message, const zcb_wait *wait);
void assert_received(zcb_channel *channel, uint64_t id, uint64_t bytes);
void assert_empty(zcb_channel *channel);
zcb_lease *take_lease(zcb_channel *channel, zcb_message *message);

/* Both directions carry messages, and nothing else is there. */
void assert_works(struct pair *pair);
/* Sends a whole frame's worth, so that nothing is leaked of it. */
void assert_frame_is_free(struct pair *pair);

/* A call on a thread of its own. */
struct call {
    zcb_channel *channel;
    zcb_wait wait;
    uint64_t id, bytes;
    zcb_error error;
    zcb_message message;
};

void *run_send(void *call);
void *run_begin(void *call);

void await_in_line(struct ticket_lock *lock);
/* Sends so much of a message that it shows, as a sender does that is slow. */
void send_a_part(struct pair *pair, uint64_t id, const unsigned char *payload, size_t part);
/* The receiver takes some of a long message and no more; the sender fills the window and sleeps. */
pthread_t start_stuck_sender(struct pair *pair, struct call *call, size_t taken);

/* What is left of a message, to be read or written on a thread of its own. */
struct rest {
    zcb_channel *channel;
    unsigned char *payload;
    size_t bytes, done;
    zcb_wait wait;
    zcb_error error;
};

void *read_rest(void *rest);
void *write_rest(void *rest);

/* Two channels: one is used, the other is watched. */
struct two {
    struct pair used, watched;
    struct call call;
};

struct two make_two(uint64_t frame_bytes);
void free_two(struct two *two);

#endif
