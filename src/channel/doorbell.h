/*
 * Every access to what the two processes of a stream share, but for the payload, the descriptors and the
 * header: each store beside the loads that are its partners.
 *
 * Two rules order them.
 *   Publishing  What a count covers (descriptors, returned blocks) is written before the count is stored, and
 *               read after the count was loaded: store-release, load-acquire.
 *   Doorbells   The one side stores what the other waits for and then looks whether it sleeps; the other says
 *               that it sleeps and then looks once more. Store and look on both sides are sequentially
 *               consistent, so that at least one of the two sees the other (models/wait.pml).
 *
 * Nothing that is loaded here is trusted: callers check it.
 */
#ifndef ZCB_DOORBELL_H
#define ZCB_DOORBELL_H

#include "layout.h"

/* ---- descriptors: the producer publishes, the consumer takes ---- */

static inline void stream_publish(struct stream_control *control, uint64_t head)
{
    atomic_store(&control->head, head);
}

static inline uint64_t stream_published(const struct stream_control *control)
{
    return atomic_load(&control->head);
}

static inline void stream_take(struct stream_control *control, uint64_t tail)
{
    atomic_store(&control->tail, tail);
}

static inline uint64_t stream_taken(const struct stream_control *control)
{
    return atomic_load(&control->tail);
}

/* ---- whole messages: the producer counts what it has sent completely ---- */

static inline void stream_count_sent(struct stream_control *control, uint64_t messages)
{
    atomic_store_explicit(&control->sent, messages, memory_order_release);
}

static inline uint64_t stream_sent(const struct stream_control *control)
{
    return atomic_load_explicit(&control->sent, memory_order_acquire);
}

/* ---- blocks: the consumer gives them back, the producer takes them in ---- */

/* The `returned`-th block of the stream goes back. */
static inline void stream_return(struct stream_control *control, _Atomic uint32_t *returns,
                                 uint64_t returned, uint32_t block)
{
    atomic_store_explicit(&returns[returned % BLOCKS], block, memory_order_relaxed);
    atomic_store(&control->returned, returned + 1);
}

static inline uint64_t stream_returned(const struct stream_control *control)
{
    return atomic_load(&control->returned);
}

static inline uint32_t stream_returned_block(_Atomic uint32_t *returns, uint64_t returned)
{
    return atomic_load_explicit(&returns[returned % BLOCKS], memory_order_relaxed);
}

/* ---- what the consumer wishes ---- */

/* A zcb_wish while somebody waits for a message, else 0. */
static inline void stream_wish(struct stream_control *control, uint32_t wish)
{
    atomic_store(&control->wish, wish);
}

static inline uint32_t stream_wished(const struct stream_control *control)
{
    return atomic_load(&control->wish);
}

/* The consumer drops the message with this number. */
static inline void stream_drop(struct stream_control *control, uint64_t number)
{
    atomic_store(&control->dropped, number + 1);
}

static inline bool stream_dropped(const struct stream_control *control, uint64_t number)
{
    return atomic_load(&control->dropped) == number + 1;
}

/* ---- the ends ---- */

static inline void stream_close_producer(struct stream_control *control)
{
    atomic_store(&control->producer_closed, 1);
}

static inline bool stream_producer_closed(const struct stream_control *control)
{
    return atomic_load(&control->producer_closed) != 0;
}

static inline void stream_close_consumer(struct stream_control *control)
{
    atomic_store(&control->consumer_closed, 1);
}

static inline bool stream_consumer_closed(const struct stream_control *control)
{
    return atomic_load(&control->consumer_closed) != 0;
}

/* ---- doorbells ---- */

/* Says who sleeps: an enum sleep. A look at what is waited for follows. */
static inline void doorbell_sleep(_Atomic uint32_t *asleep, uint32_t who)
{
    atomic_store(asleep, who);
}

static inline void doorbell_rise(_Atomic uint32_t *asleep)
{
    atomic_store(asleep, SLEEP_NONE);
}

static inline uint32_t doorbell_sleeper(const _Atomic uint32_t *asleep)
{
    return atomic_load(asleep);
}

/* Who slept, and is to be rung for by this caller alone. */
static inline uint32_t doorbell_take_sleeper(_Atomic uint32_t *asleep)
{
    return atomic_load(asleep) == SLEEP_NONE ? (uint32_t)SLEEP_NONE
                                             : atomic_exchange(asleep, SLEEP_NONE);
}

/* Wakes the one that sleeps at this doorbell, if any does. A store of what it waits for precedes. */
static inline void doorbell_ring(_Atomic uint32_t *asleep, plat_handle bell)
{
    if (doorbell_take_sleeper(asleep) != SLEEP_NONE)
        zcbi_plat_event_set(bell);
}

#endif
