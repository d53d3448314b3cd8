/*
 * The engine's side of a session, inside the library: agent.c connects it and sends its replies,
 * work.c hands the pipeline its work, urgent.c hears what cannot wait, bridge_end.c knows the
 * bridges; inbox.c (with intake.c) and outbox.c are a bridge's two directions, transfer_thread.c
 * their threads.
 *
 *   a posted receive  pipeline -> inbox -> (its message has come) arrivals -> pipeline
 *   a value           pipeline -> outbox -> (it has left)
 *
 * A transfer is in one of these places at any time, and the agent's lock is over all of them, so
 * that a stop finds it wherever it is. The lock is for looking and for changing lists: nobody
 * waits, copies, sends or calls the runtime under it. So what is to be completed or released is
 * taken out under the lock and dealt with after it.
 *
 * Two cancel handles wake: the agent's own ends a wait of the pipeline's thread (something has
 * arrived, or was stopped that it serves), and each transfer thread has one. What they tell of is
 * changed under the lock before; who was woken resets the handle and looks again.
 */
#ifndef ZCB_AGENT_H
#define ZCB_AGENT_H

#include "channel/channel.h"
#include "platform/error.h"
#include "protocol/link.h"
#include "protocol/message.h"
#include "protocol/urgent.h"

/* Why a bridge's direction has ended; "": it goes on. */
#define REASON_BYTES 256
struct reason {
    char text[REASON_BYTES];
};

/* What has come of a message. */
struct contents {
    uint32_t kind;
    uint64_t bytes;
    void *memory; /* the runtime's, or NULL */
    zcb_lease *lease;
};

/* A posted receive. */
struct receive {
    struct receive *next;
    uint64_t id;
    uint32_t flags; /* zcb_command_flags */
    void *target;   /* the runtime's */
    bool withdrawn; /* stopped while its message comes in */
    struct contents contents;
};

/* A message that was sent to no receive in particular, and taken in because others waited behind
 * it. */
struct kept {
    struct kept *next;
    struct contents contents;
    zcb_detail refusal; /* or why it could not be taken in */
};

/* A message on its way to the program: a value, or why there is none. */
struct send {
    struct send *next;
    uint64_t id;
    zcb_kind kind; /* ERROR: its command has ended already */
    const void *data;
    uint64_t bytes;
    void *owner; /* the runtime's, or NULL */
    int64_t start_ns;
    bool withdrawn; /* stopped while it goes out */
    /* Of whoever sends it. */
    bool begun; /* it has the channel's sending turn */
    size_t written;
    char text[REASON_BYTES]; /* at least: data of an error */
};

/* A thread of a bridge's own. */
struct transfer_thread {
    struct transfer_thread *next;
    plat_thread thread;
    struct bridge_end *end; /* a reference */
    void (*work)(struct transfer_thread *self);
    zcb_cancel *wake;
    bool has_ended; /* under the lock: all but its last instructions */
};

/* Who takes messages in. */
enum server { SERVER_NONE, SERVER_PIPELINE, SERVER_OWN_THREAD };

/* Where the message is that comes next. */
enum stage {
    STAGE_NONE,     /* it has not been seen */
    STAGE_HEAD,     /* it has begun; its receive is not there yet */
    STAGE_UNDER_WAY /* it is taken in for `receiving`, or to be kept */
};

struct inbox {
    struct receive *posted; /* in their order */
    struct kept *kept;      /* likewise */
    enum server server;
    struct transfer_thread *thread; /* or NULL */
    enum stage stage;
    zcb_message message; /* from STAGE_HEAD on */
    struct receive *receiving;
    uint64_t last_id; /* of receives, failed ones included */
    uint64_t
        settled; /* messages taken whose arrival is entered: the channel's count runs ahead of it */
    bool dropped; /* the message before: what is left of it goes by when the next one is begun */
    struct reason ended;
    /* Of whoever serves; not under the lock. */
    void *memory;
    unsigned char *data;
    size_t read;
};

struct outbox {
    struct send *waiting; /* in their order; the first may have begun */
    struct send *sending; /* somebody is at it, and it may be stopped */
    bool busy;            /* somebody is at one */
    struct transfer_thread *thread;
    struct reason ended;
};

/* The engine's end of a bridge. */
struct bridge_end {
    struct bridge_end *next;
    _Atomic uint32_t references; /* the agent's list, threads, and who uses it for a while */
    zcb_agent *agent;
    uint32_t number;
    char label[ZCB_MAX_LABEL_BYTES + 1];
    zcb_error error; /* joining failed; kept to be said when it is asked for */
    zcb_channel *channel;
    uint64_t caught_up; /* the agent's round in which the pipeline caught up with it */
    struct inbox inbox;
    struct outbox outbox;
};

/* What the thread of zcb_agent_next was given. */
enum doing { DOING_NOTHING, DOING_RUN, DOING_RECEIVE, DOING_SEND, DOING_ARRIVAL };

struct console {
    uint64_t offset; /* read so far */
};

struct zcb_agent {
    plat_handle link;
    plat_handle program; /* the other process */
    zcb_channel *commands;
    zcb_channel *urgent;
    zcb_runtime runtime;
    zcb_cancel *wake;         /* ends waits of the pipeline's thread */
    _Atomic uint64_t starved; /* the command that some text of was lost, or 0 */
    uint32_t width;
    bool unrung; /* a completion was sent that no standby was woken for */
    struct console console[2];

    /* Of the pipeline's thread. */
    unsigned char *text; /* the parts of the command that was taken last */
    size_t text_capacity;
    zcb_part part;
    zcb_command command;
    uint64_t round;            /* counts commands */
    struct bridge_end *end;    /* of the transfer that was given: a reference, or NULL */
    struct bridge_end *serves; /* the bridge that it serves: a reference, or NULL */
    int64_t given_ns;
    bool serves_outbox; /* and in which direction */
    bool holds;         /* `command` is to be given */
    bool caught_up;     /* what was sent before it is among the arrivals */

    plat_mutex lock; /* all that follows, and the bridges but for what they say */
    struct bridge_end *ends;
    struct receive *arrivals; /* in their order */
    struct transfer_thread *threads;
    bool catching_up; /* the pipeline waits for bridges' own threads */
    bool current_stopped;
    enum doing doing;
    uint64_t current_id;
    uint64_t last_given;
    uint64_t *dropped; /* commands that were stopped before their turn */
    size_t dropped_count, dropped_capacity;
};

/* What has come of the pipeline's serving a bridge. */
enum served {
    SERVED_ONE,     /* a message was dealt with */
    SERVED_NOTHING, /* nothing yet, and the pipeline has something else to do first */
    SERVED_OVER     /* the pipeline is not needed there any more */
};

/* ---- replies.c ---- */

/* How a transfer ends. */
struct ending {
    uint64_t id;
    bool stopped;
    bool refused;       /* a receive that took no message */
    struct span reason; /* why it failed; no text: it did not */
    int64_t start_ns;   /* or 0 */
    bool lazy;          /* as in zcb_agent_complete */
};
/* All completions of transfers go through here. Never under the lock. */
void zcbi_transfer_end(zcb_agent *agent, struct ending ending);
struct span zcbi_text(const char *text);
/* Gives an owner or target back, if there is one. Never under the lock. */
void zcbi_runtime_release(zcb_agent *agent, void *owner);

/* ---- work.c ---- */

/* Under the lock: the thread of zcb_agent_next has done with what it was given. True when that was
 * stopped meanwhile. */
bool zcbi_work_leave(zcb_agent *agent);
/* Under the lock: what has come for a posted receive. */
void zcbi_work_add_arrival(zcb_agent *agent, struct receive *receive, bool wake);
/* Under the lock: bridges' threads have got further; the pipeline may wait for that. */
void zcbi_work_tell(zcb_agent *agent);
/* Of what its thread has, when the agent goes. */
void zcbi_work_destroy(zcb_agent *agent);

/* ---- bridge_end.c ---- */

/* The bridge with this number, opened at first use: a reference. ZCB_ERR_NOT_FOUND when it is not
 * or no longer there; _NO_HANDLES: the next call tries again; _NO_MEMORY, _PROTOCOL: then it is
 * closed for the program, too. */
zcb_error zcbi_bridge_end_get(zcb_agent *agent, uint32_t number, struct bridge_end **end);
/* The newest one with this label. */
zcb_error zcbi_bridge_end_find(zcb_agent *agent, const char *label, struct bridge_end **end);
/* Takes in what has come by the link. */
void zcbi_bridge_ends_accept(zcb_agent *agent);
/* The program has closed it: ends all its transfers. */
void zcbi_bridge_end_close(zcb_agent *agent, uint32_t number);
void zcbi_bridge_ends_close(zcb_agent *agent);
void zcbi_bridge_end_keep(struct bridge_end *end);
/* Never under the lock. */
void zcbi_bridge_end_release(struct bridge_end *end);
/* Why a bridge goes no further, for the user. */
struct reason zcbi_bridge_end_explain(zcb_error error);
/* The same where no thread was to be had. */
struct reason zcbi_bridge_end_refused(void);
bool zcbi_is_passing(zcb_error error);

/* ---- inbox.c ---- */

/* Posts a receive of the pipeline's thread, or ends it. True when the pipeline is to serve this
 * inbox. */
bool zcbi_inbox_post(struct bridge_end *end, struct receive *receive);
/* Under the lock: a receive failed before it could be posted, so a message for it is to be
 * discarded. */
void zcbi_inbox_skip(struct bridge_end *end, uint64_t id);
/* On the pipeline's thread: takes in one message, or waits for it until a command comes or an
 * arrival wakes it: then what has begun goes on in the own thread. */
enum served zcbi_inbox_serve(struct bridge_end *end, const zcb_wait *until_command);
/* The pipeline turns to something else: what is left goes on in the own thread. */
void zcbi_inbox_hand_over(struct bridge_end *end);
/* Under the lock: there are messages that were sent completely before now and are not among the
 * arrivals, *sent of all. */
bool zcbi_inbox_is_behind(struct bridge_end *end, uint64_t *sent);
/* On the pipeline's thread: waits until they are, but never for the program. ZCB_ERR_TIMEOUT. */
zcb_error zcbi_inbox_catch_up(struct bridge_end *end, uint64_t sent, const zcb_wait *wait);
/* Under the lock: stops a receive; false when it isn't here. *receive: to be ended by the
 * caller. */
bool zcbi_inbox_withdraw(struct bridge_end *end, uint64_t id, struct receive **receive);
/* Fails what is posted and ends the thread. */
void zcbi_inbox_end(struct bridge_end *end, struct reason reason);
/* Of a bridge that goes. */
void zcbi_inbox_destroy(struct bridge_end *end);
/* With all that it has. Never under the lock. */
void zcbi_receive_free(zcb_agent *agent, struct receive *receive);

/* ---- outbox.c ---- */

/* A message from data and owner, or without them an error message with a copy of the text; NULL: no
 * memory. */
struct send *zcbi_send_create(uint64_t id, zcb_kind kind, struct span data, void *owner);
/* Sends a message of the pipeline's thread, now or in its turn. *stopped: its transfer was stopped
 * before, and its reader is told that in its place. True when the pipeline is to serve this
 * outbox. */
bool zcbi_outbox_post(struct bridge_end *end, struct send *send, bool *stopped);
/* On the pipeline's thread: sends on until a command comes or an arrival wakes it. */
enum served zcbi_outbox_serve(struct bridge_end *end, const zcb_wait *until_command);
void zcbi_outbox_hand_over(struct bridge_end *end);
/* Under the lock: stops a send; false when it isn't here. *waited: it is to be completed as
 * stopped, and *owner to be released, by the caller. */
bool zcbi_outbox_withdraw(struct bridge_end *end, uint64_t id, bool *waited, void **owner);
void zcbi_outbox_end(struct bridge_end *end, struct reason reason);

/* ---- transfer_thread.c ---- */

/* Under the lock. NULL where the system refuses one. `work` ends when its direction has, and has
 * taken the thread out of there before. */
struct transfer_thread *zcbi_transfer_thread_start(struct bridge_end *end,
                                                   void (*work)(struct transfer_thread *self));
/* Sleeps until it is woken. */
void zcbi_transfer_thread_sleep(const struct transfer_thread *self);
/* Joins those that have ended; all: waits for the rest, whose bridges have ended. Never under the
 * lock. */
void zcbi_transfer_threads_join(zcb_agent *agent, bool all);

/* ---- urgent.c: zcb_agent_listen ---- */

#endif
