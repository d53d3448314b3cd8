/* A session inside the library: start.c makes it, commands.c gives it commands, replies.c reads what comes
 * back, session.c ends it, bridge.c adds channels. */
#ifndef ZCB_SESSION_H
#define ZCB_SESSION_H

#include "channel/pace.h"
#include "channel/turn.h"
#include "platform/error.h"
#include "protocol/link.h"
#include "protocol/message.h"
#include "protocol/urgent.h"

/* A result with the memory behind it. */
struct reply {
    zcb_result result;        /* first: what the user frees */
    char *joined[ZCB_FIELDS]; /* texts that came in several pieces, else NULL */
    struct reply_wire wire;
    char texts[];
};

/* Text of a running command that came ahead of its completion. */
struct collected {
    char *text;
    size_t bytes;
    size_t capacity;
};

/* A command whose result nobody has taken yet. */
struct pending {
    struct pending *next_in_bucket;
    struct pending *next, *previous; /* by id */
    struct pending *next_done;       /* of those that zcb_session_next gives */
    uint64_t id;
    uint32_t op;
    uint32_t flags;
    zcb_bridge *bridge; /* RECEIVE and SEND; borrowed; NULL once the bridge is closed */
    int64_t deadline_ns;
    bool timed_out; /* it was told to stop; deadline_ns is the end of its grace */
    bool done;
    bool awaited;        /* a zcb_session_wait has it */
    bool abandoned;      /* nobody will: it goes when it is done */
    bool starved;        /* there was no memory for some of its text */
    struct reply *reply; /* when done, else NULL */
    struct reply *spare; /* what it ends with where there is no memory for its reply */
    struct collected collected[ZCB_FIELDS];
    struct waiter *waiter;
};

/* A thread that waits while another one reads. */
struct follower {
    struct follower *next;
    struct waiter waiter;
    bool stands_by;   /* in zcb_session_next */
    int64_t until_ns; /* then: when it wakes by itself */
};

/* The message that the reading thread is in the middle of. */
struct incoming {
    bool active;
    zcb_message message;
    struct reply *reply;
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
    _Atomic bool deaf; /* the last urgent request found no room: the next one does not wait */

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
    bool armed; /* the bell is rung for those who stand by */
    struct incoming incoming;
    struct waiter reader; /* tells the reading thread to look at next_deadline again */
    struct follower *followers;
    zcb_bridge *bridges;
};

/* ---- session.c ---- */

void zcbi_session_reference(zcb_session *session);
void zcbi_session_release(zcb_session *session);
/* ZCB_ERR_FORKED, or ZCB_OK. */
zcb_error zcbi_session_owned(const zcb_session *session);
/* Under the lock: the session is over, all that is pending is done. `format` is the reason. */
PRINTF_LIKE(2, 3)
void zcbi_session_end(zcb_session *session, const char *format, ...);
/* Under the lock: as zcbi_session_end, for an error that a wait on the engine gave. */
void zcbi_session_lose(zcb_session *session, zcb_error error);
/* Under the lock: the engine has ended. Takes in what it said before; a thread that reads does that itself. */
void zcbi_session_lose_ended(zcb_session *session);
/* Ends the engine's process, and hangs up on what it had started. */
void zcbi_session_kill(zcb_session *session);
/* Sends an urgent request, waiting briefly for an engine that does not listen: errors as zcb_send. */
zcb_error zcbi_session_urgent(zcb_session *session, uint32_t what, uint64_t id);
/* Under the lock: tells the engine to stop a command. ZCB_OK also when the session is ending: so is the command. */
zcb_error zcbi_session_stop(zcb_session *session, uint64_t id);

/* ---- pending.c, all under the lock ---- */

struct pending *zcbi_pending_add(zcb_session *session, uint64_t id, uint32_t op, uint32_t flags,
                                 zcb_bridge *bridge, int64_t deadline_ns);
struct pending *zcbi_pending_find(const zcb_session *session, uint64_t id);
/* Takes it out of the books and frees it; its reply is the caller's. */
struct reply *zcbi_pending_take(zcb_session *session, struct pending *pending);
/* Puts a result into the row that zcb_session_next gives. */
void zcbi_pending_put_in_row(zcb_session *session, struct pending *pending);
/* Its spare reply, which says that the other one was lost. */
struct reply *zcbi_pending_spare(struct pending *pending, zcb_status status);
/* It is done: tells who waits for it. */
void zcbi_pending_finish(zcb_session *session, struct pending *pending, struct reply *reply);
/* It is done without a word from the engine. */
void zcbi_pending_finish_here(zcb_session *session, struct pending *pending, zcb_status status,
                              const char *err);
/* Acts on deadlines that have passed and sets next_deadline anew. */
void zcbi_pending_expire(zcb_session *session);
void zcbi_pending_collect(struct pending *pending, const struct reply *reply);
/* Puts the collected pieces in front of the reply's own texts. */
zcb_error zcbi_pending_join(struct pending *pending, struct reply *reply);

/* ---- commands.c ---- */

/* zcb_session_submit for all ops. bridge may be NULL. */
zcb_error zcbi_session_submit(zcb_session *session, zcb_command *command, zcb_bridge *bridge,
                              int64_t timeout_ms, const zcb_wait *wait);

/* ---- replies.c ---- */

/* Ends a wait although replies come without a pause, which no wait in the kernel would notice. */
struct limit {
    struct pace pace;
    int64_t end_ns;
};

void zcbi_limit_init(struct limit *limit, const zcb_wait *wait);
/* ZCB_ERR_TIMEOUT, _CANCELLED or _INTERRUPTED when the wait is to end. */
zcb_error zcbi_limit_check(struct limit *limit);

/* Under the lock: reads until something has arrived, a deadline was acted on, or the wait ends; limit may be
 * NULL. The lock is given up meanwhile. Only when nobody else reads. */
zcb_error zcbi_session_read(zcb_session *session, const struct source *also, struct limit *limit,
                            const zcb_wait *wait);
/* Under the lock, which is given up meanwhile: waits to be told something by the thread that reads, above all
 * that `pending` (may be NULL) is done. */
zcb_error zcbi_session_follow(zcb_session *session, struct pending *pending,
                              const struct source *also, const zcb_wait *wait);
/* Under the lock: if nobody reads, sees to it that one of those who wait does. */
void zcbi_session_hand_over(zcb_session *session);
/* Under the lock: tells the threads in zcb_session_next, if any wait there. */
void zcbi_session_tell_standby(zcb_session *session);
void zcbi_session_tell_all(zcb_session *session);
/* Under the lock: takes a result out of the row that zcb_session_next gives, if it is there. */
void zcbi_session_remove_done(zcb_session *session, const struct pending *pending);

/* ---- bridge.c, under the lock ---- */

/* A posted receive is in the engine's queue; false: the session's books have no memory for it. Sets
 * ZCB_COMMAND_TAKE_QUEUED in *flags when it takes a message that was sent before. */
bool zcbi_bridge_posted(zcb_bridge *bridge, uint64_t id, uint32_t *flags);
/* It did not get there after all. */
void zcbi_bridge_post_failed(zcb_bridge *bridge, const struct pending *pending);
zcb_bridge *zcbi_bridge_next(const zcb_bridge *bridge);
/* Ends its waits. */
void zcbi_bridge_shut(zcb_bridge *bridge);
/* A transfer is done. */
void zcbi_bridge_finished(zcb_bridge *bridge, const struct pending *pending,
                          const struct reply *reply);

#endif
