/* The checks that a call makes now and then while it copies. */
#ifndef ZCB_PACE_H
#define ZCB_PACE_H

#include "wait.h"

/* Of one call. */
struct pace {
    const zcb_wait *wait;  /* may be NULL */
    int64_t next_ns;       /* when `interrupted` is called next */
    struct source watched; /* wait->watch; without `ready`: none */
    uint64_t copied;       /* bytes; the copying function counts them */
    uint32_t parts;        /* of a message, that take_part has waited for */
};

void zcbi_pace_init(struct pace *pace, const zcb_wait *wait);
/* ZCB_ERR_INTERRUPTED, _CANCELLED or _WATCHED when the copying is to end. */
zcb_error zcbi_pace_check(struct pace *pace);

#endif
