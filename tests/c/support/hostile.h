/* A peer that writes nonsense into what is shared: an error, never a crash. `b` is the peer, whose fields are written
 * by hand, and `a` is ours. */
#ifndef ZCB_TEST_HOSTILE_H
#define ZCB_TEST_HOSTILE_H

#include "pair.h"

#define SMALL_FRAME (UINT64_C(1) << 18)
#define DATA (SMALL_FRAME + WINDOW)

/* With SMALL_FRAME, and b's ring ready to be written. */
struct pair make_hostile_pair(void);
void publish(struct pair *pair, const struct descriptor *descriptor);
zcb_error begin_at_once(struct pair *pair, zcb_message *message);
zcb_error send_at_once(struct pair *pair, uint64_t bytes);
/* Nothing goes any more on our side, and the peer is told. */
void assert_channel_failed(struct pair *pair);

#endif
