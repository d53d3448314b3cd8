#include "flood.h"
#include "channel/block.h"

static void *flow(void *arg)
{
    struct flood *flood = arg;
    struct consumer *rx = &flood->victim->rx;
    while (!atomic_load(&flood->stop))
        atomic_store(&rx->control->head, atomic_load(&rx->control->tail) + RING_ENTRIES);
    return NULL;
}

void await_flow(struct flood *flood)
{
    struct consumer *rx = &flood->victim->rx;
    while (atomic_load(&rx->control->head) == rx->tail)
        sched_yield();
}

void start_flood(struct flood *flood)
{
    struct consumer *rx = &flood->victim->rx;
    struct descriptor *ring = (struct descriptor *)(uintptr_t)rx->ring;
    for (unsigned i = 0; i < RING_ENTRIES; i++)
        ring[i] = flood->part;
    flood->thread = start_thread(flow, flood);
    await_flow(flood);
}

void stop_flood(struct flood *flood)
{
    atomic_store(&flood->stop, 1);
    join_thread(flood->thread);
}
