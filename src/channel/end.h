/*
 * The two halves of a channel's end: the producer of one stream and the consumer of the other.
 * Shared by the files of this room, and known here alone.
 */
#ifndef ZCB_END_H
#define ZCB_END_H

#include "channel.h"
#include "doorbell.h"
#include "frame.h"
#include "pace.h"
#include "region.h"
#include "ticket_lock.h"

#define RING_MASK (RING_ENTRIES - 1)

/* The message that is being sent. */
struct sending {
    zcb_message message;
    uint32_t flags;     /* enum send_flags */
    uint64_t number;    /* counts the stream's messages */
    uint64_t written;   /* bytes copied in */
    uint64_t published; /* bytes that descriptors name */
    bool begun;         /* the first descriptor is published */
    bool ended;         /* the last one is */
    bool streaming;     /* through the window, piece by piece */
    bool ring_full;     /* when zcbi_tx_ring_room looked last */
    uint32_t chunk;  /* of a whole message; of an open-ended one the chunk that is being filled */
    uint64_t offset; /* of that chunk */
    uint64_t room;   /* of an open-ended message: bytes left in that chunk */
};

/* All but the list of blocks is guarded by the sending lock. */
struct producer {
    struct stream_control *control;
    struct ticket_lock lock; /* the sending lock */
    struct frame frame;
    struct descriptor *ring;
    uint64_t ring_at;        /* offset of the ring in the region */
    uint64_t ring_committed; /* descriptors whose memory is committed */
    _Atomic uint32_t *returns;
    uint64_t head;
    uint64_t ended;    /* messages, with those that were given up */
    uint64_t sent;     /* messages, without them */
    uint64_t returned; /* chunks that were given back, and collected here */
    plat_handle data_bell, standby_bell, room_bell;
    struct spin spin;
    struct sending now;
    plat_mutex block_lock; /* guards `blocks`, because blocks are freed without the sending lock */
    struct zcb_block *blocks;
};

/* The message that is being received. */
struct receiving {
    zcb_message message;
    bool active; /* its first descriptor was taken; its end was not reached */
    bool whole;  /* all of it lies in one chunk */
    bool leased;
    bool last;        /* the current part is the last one */
    uint32_t chunk;   /* of the current part */
    uint64_t offset;  /* of the unread bytes of the current part */
    uint64_t left;    /* unread bytes of the current part */
    uint64_t arrived; /* bytes of all parts so far */
    uint64_t read;
};

/* `returned` is guarded by return_lock, all else by the receiving lock. */
struct consumer {
    struct stream_control *control;
    struct ticket_lock lock; /* the receiving lock */
    plat_mutex return_lock;  /* leases come back on any thread */
    const struct descriptor *ring;
    _Atomic uint32_t *returns;
    unsigned char *data; /* frame, then window */
    uint64_t returned;   /* chunks that were given back */
    uint64_t tail;
    uint64_t ended;            /* messages, with those that were given up */
    _Atomic uint64_t received; /* messages, without them */
    plat_handle data_bell, standby_bell, room_bell;
    struct spin spin;
    struct receiving now;
};

struct zcb_channel {
    _Atomic uint32_t users;      /* of zcb_channel_free; the last one closes the channel */
    _Atomic uint32_t references; /* of users, blocks and leases; the last one frees it */
    plat_fork_mark owner;
    plat_handle peer; /* the other process, borrowed; or PLAT_NO_HANDLE */
    struct region *region;
    _Atomic uint32_t closed;   /* on this side */
    _Atomic uint32_t protocol; /* the other side wrote a value that makes no sense */
    struct producer tx;
    struct consumer rx;
};

/* ---- channel.c ---- */

/* Adds a reference; zcbi_channel_release drops it. */
void zcbi_channel_keep(zcb_channel *channel);
void zcbi_channel_release(zcb_channel *channel);
/* Acquires the sending or the receiving lock; released by zcbi_ticket_lock_release. Errors of
 * zcbi_channel_state and zcbi_ticket_lock_acquire_unless (for wait->watch). */
zcb_error zcbi_channel_acquire(zcb_channel *channel, struct ticket_lock *lock,
                               const zcb_wait *wait);
/* Waits for `source`, which belongs to this channel. ZCB_ERR_WATCHED when wait->watch has data
 * first; other errors as zcbi_wait_any. */
zcb_error zcbi_channel_wait(const zcb_channel *channel, struct source source, struct spin *spin,
                            const zcb_wait *wait);
/* zcbi_pace_init for a call that wait->watch may end. */
void zcbi_channel_pace_init(struct pace *pace, const zcb_wait *wait);

/* ---- producer.c, under the sending lock ---- */

/* Errors of zcbi_channel_state; ZCB_ERR_PEER_CLOSED. */
zcb_error zcbi_tx_state(zcb_channel *channel);
/* Frees the chunks that were given back, and the blocks that were freed. ZCB_ERR_PROTOCOL. */
zcb_error zcbi_tx_collect(zcb_channel *channel);
/* How many descriptors can be published, without the one that is kept back for the end of the
 * message. ZCB_ERR_PROTOCOL. */
zcb_error zcbi_tx_ring_room(zcb_channel *channel, uint32_t *room);
/* zcbi_tx_state, zcbi_tx_collect and zcbi_tx_ring_room in one. */
zcb_error zcbi_tx_ready(zcb_channel *channel, uint32_t *room);
/* True when a thread of the consumer waits for a message, and has taken all that was published. */
bool zcbi_tx_consumer_waits(const struct producer *tx);
/* True when the consumer drops the message that is being sent. */
bool zcbi_tx_dropped(const struct producer *tx);
/* Waits until trying again may get further. Errors as zcbi_channel_wait. */
zcb_error zcbi_tx_wait_for_room(zcb_channel *channel, const zcb_wait *wait);
/* Waits for a chunk that `allocate` finds, together with a descriptor to publish it with.
 * ZCB_ERR_REFUSED when the consumer drops the message; other errors as zcbi_tx_wait_for_room. */
zcb_error zcbi_tx_take_chunk(zcb_channel *channel,
                             bool (*allocate)(struct producer *tx, uint32_t *chunk),
                             uint32_t *chunk, const zcb_wait *wait);
/* Waits until there may be memory to allocate. Errors as zcbi_channel_wait. */
zcb_error zcbi_tx_wait_for_memory(zcb_channel *channel, const zcb_wait *wait);
/* Publishes a part of the message. marks: enum descriptor_mark, without MARK_FIRST.
 * ZCB_ERR_NO_MEMORY, but never for the part that ends an open-ended message or one that is given
 * up: a descriptor is kept back for it. */
zcb_error zcbi_tx_publish(zcb_channel *channel, uint32_t chunk, uint64_t offset, uint64_t bytes,
                          uint32_t marks);

/* ---- receive.c ---- */

/* Gives a chunk back to the producer. Any thread. */
void zcbi_rx_give_back(zcb_channel *channel, uint32_t chunk);

#endif
