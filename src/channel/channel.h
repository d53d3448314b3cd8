/* A channel's two ends, inside the library. send.c has the producer, receive.c the consumer. */
#ifndef ZCB_CHANNEL_H
#define ZCB_CHANNEL_H

#include "frame.h"
#include "layout.h"
#include "turn.h"
#include "wait.h"

enum { BELL_DATA_0, BELL_ROOM_0, BELL_DATA_1, BELL_ROOM_1, BELL_STANDBY_1, BELLS };

/* The mapping and its bells; both ends of an in-process channel share one. */
struct region {
    _Atomic uint32_t references;
    struct geometry geometry;
    plat_memory memory;
    plat_handle bells[BELLS];
};

/* The message that is being sent. */
struct sending {
    zcb_message message;
    uint64_t number;    /* counts the stream's messages */
    uint64_t written;   /* bytes copied in */
    uint64_t published; /* bytes the consumer knows of */
    bool begun;         /* the first descriptor is out */
    bool streaming;
    bool ring_full; /* as last seen */
    uint32_t block; /* of a whole message */
    uint64_t offset;
};

/* Memory that the user fills. */
struct zcb_block {
    struct zcb_block *next;
    zcb_channel *channel; /* keeps the mapping */
    void *data;
    uint64_t bytes;
    uint32_t block;
    bool sent;
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
    bool lazy;             /* what is published now rings for nobody that stands by */
    bool keep_whole;       /* the next message is not to stream while the frame has room for it */
    plat_mutex block_lock; /* of the two lists: blocks are freed on any thread */
    struct zcb_block *blocks;
    struct zcb_block *_Atomic let_go; /* freed; the next sender enters that into the frame's book */
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

/* Makes the opener's end. options may be NULL. */
zcb_error zcbi_channel_open(const zcb_channel_options *options, plat_handle peer,
                            zcb_channel **channel);
/* Makes the joiner's end from what the opener's process handed over: memory and BELLS bells, which it takes
 * over, also on failure. Where something is short here, the opener finds the channel closed. */
zcb_error zcbi_channel_join(plat_handle memory, const plat_handle *bells, uint64_t frame_bytes,
                            uint64_t window_bytes, plat_handle peer, zcb_channel **channel);
/* What zcbi_channel_join does where something is short. */
void zcbi_channel_refuse(plat_handle memory, const plat_handle *bells, uint64_t frame_bytes,
                         uint64_t window_bytes);
/* zcb_channel_free gives it up. */
void zcbi_channel_add_user(zcb_channel *channel);
/* Keeps the memory; zcbi_channel_release gives it up. */
void zcbi_channel_keep(zcb_channel *channel);
void zcbi_channel_release(zcb_channel *channel);

/* False in a forked child. */
bool zcbi_channel_owned(const zcb_channel *channel);
/* Why nothing more can be done here (_FORKED, _CLOSED, _PROTOCOL), or ZCB_OK. */
zcb_error zcbi_channel_state(const zcb_channel *channel);
/* zcbi_turn_take for one of the channel's turns, or why nothing more can be done here. */
zcb_error zcbi_channel_take_turn(zcb_channel *channel, struct turn *turn, const zcb_wait *wait);
/* The other side made no sense: nothing goes any more. Returns ZCB_ERR_PROTOCOL. */
zcb_error zcbi_channel_fail(zcb_channel *channel);

/* Waits for `source`, which belongs to this channel; ZCB_ERR_WATCHED when wait->watch has something first. */
zcb_error zcbi_channel_wait(const zcb_channel *channel, struct source source, struct spin *spin,
                            const zcb_wait *wait);
/* zcbi_pace_init that minds wait->watch. */
void zcbi_channel_pace_init(struct pace *pace, const zcb_wait *wait);

/* ---- sending in steps, under the producer's turn. ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED and
 * _WATCHED leave the state as it was: call again with the rest. After others, and to give up: zcbi_tx_abort. ---- */

zcb_error zcbi_tx_begin(zcb_channel *channel, const zcb_message *message, const zcb_wait *wait);
/* *written counts up by what was taken. */
zcb_error zcbi_tx_write(zcb_channel *channel, const void *bytes, size_t count, size_t *written,
                        const zcb_wait *wait);
void zcbi_tx_abort(zcb_channel *channel);
/* Ready when trying again may get further. */
struct source zcbi_tx_room_source(zcb_channel *channel);
/* One whole message from parts, under the turn; withdrawn on every error. */
zcb_error zcbi_tx_send(zcb_channel *channel, const zcb_message *message, const zcb_text *parts,
                       unsigned count, const zcb_wait *wait);
/* Why nothing more can be sent, or ZCB_OK. */
zcb_error zcbi_tx_state(zcb_channel *channel);
/* Wakes the consumer, if it sleeps: the partner of its store of `asleep` and its look after that. */
void zcbi_tx_ring(struct producer *tx);
/* Enters returned and freed blocks into the frame's book, under the turn. */
zcb_error zcbi_tx_collect(zcb_channel *channel);

struct source zcbi_rx_data_source(zcb_channel *channel);
/* Tells the producer that somebody is about to wait for a message. */
void zcbi_rx_expect(zcb_channel *channel, zcb_wish wish);
/* As zcb_receive_read, but *done counts up and an error leaves the state as it was: call again with the rest. */
zcb_error zcbi_rx_read(zcb_channel *channel, void *destination, size_t bytes, size_t *done,
                       const zcb_wait *wait);
/* The consumer gives a block back. */
void zcbi_rx_give_back(zcb_channel *channel, uint32_t block);

#endif
