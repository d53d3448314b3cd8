/* The consumer: takes descriptors, checks them, copies or leases the bytes they name, and gives the
 * chunks back. */
#include "end.h"

#include <stdlib.h>
#include <string.h>

#define COPY_BYTES (UINT64_C(1) << 18) /* copied between two checks of the pace */

struct zcb_lease {
    zcb_channel *channel; /* a reference: keeps the mapping */
    const void *data;
    uint64_t bytes;
    uint32_t chunk; /* NO_CHUNK for a message of 0 bytes */
};

/* ---------------------------------------------------------------- waiting */

static bool data_ready(void *arg)
{
    zcb_channel *channel = arg;
    const struct consumer *rx = &channel->rx;
    return stream_published(rx->control) != rx->tail || stream_producer_closed(rx->control) ||
           zcbi_channel_state(channel);
}

struct source zcbi_rx_data_source(zcb_channel *channel)
{
    struct consumer *rx = &channel->rx;
    return (struct source){data_ready, channel, &rx->control->consumer_asleep, rx->data_bell};
}

/* Waits until there is a descriptor. */
static zcb_error wait_for_data(zcb_channel *channel, const zcb_wait *wait)
{
    struct consumer *rx = &channel->rx;
    for (;;) {
        zcb_error state = zcbi_channel_state(channel);
        if (state)
            return state;
        uint64_t head = stream_published(rx->control);
        if (head != rx->tail)
            return head - rx->tail > RING_ENTRIES ? zcbi_channel_fail(channel) : ZCB_OK;
        if (stream_producer_closed(rx->control) && stream_published(rx->control) == rx->tail)
            return ZCB_ERR_PEER_CLOSED;
        zcb_error error = zcbi_channel_wait(channel, zcbi_rx_data_source(channel), &rx->spin, wait);
        if (error)
            return error;
    }
}

/* ---------------------------------------------------------------- giving back */

static void ring_producer(const struct consumer *rx)
{
    doorbell_ring(&rx->control->producer_asleep, rx->room_bell);
}

void zcbi_rx_give_back(zcb_channel *channel, uint32_t chunk)
{
    struct consumer *rx = &channel->rx;
    zcbi_plat_mutex_lock(&rx->return_lock);
    stream_return(rx->control, rx->returns, rx->returned++, chunk);
    zcbi_plat_mutex_unlock(&rx->return_lock);
    ring_producer(rx);
}

/* The chunk of a whole message is given back with its last part. */
static void give_back_part(zcb_channel *channel)
{
    struct receiving *now = &channel->rx.now;
    if (now->chunk != NO_CHUNK && !now->leased && (!now->whole || now->last))
        zcbi_rx_give_back(channel, now->chunk);
    if (!now->whole || now->last)
        now->chunk = NO_CHUNK;
}

/* ---------------------------------------------------------------- descriptors */

static void end_message(zcb_channel *channel, bool complete)
{
    struct consumer *rx = &channel->rx;
    rx->now.active = false;
    rx->ended++;
    if (complete)
        atomic_fetch_add(&rx->received, 1); /* partner: zcb_channel_counts */
}

/* The bytes that a descriptor names lie inside this side's mapping. */
static bool descriptor_fits(const zcb_channel *channel, const struct descriptor *d)
{
    const struct geometry *geometry = &channel->region->geometry;
    uint64_t data_bytes = geometry->frame_bytes + geometry->window_bytes;
    if (d->bytes == 0)
        return d->chunk == NO_CHUNK && d->offset == 0;
    return d->chunk < CHUNKS && d->offset <= data_bytes && d->bytes <= data_bytes - d->offset;
}

/* The sender has committed the memory that it names. If a hostile one has not, touching the memory
 * would fault here. */
static bool part_is_there(const zcb_channel *channel, const struct descriptor *d)
{
    const struct region *region = channel->region;
    uint64_t data_at = (uint64_t)(channel->rx.data - region->memory.base);
    return d->bytes == 0 || zcbi_plat_memory_ensure(&region->memory, (size_t)(data_at + d->offset),
                                                    (size_t)d->bytes) == ZCB_OK;
}

static bool first_makes_sense(const struct descriptor *d)
{
    if (!(d->marks & MARK_FIRST) || (d->marks & MARK_ABORT) || d->kind == 0)
        return false;
    if (d->message_bytes == ZCB_OPEN_ENDED) /* with one part alone its length would be known */
        return d->bytes > 0 && !(d->marks & (MARK_WHOLE | MARK_LAST));
    return d->bytes <= d->message_bytes &&
           ((d->marks & MARK_LAST) != 0) == (d->bytes == d->message_bytes);
}

static bool next_of_open_makes_sense(const struct receiving *now, const struct descriptor *d)
{
    return !(d->marks & (MARK_FIRST | MARK_WHOLE)) && (d->bytes > 0 || (d->marks & MARK_LAST)) &&
           d->bytes < ZCB_OPEN_ENDED - now->arrived;
}

static bool next_makes_sense(const struct receiving *now, const struct descriptor *d)
{
    if (now->message.bytes == ZCB_OPEN_ENDED)
        return next_of_open_makes_sense(now, d);
    if ((d->marks & MARK_FIRST) || d->bytes == 0 || d->bytes > now->message.bytes - now->arrived)
        return false;
    if (((d->marks & MARK_LAST) != 0) != (d->bytes == now->message.bytes - now->arrived))
        return false;
    if (((d->marks & MARK_WHOLE) != 0) != now->whole)
        return false;
    return !now->whole || (d->chunk == now->chunk && d->offset == now->offset + now->left);
}

/* Takes the next descriptor into `now`. ZCB_ERR_ABORTED when it ends the message without
 * success. */
static zcb_error take_descriptor(zcb_channel *channel)
{
    struct consumer *rx = &channel->rx;
    struct receiving *now = &rx->now;
    struct descriptor d;
    /* Read once; from here on only the copy is used. */
    memcpy(&d, &rx->ring[rx->tail & RING_MASK], sizeof(d));
    stream_take(rx->control, ++rx->tail);
    ring_producer(rx);
    if (!descriptor_fits(channel, &d) || !part_is_there(channel, &d))
        return zcbi_channel_fail(channel);
    if (!now->active) {
        if (!first_makes_sense(&d))
            return zcbi_channel_fail(channel);
        *now = (struct receiving){
            .active = true, .whole = (d.marks & MARK_WHOLE) != 0, .offset = d.offset};
        now->message = (zcb_message){d.kind, d.flags, d.id, d.message_bytes};
    } else if (d.marks & MARK_ABORT) {
        if (now->whole && now->chunk != NO_CHUNK)
            zcbi_rx_give_back(channel, now->chunk);
        end_message(channel, false);
        return ZCB_ERR_ABORTED;
    } else if (!next_makes_sense(now, &d)) {
        return zcbi_channel_fail(channel);
    }
    if (!now->whole || now->left == 0)
        now->offset = d.offset;
    now->chunk = d.chunk;
    now->left += d.bytes;
    now->arrived += d.bytes;
    now->last = (d.marks & MARK_LAST) != 0;
    return ZCB_OK;
}

/* Waits for the next part of the current message. Parts that lay in the ring when the call began
 * may be taken after its deadline; later ones may not, or a sender without end would hold the
 * call. */
static zcb_error take_part(zcb_channel *channel, struct pace *pace)
{
    zcb_error error = zcbi_pace_check(pace);
    if (!error && pace->parts++ >= RING_ENTRIES && zcbi_plat_now_ns() >= wait_deadline(pace->wait))
        error = ZCB_ERR_TIMEOUT;
    if (!error)
        error = wait_for_data(channel, pace->wait);
    return error ? error : take_descriptor(channel);
}

/* Gives back the rest of a message that is not wanted. */
static zcb_error discard_message(zcb_channel *channel, const zcb_wait *wait)
{
    struct receiving *now = &channel->rx.now;
    struct pace pace;
    zcbi_pace_init(&pace, wait);
    for (;;) {
        now->offset += now->left;
        now->left = 0;
        give_back_part(channel);
        if (now->last) {
            end_message(channel, true);
            return ZCB_OK;
        }
        zcb_error error = take_part(channel, &pace);
        if (error)
            return error == ZCB_ERR_ABORTED ? ZCB_OK : error;
    }
}

/* ---------------------------------------------------------------- the public calls */

void zcbi_rx_expect(zcb_channel *channel, zcb_wish wish)
{
    stream_wish(channel->rx.control, (uint32_t)wish);
    ring_producer(&channel->rx);
}

zcb_error zcbi_rx_wait(zcb_channel *channel, const struct source *others, unsigned count,
                       const zcb_wait *wait)
{
    struct source sources[WAIT_SOURCES] = {zcbi_rx_data_source(channel)};
    if (count >= WAIT_SOURCES)
        return ZCB_ERR_INVALID;
    memcpy(&sources[1], others, count * sizeof(*others));
    zcbi_rx_expect(channel, ZCB_WISH_COPY);
    return zcbi_wait_any(sources, 1 + count, channel->peer, &channel->rx.spin, wait);
}

bool zcbi_rx_has_part(const zcb_channel *channel)
{
    return channel->rx.now.left > 0;
}

void zcbi_rx_before_sleep(zcb_channel *channel, void (*prepare)(void *arg), void *arg)
{
    channel->rx.spin.before_sleep = prepare;
    channel->rx.spin.arg = arg;
}

bool zcbi_rx_is_ending(const zcb_channel *channel)
{
    return stream_producer_closed(channel->rx.control);
}

plat_handle zcbi_rx_standby_bell(const zcb_channel *channel)
{
    return channel->rx.standby_bell;
}

void zcbi_rx_arm_standby(zcb_channel *channel)
{
    zcbi_rx_expect(channel, ZCB_WISH_COPY);
    doorbell_sleep(&channel->rx.control->consumer_asleep, SLEEP_STANDBY);
}

void zcbi_rx_disarm_standby(zcb_channel *channel)
{
    doorbell_rise(&channel->rx.control->consumer_asleep);
}

static zcb_error next_message(zcb_channel *channel, zcb_message *message, const zcb_wait *wait)
{
    struct receiving *now = &channel->rx.now;
    if (now->active) {
        zcb_error error = discard_message(channel, wait);
        if (error)
            return error;
    }
    zcb_error error = wait_for_data(channel, wait);
    if (!error)
        error = take_descriptor(channel);
    if (!error)
        *message = now->message;
    return error;
}

zcb_error zcb_receive_begin(zcb_channel *channel, zcb_wish wish, zcb_message *message,
                            const zcb_wait *wait)
{
    if (!channel || !message || (wish != ZCB_WISH_COPY && wish != ZCB_WISH_LEASE))
        return ZCB_ERR_INVALID;
    struct consumer *rx = &channel->rx;
    zcb_error error = zcbi_channel_acquire(channel, &rx->lock, wait);
    if (error)
        return error;
    zcbi_rx_expect(channel, wish);
    error = next_message(channel, message, wait);
    if (error) {
        stream_wish(rx->control, 0);
        zcbi_ticket_lock_release(&rx->lock);
    }
    return error;
}

/* Gives the current part back and takes the next one. */
static zcb_error next_part(zcb_channel *channel, struct pace *pace)
{
    give_back_part(channel);
    return channel->rx.now.last ? ZCB_ERR_INVALID : take_part(channel, pace);
}

zcb_error zcbi_rx_read(zcb_channel *channel, void *destination, size_t bytes, size_t *done,
                       const zcb_wait *wait)
{
    struct consumer *rx = &channel->rx;
    struct receiving *now = &rx->now;
    unsigned char *to = destination;
    if (!now->active || now->leased || bytes > now->message.bytes - now->read)
        return ZCB_ERR_INVALID;
    struct pace pace;
    zcbi_channel_pace_init(&pace, wait);
    while (bytes > 0) {
        if (now->left == 0 && now->last && now->message.bytes == ZCB_OPEN_ENDED)
            return ZCB_OK; /* the message has ended */
        zcb_error error = now->left == 0 ? next_part(channel, &pace) : zcbi_pace_check(&pace);
        if (error)
            return error;
        size_t step = bytes < now->left ? bytes : (size_t)now->left;
        if (step > COPY_BYTES)
            step = COPY_BYTES;
        memcpy(to, rx->data + now->offset, step);
        to += step;
        bytes -= step;
        now->offset += step;
        now->left -= step;
        now->read += step;
        *done += step;
        pace.copied += step;
        if (now->left == 0)
            give_back_part(channel);
    }
    return ZCB_OK;
}

zcb_error zcb_receive_read(zcb_channel *channel, void *destination, size_t bytes, size_t *done,
                           const zcb_wait *wait)
{
    size_t unasked = 0;
    if (!zcbi_channel_owned(channel))
        return ZCB_ERR_FORKED;
    return zcbi_rx_read(channel, destination, bytes, done ? done : &unasked, wait);
}

zcb_error zcb_receive_end(zcb_channel *channel)
{
    struct consumer *rx = &channel->rx;
    struct receiving *now = &rx->now;
    if (!zcbi_channel_owned(channel))
        return ZCB_ERR_FORKED;
    if (!now->active || (!now->leased && !(now->last && now->left == 0)))
        return ZCB_ERR_INVALID;
    give_back_part(channel);
    end_message(channel, true);
    stream_wish(rx->control, 0);
    zcbi_ticket_lock_release(&rx->lock);
    return ZCB_OK;
}

void zcb_receive_drop(zcb_channel *channel)
{
    struct consumer *rx = &channel->rx;
    if (!zcbi_channel_owned(channel))
        return;
    if (rx->now.active && !rx->now.leased) {
        zcb_wait now = {0};
        stream_drop(rx->control, rx->ended);
        ring_producer(rx);
        (void)discard_message(channel, &now);
    } else if (rx->now.active) {
        end_message(channel, true);
    }
    stream_wish(rx->control, 0);
    zcbi_ticket_lock_release(&rx->lock);
}

/* ---------------------------------------------------------------- leases */

zcb_error zcb_receive_lease(zcb_channel *channel, zcb_lease **lease, const zcb_wait *wait)
{
    struct consumer *rx = &channel->rx;
    struct receiving *now = &rx->now;
    if (!zcbi_channel_owned(channel))
        return ZCB_ERR_FORKED;
    if (!now->active || now->leased || now->read > 0)
        return ZCB_ERR_INVALID;
    if (!now->whole)
        return ZCB_ERR_TOO_LARGE;
    struct pace pace;
    zcbi_pace_init(&pace, wait);
    while (!now->last) {
        zcb_error error = take_part(channel, &pace);
        if (error)
            return error;
    }
    zcb_lease *made = malloc(sizeof(*made));
    if (!made)
        return ZCB_ERR_NO_MEMORY;
    *made = (zcb_lease){channel, rx->data + now->offset, now->message.bytes, now->chunk};
    zcbi_channel_keep(channel);
    now->leased = true;
    *lease = made;
    return ZCB_OK;
}

const void *zcb_lease_data(const zcb_lease *lease)
{
    return lease->data;
}

uint64_t zcb_lease_bytes(const zcb_lease *lease)
{
    return lease->bytes;
}

void zcb_lease_free(zcb_lease *lease)
{
    if (!lease)
        return;
    if (lease->chunk != NO_CHUNK && zcbi_channel_owned(lease->channel))
        zcbi_rx_give_back(lease->channel, lease->chunk);
    zcbi_channel_release(lease->channel);
    free(lease);
}
