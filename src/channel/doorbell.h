/*
 * Every access to the control page and the return ring of a stream. Each store stands beside the
 * loads that are its partners. (Descriptors, payload and the region's header are read and written
 * elsewhere.)
 *
 * Two rules order them.
 *   Publishing  The entries that a count covers (descriptors, returned chunks) are written before
 *               the count is stored, and read after the count was loaded: store-release,
 *               load-acquire.
 *   Doorbells   One side stores the value that the other waits for, and then looks whether the
 *               other sleeps. The other says that it sleeps, and then looks at the value once more.
 *               All four are sequentially consistent, so at least one side sees the other
 *               (models/wait.pml).
 *
 * No value that is loaded here is trusted: callers check it.
 */
#ifndef ZCB_DOORBELL_H
#define ZCB_DOORBELL_H

#include "layout.h"

/* ---- descriptors: the producer publishes, the consumer takes ---- */

static inline void stream_publish(struct stream_control *control, uint64_t head)
{
    /* partner: stream_published */
    atomic_store(&control->head, head);
}

static inline uint64_t stream_published(const struct stream_control *control)
{
    /* partner: stream_publish */
    return atomic_load(&control->head);
}

static inline void stream_take(struct stream_control *control, uint64_t tail)
{
    /* partner: stream_taken */
    atomic_store(&control->tail, tail);
}

static inline uint64_t stream_taken(const struct stream_control *control)
{
    /* partner: stream_take */
    return atomic_load(&control->tail);
}

/* ---- messages: the producer counts those that it has sent completely ---- */

static inline void stream_count_sent(struct stream_control *control, uint64_t messages)
{
    /* partner: stream_sent */
    atomic_store_explicit(&control->sent, messages, memory_order_release);
}

static inline uint64_t stream_sent(const struct stream_control *control)
{
    /* partner: stream_count_sent */
    return atomic_load_explicit(&control->sent, memory_order_acquire);
}

/* ---- chunks: the consumer gives them back, the producer collects them ---- */

/* Gives a chunk back, after `returned` others. */
static inline void stream_return(struct stream_control *control, _Atomic uint32_t *returns,
                                 uint64_t returned, uint32_t chunk)
{
    /* partner: stream_returned_chunk */
    atomic_store_explicit(&returns[returned % CHUNKS], chunk, memory_order_relaxed);
    /* partner: stream_returned */
    atomic_store(&control->returned, returned + 1);
}

static inline uint64_t stream_returned(const struct stream_control *control)
{
    /* partner: stream_return */
    return atomic_load(&control->returned);
}

static inline uint32_t stream_returned_chunk(_Atomic uint32_t *returns, uint64_t returned)
{
    /* partner: stream_return */
    return atomic_load_explicit(&returns[returned % CHUNKS], memory_order_relaxed);
}

/* ---- wishes of the consumer ---- */

/* wish: a zcb_wish while a thread waits for a message, else 0. */
static inline void stream_wish(struct stream_control *control, uint32_t wish)
{
    /* partner: stream_wished */
    atomic_store(&control->wish, wish);
}

static inline uint32_t stream_wished(const struct stream_control *control)
{
    /* partner: stream_wish */
    return atomic_load(&control->wish);
}

/* The consumer drops the message with this number. */
static inline void stream_drop(struct stream_control *control, uint64_t number)
{
    /* partner: stream_dropped */
    atomic_store(&control->dropped, number + 1);
}

static inline bool stream_dropped(const struct stream_control *control, uint64_t number)
{
    /* partner: stream_drop */
    return atomic_load(&control->dropped) == number + 1;
}

/* ---- the ends ---- */

static inline void stream_close_producer(struct stream_control *control)
{
    /* partner: stream_producer_closed */
    atomic_store(&control->producer_closed, 1);
}

static inline bool stream_producer_closed(const struct stream_control *control)
{
    /* partner: stream_close_producer */
    return atomic_load(&control->producer_closed) != 0;
}

static inline void stream_close_consumer(struct stream_control *control)
{
    /* partner: stream_consumer_closed */
    atomic_store(&control->consumer_closed, 1);
}

static inline bool stream_consumer_closed(const struct stream_control *control)
{
    /* partner: stream_close_consumer */
    return atomic_load(&control->consumer_closed) != 0;
}

/* ---- doorbells ---- */

/* Says that this side sleeps. sleeper: an enum sleep. A look at the awaited value must follow. */
static inline void doorbell_sleep(_Atomic uint32_t *asleep, uint32_t sleeper)
{
    /* partner: doorbell_take_sleeper */
    atomic_store(asleep, sleeper);
}

static inline void doorbell_rise(_Atomic uint32_t *asleep)
{
    /* partner: doorbell_take_sleeper */
    atomic_store(asleep, SLEEP_NONE);
}

static inline uint32_t doorbell_sleeper(const _Atomic uint32_t *asleep)
{
    /* partner: doorbell_sleep */
    return atomic_load(asleep);
}

/* The enum sleep of the side that slept: this caller alone must ring for it. */
static inline uint32_t doorbell_take_sleeper(_Atomic uint32_t *asleep)
{
    /* partner: doorbell_sleep */
    return atomic_load(asleep) == SLEEP_NONE ? (uint32_t)SLEEP_NONE
                                             : atomic_exchange(asleep, SLEEP_NONE);
}

/* Wakes the side that sleeps on this bell, if it does. The store of the awaited value must
 * precede. */
static inline void doorbell_ring(_Atomic uint32_t *asleep, plat_handle bell)
{
    if (doorbell_take_sleeper(asleep) != SLEEP_NONE)
        zcbi_plat_event_set(bell);
}

#endif
