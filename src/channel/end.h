/* The two halves of a channel's end: what producer.c, send.c, block.c and receive.c share. For this room alone. */
#ifndef ZCB_END_H
#define ZCB_END_H

#include "channel.h"
#include "doorbell.h"
#include "frame.h"
#include "pace.h"
#include "region.h"
#include "turn.h"

#define RING_MASK (RING_ENTRIES - 1)

/* The message that is being sent. */
struct sending {
    zcb_message message;
    uint32_t flags;     /* enum send_flags */
    uint64_t number;    /* counts the stream's messages */
    uint64_t written;   /* bytes copied in */
    uint64_t published; /* bytes that the consumer knows of */
    bool begun;         /* the first descriptor is out */
    bool ended;         /* the last one is */
    bool streaming;
    bool ring_full; /* as last seen */
    uint32_t block; /* of a whole message, or the piece of an open-ended one that is being filled */
    uint64_t offset;
    uint64_t room; /* of that piece, bytes that are left */
};

struct producer {
    struct stream_control *control;
    struct turn turn;
    struct frame frame;
    struct descriptor *ring;
    uint64_t ring_at;        /* in the region, for commits */
    uint64_t ring_committed; /* descriptors whose memory exists */
    _Atomic uint32_t *returns;
    uint64_t head;
    uint64_t ended;    /* messages, given-up ones included */
    uint64_t sent;     /* messages, given-up ones not */
    uint64_t returned; /* returns taken in */
    plat_handle data_bell, standby_bell, room_bell;
    struct spin spin;
    struct sending now;
    plat_mutex block_lock; /* of the list: blocks are freed on any thread */
    struct zcb_block *blocks;
};

/* The message that is being received. */
struct receiving {
    zcb_message message;
    bool active; /* a first descriptor was taken, its end not yet */
    bool whole;
    bool leased;
    bool last;        /* the current part is the last one */
    uint32_t block;   /* of the current part */
    uint64_t offset;  /* of the current part's bytes that are left */
    uint64_t left;    /* of the current part */
    uint64_t arrived; /* bytes of all parts so far */
    uint64_t read;
};

struct consumer {
    struct stream_control *control;
    struct turn turn;
    plat_mutex return_lock; /* leases come back from any thread */
    const struct descriptor *ring;
    _Atomic uint32_t *returns;
    unsigned char *data;
    uint64_t returned;
    uint64_t tail;
    uint64_t ended;            /* messages, given-up ones included */
    _Atomic uint64_t received; /* messages, given-up ones not */
    plat_handle data_bell, standby_bell, room_bell;
    struct spin spin;
    struct receiving now;
};

struct zcb_channel {
    _Atomic uint32_t users;      /* the last one closes it */
    _Atomic uint32_t references; /* of users and leases */
    plat_fork_mark owner;
    plat_handle peer; /* signalled when the other process has ended; borrowed; or PLAT_NO_HANDLE */
    struct region *region;
    _Atomic uint32_t closed;   /* on this side */
    _Atomic uint32_t protocol; /* the other side made no sense */
    struct producer tx;
    struct consumer rx;
};

/* ---- channel.c ---- */

/* Keeps the memory; zcbi_channel_release gives it up. */
void zcbi_channel_keep(zcb_channel *channel);
void zcbi_channel_release(zcb_channel *channel);
/* zcbi_turn_take for one of the channel's turns, or why nothing more can be done here. */
zcb_error zcbi_channel_take_turn(zcb_channel *channel, struct turn *turn, const zcb_wait *wait);
/* Waits for `source`, which belongs to this channel; ZCB_ERR_WATCHED when wait->watch has something first. */
zcb_error zcbi_channel_wait(const zcb_channel *channel, struct source source, struct spin *spin,
                            const zcb_wait *wait);
/* zcbi_pace_init that minds wait->watch. */
void zcbi_channel_pace_init(struct pace *pace, const zcb_wait *wait);

/* ---- producer.c, under the sending turn ---- */

/* Why nothing more can be sent, or ZCB_OK. */
zcb_error zcbi_tx_state(zcb_channel *channel);
/* Enters returned and freed blocks into the frame's table. */
zcb_error zcbi_tx_collect(zcb_channel *channel);
/* The same, and *room: descriptors that can be published, one kept back for the end of the message. */
zcb_error zcbi_tx_ready(zcb_channel *channel, uint32_t *room);
/* Descriptors that can be published, one kept back; ZCB_ERR_PROTOCOL. */
zcb_error zcbi_tx_ring_room(zcb_channel *channel, uint32_t *room);
/* A consumer waits for the message after all that has been published. */
bool zcbi_tx_consumer_waits(const struct producer *tx);
/* The consumer drops the message that is being sent. */
bool zcbi_tx_dropped(const struct producer *tx);
/* Waits until trying again may get further. */
zcb_error zcbi_tx_wait_for_room(zcb_channel *channel, const zcb_wait *wait);
/* Waits until there may be memory to allocate. */
zcb_error zcbi_tx_wait_for_memory(zcb_channel *channel, const zcb_wait *wait);
/* Publishes a part of the message, with enum descriptor_mark. Never fails for the part that ends an open-ended or a
 * given-up message: a descriptor is kept back for it. */
zcb_error zcbi_tx_publish(zcb_channel *channel, uint32_t block, uint64_t offset, uint64_t bytes,
                          uint32_t marks);

/* ---- receive.c ---- */

/* Gives a block back to the producer. Any thread. */
void zcbi_rx_give_back(zcb_channel *channel, uint32_t block);

#endif
