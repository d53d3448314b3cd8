/* What an agent needs of its runtime, where an owner is the memory itself. */
#ifndef ZCB_TEST_PLAIN_RUNTIME_H
#define ZCB_TEST_PLAIN_RUNTIME_H

#include <stdlib.h>

#include "zcb/zcb.h"

static inline void *plain_allocate(void *arg, uint64_t bytes, void **data, zcb_detail *why)
{
    (void)arg;
    (void)why;
    return *data = malloc((size_t)bytes + 1);
}

static inline void plain_release(void *arg, void *owner)
{
    (void)arg;
    free(owner);
}

static inline void plain_reclaim(void *arg, bool wait)
{
    (void)arg;
    (void)wait;
}

#endif
