/*
 * No wake-up is lost: zcbi_wait_any of src/channel/wait.c, on both ends of a stream and for a watched second one.
 *
 * The producer publishes MESSAGES descriptors on stream 0 and waits for room; another one publishes on
 * stream 1, which the consumer watches in the same wait (zcbi_channel_wait). What the consumer took is given
 * back by a thread of its own, as a lease is. At the end the producer closes. A wake-up that is lost
 * leaves somebody asleep for ever, which the checker reports as an invalid end state.
 *
 * Every step is one access to shared memory or one system call. Spin's interleavings are sequentially
 * consistent. What a processor does with a store that is not, a variant shows: STORE_LATE puts the value
 * into a store buffer, from which it reaches memory later, while the loads that follow go ahead.
 */
#define MESSAGES 3 /* on stream 0 */
#define WATCHED 1  /* on stream 1 */
#define RING 1     /* entries */
#define FRAME 1    /* blocks */

/* What both sides of stream 0 share (struct stream_control), and of stream 1 what is needed. */
byte head[2], tail, returned;
bool consumer_asleep[2], producer_asleep, producer_closed;
bool data_bell[2], room_bell; /* eventfds: set or not */

chan leased = [FRAME] of { bit }; /* what the consumer's side holds; private to its process */

/* ---- stores that a broken variant delays ---- */

byte late_value; /* the store buffer of the one thread whose fence is missing */
bool late;

#define STORE_LATE(place, value)                                                                   \
    atomic                                                                                         \
    {                                                                                              \
        !late;                                                                                     \
        late_value = value;                                                                        \
        late = true                                                                                \
    }
/* A later store, an exchange and a system call of the same thread come behind it. */
#define DRAIN !late

#ifdef BROKEN_PUBLISH_WITHOUT_FENCE
#define STORE_HEAD(value) STORE_LATE(head[0], value)
#define DRAIN_PRODUCER DRAIN
#define LATE_PLACE head[0]
#else
#define STORE_HEAD(value) head[0] = value
#endif
#ifdef BROKEN_ROOM_ASLEEP_WITHOUT_FENCE
#define STORE_PRODUCER_ASLEEP(value) STORE_LATE(producer_asleep, value)
#define DRAIN_PRODUCER DRAIN
#define LATE_PLACE producer_asleep
#else
#define STORE_PRODUCER_ASLEEP(value) producer_asleep = value
#endif
#ifdef BROKEN_ASLEEP_WITHOUT_FENCE
#define STORE_CONSUMER_ASLEEP(value) STORE_LATE(consumer_asleep[0], value)
#define DRAIN_CONSUMER DRAIN
#define LATE_PLACE consumer_asleep[0]
#else
#define STORE_CONSUMER_ASLEEP(value) consumer_asleep[0] = value
#endif
#ifdef BROKEN_GIVE_BACK_WITHOUT_FENCE
#define STORE_RETURNED(value) STORE_LATE(returned, value)
#define DRAIN_LESSEE DRAIN
#define LATE_PLACE returned
#else
#define STORE_RETURNED(value) returned = value
#endif
#ifndef DRAIN_PRODUCER
#define DRAIN_PRODUCER skip
#endif
#ifndef DRAIN_CONSUMER
#define DRAIN_CONSUMER skip
#endif
#ifndef DRAIN_LESSEE
#define DRAIN_LESSEE skip
#endif

#ifdef LATE_PLACE
active proctype store_buffer()
{
end:
    do
    :: atomic { late -> LATE_PLACE = late_value; late = false }
    od
}
#endif

/* ---- wait_ring (src/channel/wait.h), zcbi_tx_ring (src/channel/send.c) ---- */

inline ring(asleep, bell, drain)
{
    if
    :: asleep ->
        atomic { drain; was_asleep = asleep; asleep = false } /* atomic_exchange */
        if
        :: was_asleep -> bell = true /* zcbi_plat_event_set */
        :: else
        fi
    :: else
    fi;
    was_asleep = false
}

/* ---- producers ---- */

/* room_ready (src/channel/send.c) of a message that has not begun */
inline look_for_room()
{
    ready = returned != collected;
    if
    :: !ready && ring_full -> ready = published - tail < RING
    :: else
    fi
}

/* sleep_once (src/channel/wait.c) for the one source */
inline sleep_for_room()
{
    STORE_PRODUCER_ASLEEP(true);
    look_for_room();
    if
    :: !ready ->
        atomic { room_bell; DRAIN_PRODUCER }; /* zcbi_plat_wait */
        room_bell = false                     /* zcbi_plat_event_clear */
    :: else
    fi;
    DRAIN_PRODUCER;
    producer_asleep = false
}

inline wait_for_room()
{
    look_for_room();
    do
    :: ready -> break
    :: else -> sleep_for_room(); look_for_room()
    od;
    ready = false
}

/* publish (src/channel/send.c) */
inline publish()
{
#ifdef BROKEN_RING_BEFORE_PUBLISH
    ring(consumer_asleep[0], data_bell[0], DRAIN_PRODUCER);
    published++;
    STORE_HEAD(published)
#else
    published++;
    STORE_HEAD(published);
    ring(consumer_asleep[0], data_bell[0], DRAIN_PRODUCER)
#endif
}

active proctype producer()
{
    byte published, collected; /* tx->head, tx->returned */
    bool ring_full, ready, was_asleep;
    do
    :: published == MESSAGES -> break
    :: else ->
        collected = returned;                 /* zcbi_tx_collect */
        ring_full = published - tail == RING; /* ring_room */
        if
        :: !ring_full && published - collected < FRAME -> publish() /* zcbi_frame_allocate */
        :: else -> wait_for_room()
        fi
    od;
    DRAIN_PRODUCER;
    /* shut (src/channel/channel.c): the bell is emptied and rung, whoever sleeps */
#ifdef BROKEN_CLOSE_RINGS_FIRST
    data_bell[0] = false;
    data_bell[0] = true;
    producer_closed = true
#else
    producer_closed = true;
    data_bell[0] = false;
    data_bell[0] = true
#endif
}

active proctype watched_producer()
{
    byte published;
    bool was_asleep;
    do
    :: published == WATCHED -> break
    :: else ->
        published++;
        head[1] = published;
        ring(consumer_asleep[1], data_bell[1], skip)
    od
}

/* ---- the consumer ---- */

/* any_ready (src/channel/wait.c) over data_ready (src/channel/receive.c) of both streams */
inline look_for_data()
{
    ready = head[0] != taken[0];
    if
    :: !ready && !ended -> ready = producer_closed
    :: else
    fi;
    if
    :: !ready -> ready = head[1] != taken[1]
    :: else
    fi
}

/* zcbi_plat_wait, then zcbi_plat_event_clear */
inline poll_bells()
{
    atomic { data_bell[0] || data_bell[1]; DRAIN_CONSUMER; rung = (data_bell[0] -> 0 : 1) };
    data_bell[rung] = false;
    rung = 0
}

/* sleep_once (src/channel/wait.c) */
inline sleep_for_data()
{
#ifdef BROKEN_LOOK_BEFORE_ASLEEP
    look_for_data();
#endif
    STORE_CONSUMER_ASLEEP(true);
#ifndef BROKEN_WATCHED_NOT_ASLEEP
    consumer_asleep[1] = true;
#endif
#if !defined(BROKEN_LOOK_BEFORE_ASLEEP) && !defined(BROKEN_NO_SECOND_LOOK)
    look_for_data();
#endif
#ifdef BROKEN_CLEAR_AFTER_LOOK
    data_bell[0] = false;
#endif
    if
    :: !ready -> poll_bells()
    :: else
    fi;
    DRAIN_CONSUMER;
    consumer_asleep[0] = false;
    consumer_asleep[1] = false
}

/* zcbi_wait_any (src/channel/wait.c): its spinning is one more look */
inline wait_for_data()
{
    look_for_data();
    do
    :: ready -> break
    :: else -> sleep_for_data(); look_for_data()
    od;
    ready = false
}

/* take_descriptor (src/channel/receive.c), which tells the producer */
inline take()
{
    taken[0]++;
    leased ! 1;
    tail = taken[0];
    ring(producer_asleep, room_bell, skip)
}

active proctype consumer()
{
    byte taken[2];
    bool ended, ready, was_asleep;
    bit rung;
    do
    :: ended && taken[1] == WATCHED -> break
    :: else ->
        wait_for_data();
        if
        :: head[0] != taken[0] -> take()
        :: head[0] == taken[0] && producer_closed -> ended = head[0] == taken[0]
        :: head[1] != taken[1] -> taken[1]++
        :: else /* a look again */
        fi
    od;
    assert(taken[0] == MESSAGES)
}

/* zcbi_rx_give_back (src/channel/receive.c), called by zcb_lease_free on any thread */
active proctype lessee()
{
    byte given;
    bool was_asleep;
    do
    :: given == MESSAGES -> break
    :: else ->
        leased ? _;
        given++;
        STORE_RETURNED(given);
        ring(producer_asleep, room_bell, DRAIN_LESSEE)
    od
}
