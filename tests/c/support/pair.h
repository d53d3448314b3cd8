/* A channel with both ends in this process. */
#ifndef ZCB_TEST_PAIR_H
#define ZCB_TEST_PAIR_H

#include "channel/block.h"
#include "support.h"

#define FRAME (UINT64_C(1) << 20)
#define WINDOW (UINT64_C(256) << 10)
#define PIECE (UINT64_C(64) << 10)

struct pair {
    zcb_channel *a, *b;
    uint64_t head; /* descriptors that a test has published by hand, as b (hostile.h) */
};

struct pair make_pair(uint64_t frame_bytes, uint64_t window_bytes);
void free_pair(struct pair *pair);

/* The state of a test is a pair of FRAME and WINDOW. */
int set_up_pair(void **state);
int tear_down_pair(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_pair, tear_down_pair)

static inline _Atomic uint32_t *sender_asleep(zcb_channel *channel)
{
    return &channel->tx.control->producer_asleep;
}

static inline _Atomic uint32_t *receiver_asleep(zcb_channel *channel)
{
    return &channel->rx.control->consumer_asleep;
}

#endif
