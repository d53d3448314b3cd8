/* Ends a wait for a result at its deadline although replies come without a pause. Such a wait never
 * sleeps, so zcbi_wait_any does not end it. */
#ifndef ZCB_LIMIT_H
#define ZCB_LIMIT_H

#include "channel/pace.h"

/* How long replies that have arrived may be read beyond a deadline. */
#define READ_ON_NS 20000000

struct limit {
    struct pace pace;
    int64_t end_ns;
};

void zcbi_limit_init(struct limit *limit, const zcb_wait *wait);
/* ZCB_ERR_TIMEOUT, _CANCELLED or _INTERRUPTED when the wait is to end. */
zcb_error zcbi_limit_check(struct limit *limit);

#endif
