/* A runtime for an agent: an owner is the memory itself. */
#ifndef ZCB_FUZZ_RUNTIME_H
#define ZCB_FUZZ_RUNTIME_H

#include <stdlib.h>

#include "zcb/zcb.h"

#define MOST_BYTES (UINT64_C(1) << 20) /* of one message */

static inline void *runtime_allocate(void *arg, uint64_t bytes, void **data, zcb_detail *why)
{
    (void)arg;
    (void)why;
    return *data = bytes <= MOST_BYTES ? malloc((size_t)bytes + 1) : NULL;
}

static inline void runtime_release(void *arg, void *owner)
{
    (void)arg;
    free(owner);
}

static inline void runtime_reclaim(void *arg, bool wait)
{
    (void)arg;
    (void)wait;
}

static const zcb_runtime runtime = {NULL, runtime_allocate, runtime_release, runtime_reclaim};

static inline void free_arrival(const zcb_arrival *arrival)
{
    free(arrival->target);
    free(arrival->memory);
    zcb_lease_free(arrival->lease);
}

#endif
