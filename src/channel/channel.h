/*
 * A channel's end, for the rooms above: what the public calls do not say. Everything else of a channel is
 * known in this room alone (end.h).
 */
#ifndef ZCB_CHANNEL_H
#define ZCB_CHANNEL_H

#include "region.h"
#include "wait.h"

/* Bytes somewhere. */
struct span {
    const void *data;
    size_t bytes;
};

/* ---- making and keeping ---- */

/* Makes the opener's end. options may be NULL. `peer` is borrowed: signalled when the other process has ended, or
 * PLAT_NO_HANDLE. Errors as zcb_channel_pair. */
zcb_error zcbi_channel_open(const zcb_channel_options *options, plat_handle peer,
                            zcb_channel **channel);
/* Makes the joiner's end from what the opener's process handed over, which it takes over, also on failure. Where
 * something is short here, the opener finds the channel closed. */
zcb_error zcbi_channel_join(const struct region_handles *handles, plat_handle peer,
                            zcb_channel **channel);
/* What another process joins it by; the handles stay the channel's. */
void zcbi_channel_handles(const zcb_channel *channel, struct region_handles *handles);
/* Before its first use by a second thread: the other process, once it is known. */
void zcbi_channel_set_peer(zcb_channel *channel, plat_handle peer);
/* zcb_channel_free gives it up. */
void zcbi_channel_add_user(zcb_channel *channel);
/* False in a forked child. */
bool zcbi_channel_owned(const zcb_channel *channel);
/* Why nothing more can be done here (_FORKED, _CLOSED, _PROTOCOL), or ZCB_OK. */
zcb_error zcbi_channel_state(const zcb_channel *channel);
/* The other side made no sense: nothing goes any more. Returns ZCB_ERR_PROTOCOL. */
zcb_error zcbi_channel_fail(zcb_channel *channel);

/* ---- sending. zcbi_tx_lock takes the sending turn; all but the room source is for its holder ---- */

enum send_flags {
    SEND_WHOLE =
        1,        /* in one piece while the frame has room for it: its receiver holds it in place */
    SEND_LAZY = 2 /* wakes no standby thread: zcbi_tx_flush does, or its sender's next wait */
};

zcb_error zcbi_tx_lock(zcb_channel *channel, const zcb_wait *wait);
void zcbi_tx_unlock(zcb_channel *channel);
/* ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED and _WATCHED leave the state as it was: call again with the rest.
 * After others, and to give up: zcbi_tx_abort. */
zcb_error zcbi_tx_begin(zcb_channel *channel, const zcb_message *message, uint32_t flags,
                        const zcb_wait *wait);
/* *written counts up by what was taken. */
zcb_error zcbi_tx_write(zcb_channel *channel, const void *bytes, size_t count, size_t *written,
                        const zcb_wait *wait);
void zcbi_tx_abort(zcb_channel *channel);
/* One whole message from parts; withdrawn on every error. */
zcb_error zcbi_tx_send(zcb_channel *channel, const zcb_message *message, uint32_t flags,
                       const struct span *parts, unsigned count, const zcb_wait *wait);
/* Wakes the consumer for what it has not taken yet. Any thread. */
void zcbi_tx_flush(zcb_channel *channel);
/* Ready when zcbi_tx_begin or _write may get further. */
struct source zcbi_tx_room_source(zcb_channel *channel);

/* ---- receiving ---- */

/* Ready when something can be received. */
struct source zcbi_rx_data_source(zcb_channel *channel);
/* Tells the producer that somebody is about to wait for a message. */
void zcbi_rx_expect(zcb_channel *channel, zcb_wish wish);
/* Tells it so, and waits until something can be received or one of `count` (< WAIT_SOURCES) others is ready. */
zcb_error zcbi_rx_wait(zcb_channel *channel, const struct source *others, unsigned count,
                       const zcb_wait *wait);
/* As zcb_receive_read, but *done counts up and an error leaves the state as it was: call again with the rest. */
zcb_error zcbi_rx_read(zcb_channel *channel, void *destination, size_t bytes, size_t *done,
                       const zcb_wait *wait);
/* Bytes of the current message are left to be read that have arrived. For the holder of the receiving turn. */
bool zcbi_rx_has_part(const zcb_channel *channel);
/* Calls `prepare` before a wait for data sleeps. Before the channel's first use by a second thread. */
void zcbi_rx_before_sleep(zcb_channel *channel, void (*prepare)(void *arg), void *arg);
/* The sender has closed its end: what was sent can still be received. */
bool zcbi_rx_is_ending(const zcb_channel *channel);

/* A standby thread sleeps on a bell of its own, which is rung, once, for what is not sent lazily. */
plat_handle zcbi_rx_standby_bell(const zcb_channel *channel);
/* From now on the bell is rung. A look at zcbi_rx_data_source follows. */
void zcbi_rx_arm_standby(zcb_channel *channel);
void zcbi_rx_disarm_standby(zcb_channel *channel);

#endif
