/* A channel's end: making it, keeping it, closing it. */
#include "end.h"

#include <stdlib.h>

#include "block.h"
#include "platform/error.h"

/* A sender that waits for room is a whole window ahead of its receiver: it need not spin long. */
#define ROOM_SPIN_NS 10000

/* ---------------------------------------------------------------- making */

static zcb_error producer_init(struct producer *tx, struct region *region, int stream)
{
    const struct geometry *geometry = &region->geometry;
    unsigned char *base = region->memory.base;
    tx->control = (struct stream_control *)(void *)(base + geometry->control_at[stream]);
    tx->returns = (_Atomic uint32_t *)(void *)(base + geometry->returns_at[stream]);
    tx->ring = (struct descriptor *)(void *)(base + geometry->ring_at[stream]);
    tx->ring_at = geometry->ring_at[stream];
    tx->data_bell = region->bells[stream == 0 ? BELL_DATA_0 : BELL_DATA_1];
    tx->standby_bell = stream == 0 ? PLAT_NO_HANDLE : region->bells[BELL_STANDBY_1];
    tx->room_bell = region->bells[stream == 0 ? BELL_ROOM_0 : BELL_ROOM_1];
    tx->spin.max_ns = ROOM_SPIN_NS;
    zcbi_ticket_lock_init(&tx->lock);
    zcbi_plat_mutex_init(&tx->block_lock);
    return zcbi_frame_init(&tx->frame, geometry, &region->memory, geometry->data_at[stream]);
}

static void consumer_init(struct consumer *rx, struct region *region, int stream)
{
    const struct geometry *geometry = &region->geometry;
    unsigned char *base = region->memory.base;
    rx->control = (struct stream_control *)(void *)(base + geometry->control_at[stream]);
    rx->returns = (_Atomic uint32_t *)(void *)(base + geometry->returns_at[stream]);
    rx->ring = (const struct descriptor *)(void *)(base + geometry->ring_at[stream]);
    rx->data = base + geometry->data_at[stream];
    rx->data_bell = region->bells[stream == 0 ? BELL_DATA_0 : BELL_DATA_1];
    rx->standby_bell = stream == 0 ? PLAT_NO_HANDLE : region->bells[BELL_STANDBY_1];
    rx->room_bell = region->bells[stream == 0 ? BELL_ROOM_0 : BELL_ROOM_1];
    zcbi_ticket_lock_init(&rx->lock);
    zcbi_plat_mutex_init(&rx->return_lock);
}

/* Adds a reference to the region. sends: the stream that this end produces. */
static zcb_error end_create(struct region *region, int sends, plat_handle peer,
                            zcb_channel **channel)
{
    zcb_channel *made = calloc(1, sizeof(*made));
    if (!made)
        return ZCB_ERR_NO_MEMORY;
    zcb_error error = producer_init(&made->tx, region, sends);
    if (error) {
        zcbi_ticket_lock_destroy(&made->tx.lock);
        zcbi_plat_mutex_destroy(&made->tx.block_lock);
        free(made);
        return error;
    }
    consumer_init(&made->rx, region, 1 - sends);
    zcbi_region_reference(region);
    made->region = region;
    made->peer = peer;
    zcbi_plat_fork_mark_init(&made->owner);
    atomic_init(&made->users, 1);
    atomic_init(&made->references, 1);
    *channel = made;
    return ZCB_OK;
}

zcb_error zcbi_channel_open(const zcb_channel_options *options, plat_handle peer,
                            zcb_channel **channel)
{
    struct region *region;
    zcb_error error = zcbi_region_create(options, &region);
    if (error)
        return error;
    error = end_create(region, 0, peer, channel);
    zcbi_region_release(region);
    return error;
}

zcb_error zcbi_channel_join(const struct region_handles *handles, plat_handle peer,
                            zcb_channel **channel)
{
    struct region *region;
    zcb_error error = zcbi_region_attach(handles, &region);
    if (error)
        return error;
    error = end_create(region, 1, peer, channel);
    if (error)
        zcbi_region_mark_closed(region);
    zcbi_region_release(region);
    return error;
}

zcb_error zcb_channel_pair(const zcb_channel_options *options, zcb_channel **a, zcb_channel **b)
{
    if (!a || !b)
        return ZCB_ERR_INVALID;
    struct region *region;
    zcb_error error = zcbi_region_create(options, &region);
    if (error)
        return error;
    zcb_channel *first = NULL, *second = NULL;
    error = end_create(region, 0, PLAT_NO_HANDLE, &first);
    if (!error)
        error = end_create(region, 1, PLAT_NO_HANDLE, &second);
    zcbi_region_release(region);
    if (error) {
        zcb_channel_free(first);
        return error;
    }
    *a = first;
    *b = second;
    return ZCB_OK;
}

void zcbi_channel_handles(const zcb_channel *channel, struct region_handles *handles)
{
    zcbi_region_handles(channel->region, handles);
}

void zcbi_channel_set_peer(zcb_channel *channel, plat_handle peer)
{
    channel->peer = peer;
}

/* ---------------------------------------------------------------- keeping */

void zcbi_channel_add_user(zcb_channel *channel)
{
    atomic_fetch_add(&channel->users, 1); /* partner: zcb_channel_free */
    zcbi_channel_keep(channel);
}

void zcbi_channel_keep(zcb_channel *channel)
{
    atomic_fetch_add(&channel->references, 1); /* partner: zcbi_channel_release */
}

void zcbi_channel_release(zcb_channel *channel)
{
    if (atomic_fetch_sub(&channel->references, 1) != 1) /* partner: zcbi_channel_release */
        return;
    zcbi_frame_destroy(&channel->tx.frame);
    zcbi_ticket_lock_destroy(&channel->tx.lock);
    zcbi_ticket_lock_destroy(&channel->rx.lock);
    zcbi_plat_mutex_destroy(&channel->tx.block_lock);
    zcbi_plat_mutex_destroy(&channel->rx.return_lock);
    zcbi_plat_fork_mark_destroy(&channel->owner);
    zcbi_region_release(channel->region);
    free(channel);
}

void zcb_channel_free(zcb_channel *channel)
{
    if (!channel)
        return;
    if (atomic_fetch_sub(&channel->users, 1) == 1) /* partner: zcb_channel_free */
        zcb_channel_close(channel);
    zcbi_channel_release(channel);
}

bool zcbi_channel_owned(const zcb_channel *channel)
{
    return !zcbi_plat_forked(&channel->owner);
}

zcb_error zcbi_channel_state(const zcb_channel *channel)
{
    if (!zcbi_channel_owned(channel))
        return ZCB_ERR_FORKED;
    if (atomic_load(&channel->protocol)) /* partner: zcbi_channel_fail */
        return ZCB_ERR_PROTOCOL;
    return atomic_load(&channel->closed) ? ZCB_ERR_CLOSED : ZCB_OK; /* partner: zcb_channel_close */
}

uint64_t zcb_channel_frame_bytes(const zcb_channel *channel)
{
    return channel->region->geometry.frame_bytes;
}

void zcb_channel_counts(zcb_channel *channel, uint64_t *sent, uint64_t *received)
{
    *sent = stream_sent(channel->rx.control);
    *received = atomic_load(&channel->rx.received); /* partner: end_message */
}

/* ---------------------------------------------------------------- waiting */

zcb_error zcbi_channel_acquire(zcb_channel *channel, struct ticket_lock *lock, const zcb_wait *wait)
{
    struct source watched;
    bool watches = wait && wait->watch;
    if (watches)
        watched = zcbi_rx_data_source(wait->watch);
    zcb_error error = zcbi_channel_state(channel);
    if (!error)
        error = zcbi_ticket_lock_acquire_unless(lock, watches ? &watched : NULL, wait);
    return error == ZCB_ERR_CLOSED ? zcbi_channel_state(channel) : error;
}

zcb_error zcbi_channel_wait(const zcb_channel *channel, struct source source, struct spin *spin,
                            const zcb_wait *wait)
{
    struct source sources[2] = {source};
    if (!wait || !wait->watch)
        return zcbi_wait_any(sources, 1, channel->peer, spin, wait);
    sources[1] = zcbi_rx_data_source(wait->watch);
    /* A message that has to stream comes only to a receiver that says that it waits. */
    zcbi_rx_expect(wait->watch, ZCB_WISH_COPY);
    zcb_error error = zcbi_wait_any(sources, 2, channel->peer, spin, wait);
    stream_wish(wait->watch->rx.control, 0);
    return error || source.ready(source.arg) ? error : ZCB_ERR_WATCHED;
}

void zcbi_channel_pace_init(struct pace *pace, const zcb_wait *wait)
{
    zcbi_pace_init(pace, wait);
    if (wait && wait->watch)
        pace->watched = zcbi_rx_data_source(wait->watch);
}

/* ---------------------------------------------------------------- closing */

/* Closes both streams: the flags first, then all bells, whether a side says that it sleeps or not.
 * The bells are cleared before: setting a full one would wait if the other process had made it
 * blocking. */
static void close_streams(zcb_channel *channel)
{
    stream_close_producer(channel->tx.control);
    stream_close_consumer(channel->rx.control);
    for (int i = 0; i < BELLS; i++) {
        zcbi_plat_event_clear(channel->region->bells[i]);
        zcbi_plat_event_set(channel->region->bells[i]);
    }
    zcbi_ticket_lock_close(&channel->tx.lock);
    zcbi_ticket_lock_close(&channel->rx.lock);
}

zcb_error zcbi_channel_fail(zcb_channel *channel)
{
    if (atomic_exchange(&channel->protocol, 1) == 0) /* partner: zcbi_channel_state */
        close_streams(channel);
    return ZCB_ERR_PROTOCOL;
}

void zcb_channel_close(zcb_channel *channel)
{
    if (!channel || !zcbi_channel_owned(channel))
        return;
    if (atomic_exchange(&channel->closed, 1) == 0) /* partner: zcbi_channel_state */
        close_streams(channel);
}
