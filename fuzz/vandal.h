/* A hostile peer of a channel: writes boundary, random and replayed values into what is shared, and well-formed
 * messages in between, so that its nonsense meets every state of the other side. */
#ifndef ZCB_FUZZ_VANDAL_H
#define ZCB_FUZZ_VANDAL_H

#include "channel/block.h"
#include "input.h"

#define FORMER_VALUES 16u

struct vandal {
    const struct geometry *geometry;
    unsigned char *base;
    int sends; /* the stream that it produces; it consumes the other one */
    uint64_t head, sent;
    uint64_t tail, returned;
    uint64_t former[FORMER_VALUES]; /* what fields held before it wrote them */
    unsigned formers;
    struct {
        _Atomic uint64_t *counter; /* or NULL */
        _Atomic uint32_t *flag;    /* or NULL */
        uint64_t before, after;
    } last; /* the last field that it wrote */
};

/* The other side of `victim`, whose mapping it shares. */
void vandal_init(struct vandal *vandal, const zcb_channel *victim);
/* A value for a field that holds `now`. */
uint64_t vandal_value(struct vandal *vandal, struct input *input, uint64_t now);
/* Writes one field, of either side. */
void vandal_scribble(struct vandal *vandal, struct input *input);
/* Takes that back, unless something else has been written there. */
void vandal_undo(struct vandal *vandal);
/* Publishes a descriptor that is right but for a field. */
void vandal_publish(struct vandal *vandal, struct input *input);
/* There is room in the ring for a message of a few parts. */
bool vandal_has_room(const struct vandal *vandal);
/* Sends a message in so many parts. */
void vandal_send(struct vandal *vandal, const zcb_message *message, const void *payload,
                 unsigned parts);
/* Sends an open-ended message in so many pieces. end: 0, none yet; 1, given up; else behind the last piece. */
void vandal_send_open_ended(struct vandal *vandal, const void *payload, uint64_t bytes,
                            unsigned pieces, unsigned end);
/* Says what it waits for a message for: a zcb_wish, or 0. */
void vandal_expect(struct vandal *vandal, uint32_t wish);
/* Takes one descriptor, and gives its block back, as a consumer should, or keeps it. */
void vandal_consume(struct vandal *vandal, bool gives_back);

#endif
