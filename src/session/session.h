/* A session inside the library: start.c makes it, commands.c gives it commands, reading.c reads what comes back,
 * results.c hands it out, session.c ends it, bridge.c adds channels. */
#ifndef ZCB_SESSION_H
#define ZCB_SESSION_H

#include "channel/turn.h"
#include "platform/error.h"
#include "protocol/link.h"
#include "protocol/urgent.h"

#include "limit.h"
#include "pairing.h"
#include "result.h"

/* A command whose result nobody has taken yet. */
struct pending {
    struct pending *next_in_bucket;
    struct pending *next, *previous; /* by id */
    struct pending *next_done;       /* of those that zcb_session_next gives */
    uint64_t id;
    uint32_t op;
    uint32_t flags;
    struct paired_channel *paired; /* RECEIVE and SEND: of the bridge; NULL once that is closed */
    int64_t deadline_ns;
    bool timed_out; /* it was told to stop; deadline_ns is the end of its grace */
    bool done;
    bool awaited;       /* a zcb_session_wait has it */
    bool abandoned;     /* nobody will: it goes when it is done */
    zcb_result *result; /* made with it, so that its end needs no memory; complete when done */
    struct waiter *waiter;
};

/* The number of a closed bridge that the engine is to be told. Made with the bridge: where there is no memory to tell
 * it, it is told later. */
struct close_notice {
    struct close_notice *next;
    uint32_t number;
};

/* A thread that waits while another one reads: standby.c. */
struct follower {
    struct follower *next;
    struct waiter waiter;
    bool stands_by;   /* in zcb_session_next: it sleeps on the standby bell, too */
    int64_t until_ns; /* then: when it wakes by itself */
};

/* The message that the reading thread is in the middle of. */
struct incoming {
    bool active;
    zcb_message message;
    unsigned char *bytes; /* its payload; NULL: there is no memory for it */
    size_t got;
};

struct zcb_session {
    _Atomic uint32_t references;
    int64_t grace_ms;
    char *engine;
    char version[32];
    plat_child child;    /* what was started: the engine or a launcher of it */
    int64_t pid;         /* the engine's own */
    plat_handle process; /* likewise */
    plat_handle link;
    zcb_channel *commands;
    zcb_channel *urgent;
    struct turn submit_turn; /* ids are given and sent in one order */
    struct turn ping_turn;
    uint64_t last_ping;
    _Atomic bool
        urgent_full; /* the last urgent request found no room: the next one does not wait */

    plat_mutex lock; /* all that follows */
    bool ended;
    bool closing;
    bool reaped;
    zcb_detail reason;
    uint64_t last_id;
    uint32_t last_channel;
    struct pending *first, *last;
    struct pending **buckets;
    size_t bucket_count, pending_count, notify_count;
    struct pending *first_done, *last_done;
    int64_t next_deadline; /* no later than the earliest deadline */
    bool reading;
    bool armed;                 /* the standby bell is to be rung */
    plat_loop_event loop_event; /* of zcb_session_event */
    struct incoming incoming;
    struct waiter reader; /* tells the reading thread to look at next_deadline again */
    struct follower *followers;
    struct paired_channel *bridges;
    struct close_notice *close_notices;
};

/* ---- session.c ---- */

void zcbi_session_reference(zcb_session *session);
void zcbi_session_release(zcb_session *session);
/* ZCB_ERR_FORKED, ZCB_ERR_INVALID for NULL, or ZCB_OK. */
zcb_error zcbi_session_owned(const zcb_session *session);
/* Under the lock, as the rest here: why no command can be given (_CLOSED, _PEER_GONE), or ZCB_OK. */
zcb_error zcbi_session_state(const zcb_session *session);
/* The session is over, all that is pending is done. `format` is the reason. */
PRINTF_LIKE(2, 3)
void zcbi_session_end(zcb_session *session, const char *format, ...);
/* As zcbi_session_end, for an error that a wait on the engine gave. */
void zcbi_session_lose(zcb_session *session, zcb_error error);
/* The engine has ended. Takes in what it said before; a thread that reads does that itself. */
void zcbi_session_lose_ended(zcb_session *session);
/* Ends the engine's process, and hangs up on what it had started. */
void zcbi_session_kill(zcb_session *session);

/* ---- urgent.c ---- */

/* Sends an urgent request, waiting briefly for an engine that does not listen: errors as zcb_send. */
zcb_error zcbi_urgent_send(zcb_session *session, uint32_t what, uint64_t id);
/* Tells the engine to stop a command. ZCB_OK also when the session is ending: so is the command. */
zcb_error zcbi_urgent_stop(zcb_session *session, uint64_t id);

/* ---- pending.c: the table of commands, under the lock ---- */

/* NULL without memory. */
struct pending *zcbi_pending_add(zcb_session *session, uint64_t id, uint32_t op, uint32_t flags,
                                 struct paired_channel *paired, int64_t deadline_ns);
struct pending *zcbi_pending_find(const zcb_session *session, uint64_t id);
/* Takes it out of the table and frees it; its result is the caller's. */
zcb_result *zcbi_pending_take(zcb_session *session, struct pending *pending);
/* Its result is complete: tells the thread that waits for it. */
void zcbi_pending_finish(zcb_session *session, struct pending *pending);
/* It is done without a word from the engine. */
void zcbi_pending_finish_here(zcb_session *session, struct pending *pending, zcb_status status,
                              const char *err);
/* Puts a result into the queue of zcb_session_next; takes it out again, if it is there. */
void zcbi_pending_queue(zcb_session *session, struct pending *pending);
void zcbi_pending_unqueue(zcb_session *session, const struct pending *pending);

/* ---- deadlines.c, under the lock ---- */

/* The deadline of a pending command is there, or is new. */
void zcbi_deadline_set(zcb_session *session, struct pending *pending, int64_t deadline_ns);
/* Deadlines are acted on when the replies that are there have been read, so that a command whose turn has come is not
 * taken for a queued one; replies without end do not put them off. */
bool zcbi_deadlines_are_due(const zcb_session *session);
/* Acts on deadlines that have passed and sets next_deadline anew. */
void zcbi_deadlines_act(zcb_session *session);

/* ---- commands.c ---- */

/* zcb_session_submit for all ops. paired may be NULL. */
zcb_error zcbi_session_submit(zcb_session *session, zcb_command *command,
                              struct paired_channel *paired, int64_t timeout_ms,
                              const zcb_wait *wait);

/* ---- reading.c ---- */

/* Something of the engine's can be read, without waiting for it. */
bool zcbi_session_has_data(const zcb_session *session);
/* Under the lock: reads until something has arrived, a deadline was acted on, or the wait ends; limit may be
 * NULL. The lock is given up meanwhile. Only when nobody else reads. */
zcb_error zcbi_session_read(zcb_session *session, const struct source *also, struct limit *limit,
                            const zcb_wait *wait);

/* ---- standby.c, under the lock ---- */

/* Gives the lock up meanwhile: waits to be told something by the thread that reads, above all that `pending` (may be
 * NULL) is done. */
zcb_error zcbi_session_follow(zcb_session *session, struct pending *pending,
                              const struct source *also, const zcb_wait *wait);
/* Gives the lock up meanwhile: waits until there is something to read or nobody else to do it, and acts on
 * deadlines. */
zcb_error zcbi_session_stand_by(zcb_session *session, const zcb_wait *wait);
/* The standby bell is not rung any more. */
void zcbi_session_disarm(zcb_session *session);
/* If nobody reads, sees to it that one of the threads that wait does, or that zcb_session_event is set. */
void zcbi_session_hand_over(zcb_session *session);
/* zcb_session_event is to be set when next_deadline, which is new, passes. */
void zcbi_session_time_event(zcb_session *session);
/* Tells the threads in zcb_session_next, and sets zcb_session_event. */
void zcbi_session_tell_standby(zcb_session *session);
void zcbi_session_tell_all(zcb_session *session);

#endif
