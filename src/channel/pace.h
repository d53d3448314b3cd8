/* What a call that copies does now and then. */
#ifndef ZCB_PACE_H
#define ZCB_PACE_H

#include "wait.h"

/* Asks `interrupted` now and then while bytes are copied, and minds what is watched. */
struct pace {
    const zcb_wait *wait;
    int64_t next_ns;
    struct source watched; /* or no `ready` */
    uint64_t copied;       /* counted up by whoever copies */
    uint32_t parts;        /* of a message, that were waited for */
};

void zcbi_pace_init(struct pace *pace, const zcb_wait *wait);
/* ZCB_ERR_INTERRUPTED, _CANCELLED or _WATCHED when the copying is to end. */
zcb_error zcbi_pace_check(struct pace *pace);

#endif
