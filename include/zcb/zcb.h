/*
 * libzcb: a live PowerShell session with data that crosses through shared memory.
 *
 * A program starts an engine (zcb_session_start), gives it commands (zcb_session_submit) and takes
 * their results (zcb_session_wait). A bridge (zcb_bridge_open) is one more channel of the session:
 * through it bytes go into a PowerShell variable and out of a PowerShell expression.
 *
 *     zcb_session *session;
 *     zcb_detail why;
 *     zcb_error error = zcb_session_start(NULL, &session, &why, NULL);
 *     if (error)
 *         return fprintf(stderr, "%s: %s\n", zcb_error_text(error), why.text), 1;
 *     zcb_result *result;
 *     error = zcb_session_run(session, "1+1", 3, 0, 10000, &result, NULL);
 *
 * Conventions
 *   Errors     Every function that can fail returns zcb_error, ZCB_OK (0) on success; results go
 *              through pointers and are written on success only, unless a comment says otherwise.
 *   Shortage   ZCB_ERR_NO_MEMORY, _NO_HANDLES and _SYSTEM say that the system refused what a call needed.
 *              Every call that makes something, waits or sends may return them; it alone has failed then.
 *   Units      are in the names: _bytes, _ms, _ns. Text is UTF-8, counted, need not end in NUL.
 *   Waiting    Every call that may wait takes a zcb_wait; NULL waits without limit. No call polls.
 *   Threads    Every function may be called from any thread unless its comment says otherwise. Calls
 *              on one direction of one channel queue up; a message is never mixed with another.
 *   Ownership  X_free ends the object; the caller makes sure that no other call on it is running.
 *              X_close may be called at any time, from any thread, more than once: it ends all waits.
 *   Fork       Objects belong to the process that made them. In a fork()ed child every call returns
 *              ZCB_ERR_FORKED, and X_free gives back the child's copies without a word to the peer.
 */
#ifndef ZCB_ZCB_H
#define ZCB_ZCB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* On Windows a program that links the static library defines ZCB_STATIC. */
#if defined(_WIN32) && defined(ZCB_BUILDING)
#define ZCB_API __declspec(dllexport)
#elif defined(_WIN32) && defined(ZCB_STATIC)
#define ZCB_API
#elif defined(_WIN32)
#define ZCB_API __declspec(dllimport)
#elif defined(__GNUC__)
#define ZCB_API __attribute__((visibility("default")))
#else
#define ZCB_API
#endif

#define ZCB_VERSION "0.1.0"

/* The version of the library that is loaded, as ZCB_VERSION. */
ZCB_API const char *zcb_version(void);

/* ---------------------------------------------------------------- errors */

/* code, name, sentence. A number, once given, keeps its meaning. */
#define ZCB_ERRORS(X)                                                                              \
    X(0, OK, "no error")                                                                           \
    X(1, ERR_TIMEOUT, "timed out")                                                                 \
    X(2, ERR_CANCELLED, "cancelled by the caller")                                                 \
    X(3, ERR_INTERRUPTED, "interrupted by a signal")                                               \
    X(4, ERR_CLOSED, "closed on this side")                                                        \
    X(5, ERR_PEER_CLOSED, "closed by the other side")                                              \
    X(6, ERR_PEER_GONE, "the other process has ended")                                             \
    X(7, ERR_PROTOCOL, "protocol error: the other side wrote a value that makes no sense")         \
    X(8, ERR_ABORTED, "the sender gave the message up half-way")                                   \
    X(9, ERR_TOO_LARGE, "data exceeds frame size")                                                 \
    X(10, ERR_NO_MEMORY,                                                                           \
      "out of memory: free some, or raise what limits it (container, ulimit -v, ulimit -f)")       \
    X(11, ERR_NO_HANDLES,                                                                          \
      "out of file descriptors or handles: close some, or raise their limit (ulimit -n)")          \
    X(12, ERR_INVALID, "invalid argument")                                                         \
    X(13, ERR_FORKED, "the object belongs to the parent process; a forked child cannot use it")    \
    X(14, ERR_NOT_FOUND, "not found")                                                              \
    X(15, ERR_VERSION, "the two sides are of different versions")                                  \
    X(16, ERR_START, "the engine did not start")                                                   \
    X(17, ERR_REFUSED, "the posted receive that was to take the message has failed")               \
    X(18, ERR_TOO_LATE, "too late: it is already under way")                                       \
    X(19, ERR_SYSTEM, "the operating system refused a call")                                       \
    X(20, ERR_WATCHED, "something came on the channel that was watched meanwhile")

typedef enum zcb_error {
#define ZCB_ERROR_ENUM(code, name, text) ZCB_##name = code,
    ZCB_ERRORS(ZCB_ERROR_ENUM)
#undef ZCB_ERROR_ENUM
} zcb_error;

/* "ZCB_ERR_TIMEOUT"; "ZCB_ERR_UNKNOWN" for a number that is none. Static, never NULL. */
ZCB_API const char *zcb_error_name(zcb_error error);
/* One sentence without a full stop. Static, never NULL. */
ZCB_API const char *zcb_error_text(zcb_error error);

/* Nothing goes any more on the channel or session that gave this error: _CLOSED, _PEER_CLOSED, _PEER_GONE, _PROTOCOL. */
ZCB_API bool zcb_error_is_final(zcb_error error);

/* What exactly was wrong, for the calls that make something. Always ends in NUL; cut at its size. */
typedef struct zcb_detail {
    char text[1024];
} zcb_detail;

/* ---------------------------------------------------------------- waiting */

#define ZCB_FOREVER (-1)    /* a timeout_ms without limit */
#define ZCB_NEVER INT64_MAX /* a deadline_ns that never comes */

/* Ends the waits it was given to. */
typedef struct zcb_cancel zcb_cancel;

ZCB_API zcb_error zcb_cancel_create(zcb_cancel **cancel);
/* Every wait with this handle, running or to come, returns ZCB_ERR_CANCELLED until zcb_cancel_reset. */
ZCB_API void zcb_cancel_set(zcb_cancel *cancel);
ZCB_API void zcb_cancel_reset(zcb_cancel *cancel);
ZCB_API void zcb_cancel_free(zcb_cancel *cancel);

typedef struct zcb_channel zcb_channel;

/* How long a call may wait, and what else ends it. */
typedef struct zcb_wait {
    int64_t
        deadline_ns; /* absolute, of the clock of zcb_now_ns; ZCB_NEVER; 0 or past: do not wait */
    zcb_cancel *cancel; /* may be NULL */
    /* Called when a signal interrupted the wait, and about every 20 ms of copying. Non-zero makes the
     * call return ZCB_ERR_INTERRUPTED. NULL: signals are ignored. Called on the waiting thread. */
    int (*interrupted)(void *arg);
    void *arg;
    /* May be NULL. The call ends with ZCB_ERR_WATCHED when it would have to wait, or go on copying for
     * long, and something is to be received on this channel: for a thread that serves both. */
    zcb_channel *watch;
    /* Windows, where no signal interrupts a wait: the HANDLE of an event that is set when `interrupted` is to
     * be asked, which resets it. NULL where there is none, and on other systems. */
    void *interrupt_event;
} zcb_wait;

/* Nanoseconds of a monotonic clock. */
ZCB_API int64_t zcb_now_ns(void);
/* The deadline timeout_ms from now; ZCB_NEVER for ZCB_FOREVER or what lies beyond the clock. */
ZCB_API int64_t zcb_deadline_ns(int64_t timeout_ms);

/* ---------------------------------------------------------------- memory */

/* Advises huge pages for fresh memory, and for what shares its first and last one: call it before the first
 * byte of a large destination is written. Only advice: never fails, does nothing for less than 4 MiB. */
ZCB_API void zcb_advise_huge(void *memory, size_t bytes);

/* ---------------------------------------------------------------- channels
 *
 * A channel is two one-way streams of messages in one shared region. Each end sends on one and
 * receives on the other. A message has a kind, an id and a payload of any length: frame_bytes bounds
 * the memory and the largest lease, not the largest message.
 */
typedef enum zcb_kind {
    ZCB_KIND_BYTES = 1,  /* arrives as byte[] or bytes */
    ZCB_KIND_CLIXML = 2, /* UTF-8 text of a serialized PowerShell object */
    ZCB_KIND_ERROR = 3,  /* UTF-8 text: why the message that was expected here cannot come */
    ZCB_KIND_CONTROL = 4 /* a session's own records */
} zcb_kind;

typedef struct zcb_message {
    uint32_t kind;  /* zcb_kind */
    uint32_t flags; /* the protocol's on top of the channel; the channel carries them */
    uint64_t id; /* likewise: on a bridge the posted transfer that the message belongs to, or 0 */
    uint64_t bytes; /* length of the payload; ZCB_OPEN_ENDED: not known yet */
} zcb_message;

/* The length of a message that ends where its sender calls zcb_send_end. */
#define ZCB_OPEN_ENDED UINT64_MAX

typedef struct zcb_channel_options {
    uint64_t frame_bytes;  /* each direction: the most that can be queued or leased; 0: 64 MiB */
    uint64_t window_bytes; /* each direction: what streaming goes through; 0: 4 MiB */
    /* For zcb_bridge_open: what scripts in the engine find the channel by (New-ZeroCopyLease). Up to
     * ZCB_MAX_LABEL_BYTES of UTF-8; NULL: none. */
    const char *label;
} zcb_channel_options;

#define ZCB_MAX_LABEL_BYTES 127

#define ZCB_MIN_FRAME_BYTES (UINT64_C(1) << 16)
#define ZCB_MAX_FRAME_BYTES (UINT64_C(1) << 40)
#define ZCB_MIN_WINDOW_BYTES (UINT64_C(1) << 16)
#define ZCB_MAX_WINDOW_BYTES (UINT64_C(1) << 30)

/* Makes both ends of a channel in this process, over one mapping. The memory is reserved; it is
 * committed when it is first used. ZCB_ERR_INVALID for sizes out of the bounds above,
 * ZCB_ERR_NO_MEMORY, ZCB_ERR_NO_HANDLES. */
ZCB_API zcb_error zcb_channel_pair(const zcb_channel_options *options, zcb_channel **a,
                                   zcb_channel **b);
/* Ends every wait on both sides. Messages that are queued can still be received by the other side,
 * leases stay valid. */
ZCB_API void zcb_channel_close(zcb_channel *channel);
/* Gives up this reference; the last one closes the channel. The mapping goes with the last lease. */
ZCB_API void zcb_channel_free(zcb_channel *channel);
ZCB_API uint64_t zcb_channel_frame_bytes(const zcb_channel *channel);

/* Sends one whole message, copied from payload. Returns at once while the frame has room for it;
 * otherwise it waits until there is room or the other side receives. On every error the message is
 * withdrawn (the receiver never sees it, or discards what it has seen) and the channel goes on.
 * ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED, _CLOSED, _PEER_CLOSED, _PEER_GONE, _PROTOCOL, _REFUSED (its
 * receiver dropped it half-way), _NO_MEMORY (the frame's memory could not be committed). */
ZCB_API zcb_error zcb_send(zcb_channel *channel, const zcb_message *message, const void *payload,
                           const zcb_wait *wait);

/* The same in steps, for a sender that has other things to do meanwhile, or that does not know the length yet
 * (message->bytes ZCB_OPEN_ENDED): takes the sending turn until zcb_send_end or _drop. Errors as zcb_send; after
 * one, nothing is begun.
 *
 * An open-ended message goes in pieces, each as soon as it is full: its sender runs at most frame_bytes and
 * window_bytes ahead of its receiver, and waits then. One that is shorter than a piece (64 KiB to 1 MiB, an eighth of
 * the window) arrives as a message of known length. */
ZCB_API zcb_error zcb_send_begin(zcb_channel *channel, const zcb_message *message,
                                 const zcb_wait *wait);
/* Copies the next `bytes` of the message; *done counts up by what was copied, on errors too. After
 * ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED and _WATCHED go on with the rest, on any thread; after
 * others call zcb_send_drop. ZCB_ERR_INVALID beyond the end of a message of known length. */
ZCB_API zcb_error zcb_send_write(zcb_channel *channel, const void *data, size_t bytes, size_t *done,
                                 const zcb_wait *wait);
/* Lets the receiver see what was written of an open-ended message, although its piece is not full. Never waits.
 * ZCB_ERR_NO_MEMORY: call zcb_send_drop. */
ZCB_API zcb_error zcb_send_flush(zcb_channel *channel);
/* Ends the message and the turn. Never waits. ZCB_ERR_INVALID when bytes of a known length are missing;
 * ZCB_ERR_NO_MEMORY for an open-ended message of which nothing can be seen yet: after either the turn goes on, until
 * zcb_send_drop. */
ZCB_API zcb_error zcb_send_end(zcb_channel *channel);
/* Ends the turn and withdraws the message: its receiver never sees it, or discards what it has seen. */
ZCB_API void zcb_send_drop(zcb_channel *channel);

/* Memory of the frame to be filled in place and sent without a copy. */
typedef struct zcb_block zcb_block;

/* Takes a block of `bytes` (> 0) of the frame, waiting until there is room. A zcb_send or
 * zcb_bridge_send on the same channel whose payload begins where the block does, and is not longer, sends
 * the block itself, once; the receiver then sees what is written there, so write no more.
 * ZCB_ERR_TOO_LARGE: more than the frame holds. ZCB_ERR_NO_MEMORY, and the errors of a wait. */
ZCB_API zcb_error zcb_block_allocate(zcb_channel *channel, uint64_t bytes, zcb_block **block,
                                     const zcb_wait *wait);
ZCB_API void *zcb_block_data(const zcb_block *block);
ZCB_API uint64_t zcb_block_bytes(const zcb_block *block);
/* Gives it up, sent or not: the memory is used again once the receiver, too, has given it back. On any
 * thread, also after the channel is freed; not while a call sends it. */
ZCB_API void zcb_block_free(zcb_block *block);

/* What the receiver will do with a message; the sender chooses the way by it. */
typedef enum zcb_wish {
    ZCB_WISH_COPY = 1, /* copy it out */
    ZCB_WISH_LEASE = 2 /* hold it in place */
} zcb_wish;

/* Waits for the next message and takes the receiving turn until zcb_receive_end or _drop. A message
 * whose sender gave it up is discarded without a word.
 * Next: zcb_receive_read as often as wanted or zcb_receive_lease once, then zcb_receive_end.
 * ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED, _CLOSED, _PEER_CLOSED, _PEER_GONE (the last two only
 * when all that was sent has been received), _PROTOCOL. */
ZCB_API zcb_error zcb_receive_begin(zcb_channel *channel, zcb_wish wish, zcb_message *message,
                                    const zcb_wait *wait);
/* Copies the next `bytes` of the message. *done (may be NULL) counts up by what was copied, on errors
 * too. Of an open-ended message it copies less, and returns ZCB_OK, only where the message has ended: so read until
 * *done falls short. After ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED and _WATCHED go on with the rest, on any thread,
 * or call zcb_receive_drop as after every other error. ZCB_ERR_ABORTED when the sender gave up;
 * ZCB_ERR_INVALID beyond the end of a message of known length. */
ZCB_API zcb_error zcb_receive_read(zcb_channel *channel, void *destination, size_t bytes,
                                   size_t *done, const zcb_wait *wait);
/* The message is done with. ZCB_ERR_INVALID when bytes are left that were neither read nor leased, or when the
 * end of an open-ended message was not met yet. */
ZCB_API zcb_error zcb_receive_end(zcb_channel *channel);
/* Ends the turn and discards what is left of the message, now or as it arrives. Never waits. */
ZCB_API void zcb_receive_drop(zcb_channel *channel);

/* A message held in place. */
typedef struct zcb_lease zcb_lease;

/* Takes the whole message, none of it read yet, in place; waits until all of it is there. The lease
 * outlives zcb_receive_end, the channel and the other process.
 * ZCB_ERR_TOO_LARGE when the message is not in one piece in the frame (it streams; read it instead;
 * the turn goes on), _ABORTED and the errors of a wait (then call zcb_receive_drop). */
ZCB_API zcb_error zcb_receive_lease(zcb_channel *channel, zcb_lease **lease, const zcb_wait *wait);
ZCB_API const void *zcb_lease_data(const zcb_lease *lease);
ZCB_API uint64_t zcb_lease_bytes(const zcb_lease *lease);
/* Gives the block back to the sender. In any order, on any thread, also after the channel is freed. */
ZCB_API void zcb_lease_free(zcb_lease *lease);

/* How many messages the other side has sent completely since the channel was made (given-up ones do not
 * count), and how many of those this side has taken or dropped to their end. Never waits. sent - received are there to be
 * received without waiting for the sender. */
ZCB_API void zcb_channel_counts(zcb_channel *channel, uint64_t *sent, uint64_t *received);

/* ---------------------------------------------------------------- engine */

/* Finds PowerShell 7.4 or later: `given` when not NULL; `pwsh` on PATH; where an installer puts it on Windows, or
 * `python -m virtualshell install-engine`; Windows PowerShell 5.1; the NuGet package in the user's package folder.
 * Writes its absolute path (NUL-terminated) and where it was found ("given", "PATH", "installed",
 * "system", "NuGet"; static). ZCB_ERR_NOT_FOUND, with the places that were looked at in why; _NO_MEMORY, _NO_HANDLES, _SYSTEM when
 * a place could not be looked at. */
ZCB_API zcb_error zcb_engine_find(const char *given, char *path, size_t path_bytes,
                                  const char **origin, zcb_detail *why);

/* ---------------------------------------------------------------- sessions */

typedef struct zcb_session zcb_session;

typedef struct zcb_session_options {
    const char *engine; /* path of pwsh; NULL: zcb_engine_find */
    /* Path of the module's folder, in which the engine's kind decides between ZeroCopyBridge.dll and
     * desktop/ZeroCopyBridge.dll, or of the file itself. NULL: the folder of this library, or else zcb/powershell/
     * below it, where `meson install` puts it. */
    const char *module;
    const char *working_directory; /* NULL: this process's */
    const char *const
        *environment; /* "NAME=VALUE" to set, "NAME" to remove; NULL-terminated; or NULL */
    uint32_t width;   /* columns of formatted output; 0: 120 */
    int64_t grace_ms; /* how long a command that is to stop may take; 0: 5,000 */
} zcb_session_options;

/* Starts the engine and waits until it answers. options may be NULL for the defaults. ZCB_ERR_NOT_FOUND, _START
 * (it ended, with what it wrote, in why), _VERSION, _PROTOCOL, _NO_MEMORY, _NO_HANDLES, _SYSTEM, and the errors of a
 * wait; nothing is left behind, and why (may be NULL) always says more. */
ZCB_API zcb_error zcb_session_start(const zcb_session_options *options, zcb_session **session,
                                    zcb_detail *why, const zcb_wait *wait);
/* Asks the engine to end, gives it grace_ms (0: none), then ends it. Commands that are not done end as
 * ZCB_STATUS_LOST. All waits end, those of its bridges too. */
ZCB_API void zcb_session_close(zcb_session *session, int64_t grace_ms);
/* Closes, and frees what no bridge and no lease still needs. */
ZCB_API void zcb_session_free(zcb_session *session);
/* The engine's process id, its version ("7.6.9"; lives as long as the session) and its path. */
ZCB_API int64_t zcb_session_pid(const zcb_session *session);
ZCB_API const char *zcb_session_version(const zcb_session *session);
ZCB_API const char *zcb_session_engine(const zcb_session *session);
/* True while commands can be given. Otherwise why (may be NULL) says what ended it: closed here, exited
 * with a code, killed by a signal, a protocol error. */
ZCB_API bool zcb_session_alive(zcb_session *session, zcb_detail *why);
/* What a command is. */
typedef enum zcb_op {
    ZCB_OP_RUN = 1,     /* run text */
    ZCB_OP_RECEIVE = 2, /* receive a message of the channel into the variable that text names */
    ZCB_OP_SEND = 3     /* evaluate text and send its value on the channel */
} zcb_op;

typedef enum zcb_command_flags {
    ZCB_COMMAND_LOCAL_SCOPE = 1, /* RUN: in a child scope, where PowerShell compiles loops well */
    ZCB_COMMAND_TAKE_QUEUED = 2, /* RECEIVE: takes the oldest message that was sent with id 0 */
    ZCB_COMMAND_NOTIFY = 4,      /* its result may be had from zcb_session_next */
    ZCB_COMMAND_LEASE = 8 /* RECEIVE: the variable is to hold the message in place, no byte[] */
} zcb_command_flags;

/* Commands and their replies consist of typed parts. */
typedef enum zcb_part_kind {
    ZCB_PART_TEXT = 1, /* of a command: what is to run, the target, the expression */
    /* Of a reply, by PowerShell's streams: text that the command left. */
    ZCB_PART_OUT = 16,
    ZCB_PART_ERR = 17,
    ZCB_PART_WARNING = 18,
    ZCB_PART_VERBOSE = 19,
    ZCB_PART_DEBUG = 20,
    ZCB_PART_INFORMATION = 21,
    ZCB_PART_PROGRESS = 22
} zcb_part_kind;

#define ZCB_STREAMS 7 /* kinds of text in a reply, from ZCB_PART_OUT on */

typedef struct zcb_part {
    uint32_t kind;    /* zcb_part_kind */
    uint32_t flags;   /* 0 */
    const void *data; /* text: UTF-8, which need not end in NUL; one that was received has a NUL behind it */
    size_t bytes;
} zcb_part;

typedef struct zcb_command {
    uint64_t id;      /* set by zcb_session_submit; grows with every command of the session */
    uint32_t op;      /* zcb_op */
    uint32_t flags;   /* zcb_command_flags */
    uint32_t channel; /* RECEIVE, SEND: number of the bridge's channel */
    uint32_t depth;   /* SEND: depth of CliXml, 1 to 100; 0: 2 as Export-Clixml */
    const zcb_part *parts; /* a ZCB_PART_TEXT, once */
    size_t part_count;
} zcb_command;

typedef enum zcb_status {
    ZCB_STATUS_DONE = 1,      /* it ran to its end, successfully or not */
    ZCB_STATUS_STOPPED = 2,   /* zcb_session_stop ended it */
    ZCB_STATUS_TIMED_OUT = 3, /* its timeout ended it */
    ZCB_STATUS_EXITED = 4,    /* it ended the engine: `exit N`; exit_code is N */
    ZCB_STATUS_LOST = 5       /* the session ended first; zcb_session_alive says why */
} zcb_status;

/* What became of a command. Immutable: any thread, several at a time. */
typedef struct zcb_result zcb_result;

ZCB_API uint64_t zcb_result_id(const zcb_result *result);
ZCB_API zcb_op zcb_result_op(const zcb_result *result);
ZCB_API zcb_status zcb_result_status(const zcb_result *result);
/* RUN: `$?` at a prompt; transfers: it arrived. */
ZCB_API bool zcb_result_success(const zcb_result *result);
/* RECEIVE that failed: it took no message. SEND: the engine could not open the channel, which is closed now. */
ZCB_API bool zcb_result_refused(const zcb_result *result);
/* The last native command's exit code, else 0 or 1 by success. */
ZCB_API int32_t zcb_result_exit_code(const zcb_result *result);
/* Time that the engine spent on it. */
ZCB_API int64_t zcb_result_execution_ns(const zcb_result *result);
/* All that the command wrote to a stream (ZCB_PART_OUT to _PROGRESS): UTF-8 with a NUL behind it, "" for another
 * kind. *bytes (may be NULL) is its length. It lives as long as the result. */
ZCB_API const char *zcb_result_text(const zcb_result *result, zcb_part_kind stream, size_t *bytes);
ZCB_API void zcb_result_free(zcb_result *result);

/* Queues a command; the engine runs commands in the order of their ids. timeout_ms (ZCB_FOREVER: none)
 * counts from now: when it has passed the command is stopped and ends as ZCB_STATUS_TIMED_OUT; an
 * engine that has not stopped it within the session's grace_ms is killed. The timeout is kept while
 * anyone waits for this or any other result of the session. Waits only when very many commands are
 * queued. Sets command->id. For RECEIVE and SEND use the bridge's calls.
 * ZCB_ERR_PEER_GONE or _CLOSED when the session has ended, and the errors of a wait. */
ZCB_API zcb_error zcb_session_submit(zcb_session *session, zcb_command *command, int64_t timeout_ms,
                                     const zcb_wait *wait);
/* Waits for the result of one command, which then belongs to the caller. A lost session gives a result
 * too (ZCB_STATUS_LOST), and so does a reply that there was no memory for: without success, and ZCB_PART_ERR
 * says it. One caller for each id. ZCB_ERR_NOT_FOUND for an id that is not pending or was
 * taken, and the errors of a wait (the command goes on; wait again). */
ZCB_API zcb_error zcb_session_wait(zcb_session *session, uint64_t id, zcb_result **result,
                                   const zcb_wait *wait);
/* Waits for the next result of a ZCB_COMMAND_NOTIFY command that no zcb_session_wait is waiting for.
 * Reads from the engine only while no other thread does. Waits also while nothing is pending.
 * ZCB_ERR_CLOSED once the session has ended and all results are taken, and the errors of a wait. */
ZCB_API zcb_error zcb_session_next(zcb_session *session, zcb_result **result, const zcb_wait *wait);
/* For an event loop: a descriptor to be watched for reading (on Windows the HANDLE of an event) that is set when
 * zcb_session_next may have something to do: a result is there or arrives, a timeout passes, the engine ends. Then call
 * zcb_session_next, not waiting (deadline 0), until it returns ZCB_ERR_TIMEOUT: that clears it. It may be set without
 * need. The first call makes it; it is the session's, the same for every caller, and lives as long. No thread is
 * needed. ZCB_ERR_FORKED, _NO_MEMORY, _NO_HANDLES. */
ZCB_API zcb_error zcb_session_event(zcb_session *session, intptr_t *event);
/* Stops a command: a running one is interrupted, a queued one never runs, a posted transfer is
 * withdrawn. It ends as ZCB_STATUS_STOPPED unless it is done first. ZCB_ERR_NOT_FOUND for an id that is
 * not pending; ZCB_ERR_TIMEOUT when the engine has long stopped listening. After other errors it goes on. */
ZCB_API zcb_error zcb_session_stop(zcb_session *session, uint64_t id);
/* Submits and waits: RUN with zcb_command_flags. */
ZCB_API zcb_error zcb_session_run(zcb_session *session, const char *text, size_t text_bytes,
                                  uint32_t flags, int64_t timeout_ms, zcb_result **result,
                                  const zcb_wait *wait);
/* Asks the engine's listener for an answer: it is there even while a command runs. */
ZCB_API zcb_error zcb_session_ping(zcb_session *session, const zcb_wait *wait);

/* ---------------------------------------------------------------- bridges
 *
 * Posted receives and sent messages of one bridge are paired in order, on this side: the first message
 * goes to the first posted receive that has not failed or been withdrawn, whichever came first.
 */
typedef struct zcb_bridge zcb_bridge;

/* Opens one more channel of the session. Microseconds: no memory is touched before it is used.
 * ZCB_ERR_INVALID, _NO_MEMORY, _NO_HANDLES, _CLOSED, _PEER_GONE, _TIMEOUT (the engine takes no bridge in any
 * more); why says more. */
ZCB_API zcb_error zcb_bridge_open(zcb_session *session, const zcb_channel_options *options,
                                  zcb_bridge **bridge, zcb_detail *why);
/* Ends all its waits; transfers that are not done end as failed. Leases stay valid. */
ZCB_API void zcb_bridge_close(zcb_bridge *bridge);
ZCB_API void zcb_bridge_free(zcb_bridge *bridge);
/* The channel, for zcb_receive_read, _lease, _end and _drop. Lives as long as the bridge. */
ZCB_API zcb_channel *zcb_bridge_channel(zcb_bridge *bridge);

/* Posts a receive: the next message goes into the variable that target names ("$x", "$h.key"). Flags:
 * ZCB_COMMAND_NOTIFY, ZCB_COMMAND_LEASE. The id is that of zcb_session_wait. Errors as zcb_session_submit; ZCB_ERR_INVALID
 * for a target that cannot be one (it starts with neither `$` nor `[`, or holds a NUL). */
ZCB_API zcb_error zcb_bridge_post_receive(zcb_bridge *bridge, const char *target,
                                          size_t target_bytes, uint32_t flags, int64_t timeout_ms,
                                          uint64_t *id, const zcb_wait *wait);
/* Posts a send: expression is evaluated in its turn, then its value comes as a message with this id, or
 * a ZCB_KIND_ERROR message with this id says why not. depth as in zcb_command. */
ZCB_API zcb_error zcb_bridge_post_send(zcb_bridge *bridge, const char *expression,
                                       size_t expression_bytes, uint32_t depth, uint32_t flags,
                                       int64_t timeout_ms, uint64_t *id, const zcb_wait *wait);
/* Sends to the first posted receive, or queues for the next one. As zcb_send, and ZCB_ERR_REFUSED when
 * the posted receive that it belongs to is known to have failed: *refused_by (may be NULL) is its id,
 * nothing was sent, and the next call sends to the next one. ZCB_ERR_TOO_LARGE: the posted receive is to
 * hold the message in place, and the frame is smaller; nothing was sent, the receive goes on waiting. */
ZCB_API zcb_error zcb_bridge_send(zcb_bridge *bridge, zcb_kind kind, const void *data,
                                  uint64_t bytes, uint64_t *refused_by, const zcb_wait *wait);
/* As zcb_receive_begin. An error message is given like any other (kind ZCB_KIND_ERROR, text as payload)
 * unless zcb_bridge_seen was called for its id. */
ZCB_API zcb_error zcb_bridge_receive_begin(zcb_bridge *bridge, zcb_wish wish, zcb_message *message,
                                           const zcb_wait *wait);
/* The user has seen the failure of this transfer: it hits no later send or receive of the bridge. */
ZCB_API void zcb_bridge_seen(zcb_bridge *bridge, uint64_t id);
/* Withdraws a posted transfer. ZCB_ERR_TOO_LATE for a receive whose message has been sent; else as
 * zcb_session_stop. */
ZCB_API zcb_error zcb_bridge_withdraw(zcb_bridge *bridge, uint64_t id);

/* ---------------------------------------------------------------- agent
 *
 * The engine's side, for the ZeroCopyBridge module. Two threads: one takes commands in order
 * (zcb_agent_next), one listens (zcb_agent_listen). Replies may be sent from any thread.
 */
typedef struct zcb_agent zcb_agent;

/* Finds the connection that zcb_session_start left to this process, makes it close-on-exec, removes its
 * name from the C environment, and says hello. version: the engine's ("7.6.9"). ZCB_ERR_NOT_FOUND when
 * this process was not started by zcb_session_start, _VERSION, _PROTOCOL, _SYSTEM. */
ZCB_API zcb_error zcb_agent_open(const char *version, zcb_agent **agent, zcb_detail *why);
ZCB_API void zcb_agent_free(zcb_agent *agent);
/* Columns of formatted output. */
ZCB_API uint32_t zcb_agent_width(const zcb_agent *agent);
/* Waits for the next command; its parts are the agent's until the next call. One thread.
 * ZCB_ERR_CLOSED when the session is to end in good order, ZCB_ERR_PEER_GONE when the program has ended,
 * ZCB_ERR_CANCELLED by wait->cancel (another thread wants the pipeline thread's attention), ZCB_ERR_ABORTED when the
 * program gave a command up half-way: call again. */
ZCB_API zcb_error zcb_agent_next(zcb_agent *agent, zcb_command *command, const zcb_wait *wait);
/* Sends parts of a command's reply on ahead of its completion. */
ZCB_API zcb_error zcb_agent_output(zcb_agent *agent, uint64_t id, const zcb_part *parts,
                                   size_t count);

/* How a command ended: as the accessors of zcb_result. */
typedef struct zcb_completion {
    uint32_t status; /* zcb_status */
    bool success;
    bool refused;
    int32_t exit_code;
    int64_t execution_ns;
} zcb_completion;

/* Ends a command, with the last parts of its reply: once for each command, in any order. soon: the thread of
 * zcb_agent_next may say true; a program that waits for this very command, or for any, learns of it at once, but one
 * that has only its future's callbacks need not be woken before the next zcb_agent_next waits or has a command, or
 * zcb_agent_flush: by then it has mostly asked itself. */
ZCB_API zcb_error zcb_agent_complete(zcb_agent *agent, uint64_t id, const zcb_completion *completion,
                                     const zcb_part *parts, size_t count, bool soon);
/* Wakes the program for what was completed with `soon`: for the thread of zcb_agent_next, before it waits elsewhere. */
ZCB_API void zcb_agent_flush(zcb_agent *agent);

typedef enum zcb_urgent {
    ZCB_URGENT_STOP = 1,         /* stop command `id`, wherever it is; unknown ids are ignored */
    ZCB_URGENT_CLOSE_CHANNEL = 2 /* the bridge `id` (its channel's number) was closed */
} zcb_urgent;

/* Waits for the next urgent request (pings are answered here). One thread. Errors as zcb_agent_next:
 * after ZCB_ERR_PEER_GONE call zcb_agent_end_process. */
ZCB_API zcb_error zcb_agent_listen(zcb_agent *agent, zcb_urgent *request, uint64_t *id,
                                   const zcb_wait *wait);
/* The channel with this number, opened at first use. Each call gives a reference that zcb_channel_free
 * gives up. ZCB_ERR_NOT_FOUND when it is not or no longer there; _NO_HANDLES: the next call tries again;
 * _NO_MEMORY, _PROTOCOL: then it is closed for the program, too. */
ZCB_API zcb_error zcb_agent_channel(zcb_agent *agent, uint32_t number, zcb_channel **channel);
/* The number of the newest channel with this label. ZCB_ERR_NOT_FOUND, _PROTOCOL. */
ZCB_API zcb_error zcb_agent_find_channel(zcb_agent *agent, const char *label, uint32_t *number);
/* The channel on which commands come, for zcb_wait.watch. It is the agent's. */
ZCB_API zcb_channel *zcb_agent_commands(zcb_agent *agent);
/* Forgets the channel with this number: later zcb_agent_channel calls say ZCB_ERR_NOT_FOUND. */
ZCB_API void zcb_agent_forget_channel(zcb_agent *agent, uint32_t number);
/* What was written to the process's own standard output (1) or standard error (2) and not read yet: up to
 * `capacity` bytes; *bytes is 0 when there is nothing. Never waits. One thread at a time. */
ZCB_API zcb_error zcb_agent_console(zcb_agent *agent, int stream, void *buffer, size_t capacity,
                                    size_t *bytes);
/* Waits until the program has ended: for a listener that was told ZCB_ERR_CLOSED, while the session ends in
 * good order. */
ZCB_API zcb_error zcb_agent_wait_program(zcb_agent *agent, const zcb_wait *wait);
/* Ends this process at once, without clean-up, and hangs up on (SIGHUP) what it started in its process
 * group: for an engine whose program is gone. Does not return. */
ZCB_API void zcb_agent_end_process(int exit_code);

#ifdef __cplusplus
}
#endif
#endif
