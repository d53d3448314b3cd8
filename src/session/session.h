/* A session inside the library. start.c starts it, commands.c sends commands, reading.c reads the
 * replies, results.c gives out the results, session.c ends it, bridge.c adds bridges. */
#ifndef ZCB_SESSION_H
#define ZCB_SESSION_H

#include "channel/ticket_lock.h"
#include "platform/error.h"
#include "protocol/link.h"
#include "protocol/urgent.h"

#include "limit.h"
#include "pairing.h"
#include "result.h"

/* A command whose result was not taken yet: an entry of the session's table. */
struct pending {
    struct pending *next_in_bucket;
    struct pending *next, *previous; /* by id */
    struct pending *next_done;       /* in the queue of zcb_session_next */
    uint64_t id;
    uint32_t op;    /* zcb_op */
    uint32_t flags; /* zcb_command_flags */
    /* RECEIVE, SEND: the bridge, until it is closed; else NULL. */
    struct paired_channel *paired;
    int64_t deadline_ns;
    bool timed_out;        /* its deadline has passed; deadline_ns is the end of the grace time */
    bool done;             /* its result is complete */
    bool awaited;          /* a zcb_session_wait waits for it */
    bool abandoned;        /* its result is not wanted: it is freed when it is done */
    zcb_result *result;    /* allocated with it, so that its end needs no memory */
    struct waiter *waiter; /* of the zcb_session_wait, while another thread reads */
};

/* The number of a closed bridge, for the engine. Allocated with the bridge, so that closing needs
 * no memory; a notice that cannot be sent now is sent later. */
struct close_notice {
    struct close_notice *next;
    uint32_t number;
};

/* A thread that waits while another one reads (standby.c). Lives on that thread's stack. */
struct follower {
    struct follower *next;
    struct waiter waiter;
    bool stands_by;   /* a standby thread: in zcb_session_next, also asleep on the standby bell */
    int64_t until_ns; /* of a standby thread: when it wakes by itself */
};

/* The reply that is being read. Kept when another thread goes on reading. */
struct incoming {
    bool active;
    zcb_message message;
    unsigned char *bytes; /* its payload; NULL: there was no memory for it */
    size_t got;           /* bytes read so far */
};

struct zcb_session {
    _Atomic uint32_t references; /* of the user and of each bridge */
    int64_t grace_ms;
    char *engine;
    char version[32];
    plat_child child;    /* the started process: the engine, or a launcher of it */
    int64_t pid;         /* the engine's */
    plat_handle process; /* the engine's; may be child.process */
    plat_handle link;
    zcb_channel *commands;
    zcb_channel *urgent;
    struct ticket_lock submit_lock; /* commands get their ids and are sent in one order */
    struct ticket_lock ping_lock;
    uint64_t last_ping; /* under ping_lock */
    /* The last urgent request found no room: the next one does not wait for any. */
    _Atomic bool urgent_full;

    plat_mutex lock; /* guards all fields below */
    bool ended;
    bool closing;
    bool reaped;       /* child's exit code was taken */
    zcb_detail reason; /* of the end */
    uint64_t last_id;
    uint32_t last_channel;
    struct pending *first, *last; /* the table of commands: by id, ... */
    struct pending **buckets;     /* ... and by hash */
    size_t bucket_count, pending_count;
    size_t notify_count;                    /* of pending commands with ZCB_COMMAND_NOTIFY */
    struct pending *first_done, *last_done; /* the queue of zcb_session_next */
    int64_t next_deadline;                  /* no later than the earliest deadline */
    bool reading;                           /* a thread reads replies, without the lock */
    bool armed;                             /* the standby bell will be rung */
    plat_loop_event loop_event;             /* of zcb_session_event */
    struct incoming incoming;               /* of the reading thread, without the lock */
    struct waiter reader; /* wakes the reading thread to look at next_deadline again */
    struct follower *followers;
    struct paired_channel *bridges;
    struct close_notice *close_notices;
};

/* ---- session.c ---- */

void zcbi_session_reference(zcb_session *session);
/* Drops a reference. The last one frees the session. */
void zcbi_session_release(zcb_session *session);
/* ZCB_ERR_FORKED, ZCB_ERR_INVALID for NULL, or ZCB_OK. */
zcb_error zcbi_session_owned(const zcb_session *session);

/* All below is called under the session's lock, unless a comment says otherwise. */

/* Why no command can be submitted (ZCB_ERR_CLOSED, _PEER_GONE), or ZCB_OK. */
zcb_error zcbi_session_state(const zcb_session *session);
/* Ends the session: completes all pending commands, closes its channels, wakes all threads.
 * `format` is the reason. */
PRINTF_LIKE(2, 3)
void zcbi_session_end(zcb_session *session, const char *format, ...);
/* Ends the session for a final error (zcb_error_is_final) of a call on its channels. */
void zcbi_session_lose(zcb_session *session, zcb_error error);
/* Ends the session because the engine has ended. Reads the replies that it sent before, unless
 * another thread reads: that one does the same. */
void zcbi_session_lose_ended(zcb_session *session);
/* Kills the engine's process, and hangs up on the processes that it started. */
void zcbi_session_kill(zcb_session *session);

/* ---- urgent.c: with or without the lock ---- */

/* Sends an urgent request (zcb_urgent or URGENT_...), waiting briefly for an engine that does not
 * listen. Errors as zcb_send. */
zcb_error zcbi_urgent_send(zcb_session *session, uint32_t what, uint64_t id);
/* Asks the engine to stop a command. ZCB_OK also when the session is ending, which ends the command
 * too; other errors as zcb_send. */
zcb_error zcbi_urgent_stop(zcb_session *session, uint64_t id);

/* ---- pending.c: the table of commands ---- */

/* NULL: no memory. */
struct pending *zcbi_pending_add(zcb_session *session, uint64_t id, uint32_t op, uint32_t flags,
                                 struct paired_channel *paired, int64_t deadline_ns);
/* NULL: there is none. */
struct pending *zcbi_pending_find(const zcb_session *session, uint64_t id);
/* Removes and frees the entry. Its result is the caller's. */
zcb_result *zcbi_pending_take(zcb_session *session, struct pending *pending);
/* The result is complete: wakes the thread that waits for it, or queues it for zcb_session_next. */
void zcbi_pending_finish(zcb_session *session, struct pending *pending);
/* Completes the result without a reply of the engine, and then the same. */
void zcbi_pending_finish_here(zcb_session *session, struct pending *pending, zcb_status status,
                              const char *err);
/* Appends a done command to the queue of zcb_session_next; removes it, if it is there. */
void zcbi_pending_queue(zcb_session *session, struct pending *pending);
void zcbi_pending_unqueue(zcb_session *session, const struct pending *pending);

/* ---- deadlines.c ---- */

/* Sets the deadline of a pending command. */
void zcbi_deadline_set(zcb_session *session, struct pending *pending, int64_t deadline_ns);
/* True when next_deadline has passed and zcbi_deadlines_act should be called. While replies are to
 * be read they are read first, for READ_ON_NS at most: they say which command is running and which
 * is queued. */
bool zcbi_deadlines_are_due(const zcb_session *session);
/* Stops the commands whose deadline has passed, and sets next_deadline anew. */
void zcbi_deadlines_act(zcb_session *session);

/* ---- commands.c: without the lock ---- */

/* zcb_session_submit for all ops. paired: the bridge of a transfer, or NULL. */
zcb_error zcbi_session_submit(zcb_session *session, zcb_command *command,
                              struct paired_channel *paired, int64_t timeout_ms,
                              const zcb_wait *wait);

/* ---- reading.c ---- */

/* True when a read would not wait. */
bool zcbi_session_has_data(const zcb_session *session);
/* Reads replies until one has arrived, a deadline was acted on, `also` (may be NULL) is ready, or
 * the wait ends. Releases the lock meanwhile. Only while no other thread reads. limit may be NULL.
 * Errors as zcbi_wait_any and zcbi_limit_check; an error that ends the session is ZCB_OK. */
zcb_error zcbi_session_read(zcb_session *session, const struct source *also, struct limit *limit,
                            const zcb_wait *wait);

/* ---- standby.c ---- */

/* Waits until the reading thread, or the one that hands the reading over, wakes this one; or until
 * `also` (may be NULL) is ready. Releases the lock meanwhile. `pending` (may be NULL) wakes it when
 * done. Errors as zcbi_wait_any. */
zcb_error zcbi_session_follow(zcb_session *session, struct pending *pending,
                              const struct source *also, const zcb_wait *wait);
/* Waits as a standby thread until there is something to read while no other thread reads, or a
 * deadline passes, on which it acts. Releases the lock meanwhile. Errors as zcbi_wait_handles. */
zcb_error zcbi_session_stand_by(zcb_session *session, const zcb_wait *wait);
/* From now on the standby bell is not rung. */
void zcbi_session_disarm(zcb_session *session);
/* If no thread reads: wakes a waiting thread to do it, or arms the standby bell. */
void zcbi_session_hand_over(zcb_session *session);
/* Wakes the standby threads, and sets zcb_session_event. */
void zcbi_session_wake_standby(zcb_session *session);
void zcbi_session_wake_all(zcb_session *session);
/* zcb_session_event is to be set when next_deadline, which is new, passes. */
void zcbi_session_time_event(zcb_session *session);

#endif
