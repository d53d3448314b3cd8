/* A ticket lock: it is given in the order of asking, and its wait can time out, be cancelled and be
 * interrupted. For what may be held while waiting for another process. */
#ifndef ZCB_TURN_H
#define ZCB_TURN_H

#include "waiter.h"

struct turn {
    plat_mutex lock;
    bool taken;
    bool ended;
    struct waiter *first;
};

void zcbi_turn_init(struct turn *turn);
void zcbi_turn_destroy(struct turn *turn);
/* ZCB_ERR_CLOSED when the turn was ended while somebody else had it, and the errors of a wait. */
zcb_error zcbi_turn_take(struct turn *turn, const zcb_wait *wait);
/* The same, and ZCB_ERR_WATCHED when `watched` (may be NULL) is ready first. */
zcb_error zcbi_turn_take_unless(struct turn *turn, const struct source *watched,
                                const zcb_wait *wait);
void zcbi_turn_give(struct turn *turn);
/* Nobody waits in line any more, now or later. Whoever has the turn keeps it until zcbi_turn_give. */
void zcbi_turn_end(struct turn *turn);

#endif
