/* The runtime of a fuzzed agent: no message is to take all memory. */
#ifndef ZCB_FUZZ_RUNTIME_H
#define ZCB_FUZZ_RUNTIME_H

#include "plain_runtime.h"

#define MOST_BYTES (UINT64_C(1) << 20) /* of one message */

static inline void *runtime_allocate(void *arg, uint64_t bytes, void **data, zcb_detail *why)
{
    return bytes <= MOST_BYTES ? plain_allocate(arg, bytes, data, why) : NULL;
}

static const zcb_runtime runtime = {NULL, runtime_allocate, plain_release, plain_reclaim};

static inline void free_arrival(const zcb_arrival *arrival)
{
    free(arrival->target);
    free(arrival->memory);
    zcb_lease_free(arrival->lease);
}

#endif
