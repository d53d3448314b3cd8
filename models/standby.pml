/*
 * The hand-over of the reading and the standby bell: src/session/reading.c, results.c and standby.c, with ring_consumer
 * of src/channel/producer.c.
 *
 * Of three threads WAITERS wait for a result each (zcb_session_wait); the others stand by for results
 * that notify (zcb_session_next). One of all these reads at a time. The engine answers what was
 * submitted in any order; each answer may be "lazy", which does not ring for who stands by before
 * zcb_agent_flush. Whoever is left asleep with his result on its way shows as an invalid end state.
 *
 * With EVENT_LOOP the last thread does not stand by: it waits for zcb_session_event, which is the standby bell, and then
 * calls zcb_session_next without waiting until there is nothing. With LOOP_AND_STANDBY another one stands by beside it.
 *
 * What only the holder of the session's lock sees is one step with what follows; what is shared with
 * the engine, or with a thread that sleeps without the lock, is one access a step. A follower that does
 * not stand by waits in zcbi_wait_any, which wait.pml is about: here it waits until it is told.
 */
#if defined(LOOP_AND_STANDBY) || defined(BROKEN_LOOP_LOSES_WORD)
#define WAITERS 1
#define EVENT_LOOP
#endif
#if defined(BROKEN_LOOP_NOT_TOLD) || defined(BROKEN_LOOP_ARM_WITHOUT_LOOK)
#define EVENT_LOOP
#endif
#ifndef WAITERS
#define WAITERS 2
#endif
#define THREADS 3 /* the waiters first */
#define ANSWERS 3 /* each belongs to the thread of its number; those of who stands by notify */

#define NONE 0
#define BELL 1
#define STANDBY 2

/* ---- shared by program and engine: stream 1 of the commands channel ---- */
byte head, tail;
byte asleep; /* consumer_asleep: enum sleep */
bool data_bell, standby_bell;
byte answers[ANSWERS]; /* the ring */
bool submitted[ANSWERS];

/* ---- the session (src/session/session.h), under its lock ---- */
bool locked, reading, armed;
bool done[ANSWERS], awaited[ANSWERS];
byte notify_count; /* pending commands that notify */
byte in_row;       /* their results that nobody has taken */
bool follows[THREADS];
bool told[THREADS], waiter_asleep[THREADS], event[THREADS]; /* struct waiter */

#define LOCK !locked; locked = true
#define UNLOCK DRAIN; locked = false
#define HAS_DATA (head != tail)

/* A store that passes the load behind it, as in wait.pml. */
#ifdef BROKEN_ARM_WITHOUT_FENCE
bool late; /* STANDBY is on its way to `asleep` */
#define STORE_ARMED late = true
#define DRAIN !late
active proctype store_buffer()
{
end:
    do
    :: atomic { late -> asleep = STANDBY; late = false }
    od
}
#else
#define STORE_ARMED asleep = STANDBY
#define DRAIN skip
#endif

/* ---------------------------------------------------------------- telling: zcbi_waiter_tell (src/channel/turn.c) */

inline tell_standby(t)
{
    told[t] = true;
    atomic { /* wait_ring */
        if
        :: waiter_asleep[t] -> waiter_asleep[t] = false; event[t] = true
        :: else
        fi
    }
}

/* ---------------------------------------------------------------- src/session/replies.c, under the lock */

inline arm(t)
{
    armed = true;
#ifdef BROKEN_LOOK_BEFORE_ARMED
    if
    :: HAS_DATA -> tell_standby(t)
    :: else
    fi;
#endif
    STORE_ARMED;
#if !defined(BROKEN_LOOK_BEFORE_ARMED) && !defined(BROKEN_ARM_WITHOUT_LOOK)
    if
    :: HAS_DATA -> tell_standby(t)
    :: else
    fi
#endif
}

inline disarm()
{
    if
    :: armed -> DRAIN; asleep = NONE; armed = false
    :: else
    fi
}

#if WAITERS > 1
#define FOLLOWS_TO_READ (follows[0] || follows[1])
#else
#define FOLLOWS_TO_READ follows[0]
#endif
#define ONE_IS_ON_ITS_WAY                                                                          \
    ((follows[0] && told[0]) || (follows[1] && told[1]) || (follows[2] && told[2]))
#define MAY_ARM (!FOLLOWS_TO_READ && notify_count > 0 && !armed)

/* hand_to_event_loop; the bell is its event */
inline arm_loop()
{
#ifdef EVENT_LOOP
    if
    :: notify_count > 0 && !armed ->
        armed = true;
        STORE_ARMED;
#ifndef BROKEN_LOOP_ARM_WITHOUT_LOOK
        if
        :: HAS_DATA -> standby_bell = true
        :: else
        fi
#endif
    :: else
    fi
#else
    skip
#endif
}

/* set_loop_event */
inline set_loop_event()
{
#if defined(EVENT_LOOP) && !defined(BROKEN_LOOP_NOT_TOLD)
    standby_bell = true
#else
    skip
#endif
}

/* zcbi_session_hand_over */
inline hand_over()
{
    if
    :: reading || ONE_IS_ON_ITS_WAY
    :: else ->
        if /* which one, its place in the list says: any */
        :: follows[0] -> told[0] = true
#if WAITERS > 1
        :: follows[1] -> told[1] = true
#else
        :: MAY_ARM && follows[1] -> arm(1)
#endif
        :: MAY_ARM && follows[2] -> arm(2)
        :: else ->
            if
            :: !FOLLOWS_TO_READ && !follows[1] && !follows[2] -> arm_loop()
            :: else
            fi
        fi
    fi
}

/* zcbi_pending_finish (src/session/pending.c), zcbi_session_tell_standby */
inline enter_reply(id)
{
    done[id] = true;
    if
    :: awaited[id] -> told[id] = told[id] || follows[id]
    :: else ->
        in_row++;
#if WAITERS == 1
        if
        :: follows[1] -> tell_standby(1)
        :: else
        fi;
#endif
        if
        :: follows[2] -> tell_standby(2)
        :: else
        fi;
        set_loop_event()
    fi
}

/* wait_for_reply: sleep_once (src/channel/wait.c) on the data bell */
inline wait_for_reply()
{
    do
    :: HAS_DATA -> break
    :: else ->
        asleep = BELL;
        if
        :: HAS_DATA
        :: else -> data_bell; data_bell = false
        fi;
        asleep = NONE
    od
}

/* The lock is given up meanwhile. */
inline zcbi_session_read()
{
    atomic { reading = true; disarm(); UNLOCK };
    wait_for_reply();
    atomic { got = answers[tail]; tail++ };
    atomic { LOCK; reading = false };
    enter_reply(got);
    got = 0
}

inline zcbi_session_follow(t)
{
    atomic { told[t] = false; follows[t] = true };
    hand_over();
    atomic { UNLOCK };
    told[t];
    atomic { LOCK; follows[t] = false }
}

/* stand_by, sleep_standing_by; waits: or only looks */
inline stand_by(t, waits)
{
    atomic { told[t] = false; waiter_asleep[t] = false; event[t] = false; follows[t] = true };
    hand_over();
    atomic { UNLOCK };
    waiter_asleep[t] = true;
    if
    :: told[t]
    :: else ->
        if /* zcbi_wait_handles: the lowest index first; the clearing comes later */
        :: event[t]
        :: standby_bell && !event[t] -> rung = true
        :: !waits && !event[t] && !standby_bell
        fi;
        if
        :: rung -> standby_bell = false
        :: else
        fi
    fi;
    atomic {
        LOCK;
        waiter_asleep[t] = false;
        follows[t] = false;
        disarm();
#ifndef BROKEN_LOOP_LOSES_WORD
        if
        :: rung && in_row > 0 -> set_loop_event() /* it was cleared, and perhaps for this */
        :: else
        fi;
#endif
        rung = false
    }
}

/* ---------------------------------------------------------------- the program's threads */

/* enter, send_command (src/session/commands.c) */
inline submit(id, notifies)
{
    atomic { LOCK; notify_count = notify_count + notifies };
    hand_over();
    atomic { UNLOCK; submitted[id] = true }
}

/* zcb_session_submit and zcb_session_wait; thread 0 makes the futures, too */
proctype waiter(byte self)
{
    byte got;
    if
    :: self == 0 ->
        submit(2, 1);
#if WAITERS == 1
        submit(1, 1)
#endif
    :: else
    fi;
    submit(self, 0);
    atomic { LOCK; awaited[self] = true };
    do /* await */
    :: done[self] -> break
    :: !done[self] && reading -> zcbi_session_follow(self)
    :: !done[self] && !reading -> zcbi_session_read()
    od;
#ifndef BROKEN_NO_HAND_OVER
    hand_over();
#endif
    atomic { UNLOCK }
}

/* zcb_session_next */
proctype standby(byte self)
{
    byte got;
    bool rung;
    atomic { LOCK };
    do
    :: in_row > 0 -> break
    :: in_row == 0 && !reading && notify_count > 0 && HAS_DATA -> zcbi_session_read()
    :: else -> stand_by(self, true)
    od;
    atomic { in_row--; notify_count-- };
#ifndef BROKEN_NO_HAND_OVER_BY_STANDBY
    hand_over();
#endif
    atomic { UNLOCK }
}

/* Waits for its event; then zcb_session_next with a deadline that has passed, until there is nothing. */
proctype event_loop(byte self)
{
    byte got;
    bool rung, looked;
    do
    :: standby_bell; /* the event loop sleeps */
        atomic { LOCK };
        looked = false;
        do
        :: in_row > 0 -> break
        :: in_row == 0 && !reading && notify_count > 0 && HAS_DATA -> zcbi_session_read()
        :: in_row == 0 && looked -> break
        :: else -> looked = !standby_bell; stand_by(self, false)
        od;
        if
        :: in_row > 0 ->
            atomic { in_row--; notify_count-- };
            hand_over();
            atomic { UNLOCK };
            break
        :: else ->
            hand_over();
            atomic { UNLOCK }
        fi
    od
}

/* ---------------------------------------------------------------- the engine */

/* zcbi_tx_ring (src/channel/send.c) */
inline zcbi_tx_ring()
{
    if
    :: asleep == NONE
    :: else ->
        atomic { who = asleep; asleep = NONE };
        atomic {
            if
#ifdef BROKEN_ONE_BELL
            :: who != NONE -> data_bell = true
#else
            :: who == BELL -> data_bell = true
            :: who == STANDBY -> standby_bell = true
#endif
            :: else
            fi;
            who = NONE
        }
    fi
}

/* send_reply (src/agent/agent.c), publish (src/channel/send.c); lazy or not */
inline answer(id)
{
    atomic {
        submitted[id] = false;
        answers[head] = id;
        head++;
        if
        :: lazy = true
        :: lazy = false
        fi
    };
    if
    :: lazy && asleep == STANDBY
    :: else -> zcbi_tx_ring()
    fi
}

/* zcb_agent_flush (src/agent/agent.c): before the engine sleeps or has its next command */
inline flush()
{
#ifndef BROKEN_NO_FLUSH
    if
    :: lazy && tail != head -> zcbi_tx_ring()
    :: else
    fi;
#endif
    lazy = false
}

active proctype engine()
{
    byte who;
    bool lazy;
    do
    :: head == ANSWERS -> break
    :: submitted[0] -> answer(0); flush()
    :: submitted[1] -> answer(1); flush()
    :: submitted[2] -> answer(2); flush()
    od
}

init
{
    atomic {
        run waiter(0);
#if WAITERS > 1
        run waiter(1);
#else
        run standby(1);
#endif
#ifdef EVENT_LOOP
        run event_loop(2)
#else
        run standby(2)
#endif
    }
}
