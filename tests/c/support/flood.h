/* A peer that keeps the ring full of one descriptor, until it is told to stop. */
#ifndef ZCB_TEST_FLOOD_H
#define ZCB_TEST_FLOOD_H

#include "support.h"

/* Not every try meets a flood that the scheduler lets flow. */
#define TRIES 50

struct flood {
    zcb_channel *victim;
    struct descriptor part;
    _Atomic int stop;
    pthread_t thread;
};

void start_flood(struct flood *flood);
void await_flow(struct flood *flood);
void stop_flood(struct flood *flood);

#endif
