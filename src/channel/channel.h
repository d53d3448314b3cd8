/*
 * A channel's end, for the rooms above: the calls that zcb.h does not have. All else about a
 * channel is known in this room alone (end.h).
 */
#ifndef ZCB_CHANNEL_H
#define ZCB_CHANNEL_H

#include "region.h"
#include "wait.h"

/* Bytes that someone else owns. */
struct span {
    const void *data;
    size_t bytes;
};

/* ---- making and keeping ---- */

/* Makes the opener's end. options may be NULL. `peer` is a handle of the other process, borrowed,
 * or PLAT_NO_HANDLE. Errors as zcb_channel_pair. */
zcb_error zcbi_channel_open(const zcb_channel_options *options, plat_handle peer,
                            zcb_channel **channel);
/* Makes the joiner's end from the handles that the opener's process sent. Takes over the handles,
 * also on failure. Errors as zcbi_region_attach. */
zcb_error zcbi_channel_join(const struct region_handles *handles, plat_handle peer,
                            zcb_channel **channel);
/* Fills in what another process joins the channel by. The handles stay the channel's. */
void zcbi_channel_handles(const zcb_channel *channel, struct region_handles *handles);
/* Names the other process once it is known. Before the channel's first use by a second thread. */
void zcbi_channel_set_peer(zcb_channel *channel, plat_handle peer);
/* Adds a user: one more zcb_channel_free is due. */
void zcbi_channel_add_user(zcb_channel *channel);
/* False in a forked child. */
bool zcbi_channel_owned(const zcb_channel *channel);
/* Why nothing more can be done here: ZCB_ERR_FORKED, _CLOSED, _PROTOCOL; or ZCB_OK. */
zcb_error zcbi_channel_state(const zcb_channel *channel);
/* Ends all use of the channel, because the other side wrote a value that makes no sense. Returns
 * ZCB_ERR_PROTOCOL. */
zcb_error zcbi_channel_fail(zcb_channel *channel);

/* ---- sending: under the sending lock, unless a comment says otherwise ---- */

enum send_flags {
    /* In one chunk while the frame has room for it, because its receiver holds it in place. */
    SEND_WHOLE = 1,
    /* Does not wake a standby thread. zcbi_tx_flush does, or this thread's next wait. */
    SEND_LAZY = 2
};

/* Acquires the sending lock. Errors of zcbi_channel_state and of a wait. */
zcb_error zcbi_tx_lock(zcb_channel *channel, const zcb_wait *wait);
void zcbi_tx_unlock(zcb_channel *channel);
/* Begins a message: waits until it can go one of the two ways (send.c). flags: enum send_flags.
 * ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED and _WATCHED leave the state as it was: call again.
 * After all other errors, and to give up: zcbi_tx_abort. */
zcb_error zcbi_tx_begin(zcb_channel *channel, const zcb_message *message, uint32_t flags,
                        const zcb_wait *wait);
/* Copies the next `count` bytes of the message. *written counts up by the bytes that were copied,
 * also on errors. Errors as zcbi_tx_begin (call again with the rest), and ZCB_ERR_REFUSED: its
 * receiver drops the message. */
zcb_error zcbi_tx_write(zcb_channel *channel, const void *bytes, size_t count, size_t *written,
                        const zcb_wait *wait);
/* Withdraws the message, if it has not ended. */
void zcbi_tx_abort(zcb_channel *channel);
/* Sends one message whose payload is the `count` spans. It is withdrawn on every error. */
zcb_error zcbi_tx_send(zcb_channel *channel, const zcb_message *message, uint32_t flags,
                       const struct span *parts, unsigned count, const zcb_wait *wait);
/* These bytes are a block of the user's, which zcb_send would send without a copy. Any thread. */
bool zcbi_tx_has_block(zcb_channel *channel, const void *data, size_t bytes);
/* Wakes the consumer, a standby thread too, if it has not taken all. Any thread, without the
 * lock. */
void zcbi_tx_flush(zcb_channel *channel);
/* Ready when zcbi_tx_begin or zcbi_tx_write may get further. */
struct source zcbi_tx_room_source(zcb_channel *channel);

/* ---- receiving ---- */

/* Ready when a call that receives would not wait: there is a message, or the channel has ended. */
struct source zcbi_rx_data_source(zcb_channel *channel);
/* Says to the producer that a thread is about to wait for a message. */
void zcbi_rx_expect(zcb_channel *channel, zcb_wish wish);
/* Says so, and waits until something can be received or one of `count` (< WAIT_SOURCES) others is
 * ready. Errors as zcbi_wait_any. */
zcb_error zcbi_rx_wait(zcb_channel *channel, const struct source *others, unsigned count,
                       const zcb_wait *wait);
/* As zcb_receive_read, with *done not NULL. */
zcb_error zcbi_rx_read(zcb_channel *channel, void *destination, size_t bytes, size_t *done,
                       const zcb_wait *wait);
/* True while bytes of the current message have arrived and are not read. For the holder of the
 * receiving lock. */
bool zcbi_rx_has_part(const zcb_channel *channel);
/* Sets a function that is called before a wait for data sleeps, on the waiting thread. Before the
 * channel's first use by a second thread. */
void zcbi_rx_before_sleep(zcb_channel *channel, void (*prepare)(void *arg), void *arg);
/* True once the sender has closed its end. Messages that were sent before can still be received. */
bool zcbi_rx_is_ending(const zcb_channel *channel);

/* The event that a standby thread sleeps on. It is set, once for each arming, by a message that is
 * not sent with SEND_LAZY. PLAT_NO_HANDLE on the joiner's end. */
plat_handle zcbi_rx_standby_bell(const zcb_channel *channel);
/* From now on the bell is rung. A look at zcbi_rx_data_source must follow. */
void zcbi_rx_arm_standby(zcb_channel *channel);
void zcbi_rx_disarm_standby(zcb_channel *channel);

#endif
