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
 *   Errors     Every function that can fail returns zcb_error: ZCB_OK (0) on success. Results go
 *              through pointers, which are written on success only, unless a comment says
 *              otherwise.
 *   Shortage   ZCB_ERR_NO_MEMORY, _NO_HANDLES and _SYSTEM mean that the system refused what the
 *              call needed. Every call that makes an object, waits or sends may return them. Only
 *              that call has failed then.
 *   Units      are in the names: _bytes, _ms, _ns. Text is UTF-8 with a length; it need not end in
 *              NUL.
 *   Waiting    Every call that may wait takes a zcb_wait; NULL waits without limit. No call polls.
 *   Threads    Every function may be called on any thread, unless its comment says otherwise. Each
 *              direction of a channel has a lock, the sending or the receiving lock: calls of
 *              several threads get it in the order of the calls, and messages are never mixed.
 *   Ownership  X_free ends the object; no other call on the object may be running. X_close may be
 *              called at any time, on any thread, more than once: it ends all waits.
 *   Fork       Objects belong to the process that made them. In a fork()ed child every call returns
 *              ZCB_ERR_FORKED; X_free frees the child's copies and does not affect the peer.
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

/* The version of the loaded library, in the form of ZCB_VERSION. Static. */
ZCB_API const char *zcb_version(void);

/* ---------------------------------------------------------------- errors */

/* Number, name, sentence. A number keeps its meaning in all later versions. */
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

/* Such as "ZCB_ERR_TIMEOUT"; "ZCB_ERR_UNKNOWN" for any other number. Static, never NULL. */
ZCB_API const char *zcb_error_name(zcb_error error);
/* One sentence without a full stop. Static, never NULL. */
ZCB_API const char *zcb_error_text(zcb_error error);

/* True for the errors after which the channel or session cannot be used any more: ZCB_ERR_CLOSED,
 * _PEER_CLOSED, _PEER_GONE, _PROTOCOL. */
ZCB_API bool zcb_error_is_final(zcb_error error);

/* A sentence that says what was wrong. Always ends in NUL; cut at its size. */
typedef struct zcb_detail {
    char text[1024];
} zcb_detail;

/* ---------------------------------------------------------------- waiting */

#define ZCB_FOREVER (-1)    /* a timeout_ms without limit */
#define ZCB_NEVER INT64_MAX /* a deadline_ns that never comes */

/* Ends the waits that have it in their zcb_wait. */
typedef struct zcb_cancel zcb_cancel;

/* ZCB_ERR_INVALID, _NO_MEMORY, _NO_HANDLES. */
ZCB_API zcb_error zcb_cancel_create(zcb_cancel **cancel);
/* Until zcb_cancel_reset, every wait with this handle ends with ZCB_ERR_CANCELLED: those that are
 * running, and later ones. */
ZCB_API void zcb_cancel_set(zcb_cancel *cancel);
ZCB_API void zcb_cancel_reset(zcb_cancel *cancel);
/* cancel may be NULL. No wait with it may be running. */
ZCB_API void zcb_cancel_free(zcb_cancel *cancel);

typedef struct zcb_channel zcb_channel;

/* How long a call may wait, and what else ends the wait. */
typedef struct zcb_wait {
    /* Absolute, on the clock of zcb_now_ns. ZCB_NEVER: no limit. 0, or in the past: do not wait. */
    int64_t deadline_ns;
    /* May be NULL. Ends the call with ZCB_ERR_CANCELLED. */
    zcb_cancel *cancel;
    /* Called on the waiting thread: before it sleeps, when a signal interrupts its sleep, and about
     * every 20 ms while it copies. Non-zero ends the call with ZCB_ERR_INTERRUPTED. NULL: signals
     * do not end the call. */
    int (*interrupted)(void *arg);
    void *arg;
    /* May be NULL. For a thread that serves two channels. A call that sends, receives or allocates
     * a block ends with ZCB_ERR_WATCHED when it would have to wait, or to copy for long, while a
     * message can be received on this channel. */
    zcb_channel *watch;
    /* Windows, where no signal interrupts a wait: the HANDLE of an event that is set when
     * `interrupted` is to be called, which has to reset it. NULL: none. Ignored on other
     * systems. */
    void *interrupt_event;
} zcb_wait;

/* Nanoseconds of a monotonic clock. */
ZCB_API int64_t zcb_now_ns(void);
/* The deadline timeout_ms from now. ZCB_NEVER for ZCB_FOREVER, and for times that the clock cannot
 * express. */
ZCB_API int64_t zcb_deadline_ns(int64_t timeout_ms);

/* ---------------------------------------------------------------- memory */

/* Advises the system to back fresh memory with huge pages. Call it before the first byte of a large
 * destination is written. The advice covers whole huge pages, so also bytes before and behind the
 * memory. Never fails; does nothing for less than 4 MiB. */
ZCB_API void zcb_advise_huge(void *memory, size_t bytes);

/* ---------------------------------------------------------------- channels
 *
 * A channel is two one-way streams of messages in one shared region. Each end sends on one of them
 * and receives on the other. A message has a kind, an id and a payload of any length: frame_bytes
 * limits the memory and the largest lease, not the largest message.
 */
typedef enum zcb_kind {
    ZCB_KIND_BYTES = 1,  /* bytes; PowerShell's byte[], Python's bytes */
    ZCB_KIND_CLIXML = 2, /* UTF-8 text of a serialized PowerShell object */
    ZCB_KIND_ERROR = 3,  /* UTF-8 text: the reason why the expected message cannot come */
    ZCB_KIND_CONTROL = 4 /* records of a session */
} zcb_kind;

typedef struct zcb_message {
    uint32_t kind; /* zcb_kind */
    /* For the protocol above the channel, which only carries them. On a bridge the id is that of
     * the posted transfer that the message belongs to, or 0. */
    uint32_t flags;
    uint64_t id;
    uint64_t bytes; /* length of the payload; ZCB_OPEN_ENDED: not known yet */
} zcb_message;

/* The length of a message that ends where its sender calls zcb_send_end. */
#define ZCB_OPEN_ENDED UINT64_MAX

typedef struct zcb_channel_options {
    /* Sizes of each direction. The frame limits the messages that can be queued or leased at a
     * time; 0: 64 MiB. Longer messages stream through the window; 0: 4 MiB. */
    uint64_t frame_bytes;
    uint64_t window_bytes;
    /* For zcb_bridge_open: the name by which scripts in the engine find the bridge
     * (New-ZeroCopyLease). NUL-terminated, up to ZCB_MAX_LABEL_BYTES of UTF-8; NULL: none. */
    const char *label;
} zcb_channel_options;

#define ZCB_MAX_LABEL_BYTES 127

#define ZCB_MIN_FRAME_BYTES (UINT64_C(1) << 16)
#define ZCB_MAX_FRAME_BYTES (UINT64_C(1) << 40)
#define ZCB_MIN_WINDOW_BYTES (UINT64_C(1) << 16)
#define ZCB_MAX_WINDOW_BYTES (UINT64_C(1) << 30)

/* Makes both ends of a channel in this process, over one mapping. options may be NULL. The memory
 * is reserved now, and committed when it is first used. ZCB_ERR_INVALID for sizes out of the bounds
 * above, ZCB_ERR_NO_MEMORY, _NO_HANDLES, _SYSTEM. */
ZCB_API zcb_error zcb_channel_pair(const zcb_channel_options *options, zcb_channel **a,
                                   zcb_channel **b);
/* Ends every wait on both sides. The other side can still receive the messages that are queued.
 * Leases stay valid. channel may be NULL. */
ZCB_API void zcb_channel_close(zcb_channel *channel);
/* Drops a reference; dropping the last one closes the channel. Leases and blocks keep the mapping.
 * channel may be NULL. */
ZCB_API void zcb_channel_free(zcb_channel *channel);
/* Size of each direction's frame: the option, rounded up to 64 KiB. */
ZCB_API uint64_t zcb_channel_frame_bytes(const zcb_channel *channel);

/* Sends one message, copied from payload. Returns at once while the frame has room for it;
 * otherwise waits until the frame has room or the other side receives. On every error the message
 * is withdrawn: the receiver never sees it, or discards what it has seen.
 * ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED, _WATCHED, _CLOSED, _PEER_CLOSED, _PEER_GONE,
 * _PROTOCOL; _REFUSED: its receiver dropped it half-way; _NO_MEMORY: memory of the frame could not
 * be committed; _INVALID. See zcb_error_is_final. */
ZCB_API zcb_error zcb_send(zcb_channel *channel, const zcb_message *message, const void *payload,
                           const zcb_wait *wait);

/* The same in steps: for a sender that does other work in between, or does not know the length yet
 * (message->bytes ZCB_OPEN_ENDED). Takes the sending lock, until zcb_send_end or zcb_send_drop.
 * Errors as zcb_send; after an error nothing is begun, and the lock is released.
 *
 * An open-ended message goes in pieces of 64 KiB to 1 MiB, an eighth of the window, each when it is
 * full. Its sender runs at most frame_bytes and window_bytes ahead of the receiver, and then waits.
 * A message that is shorter than a piece arrives as a message of known length. */
ZCB_API zcb_error zcb_send_begin(zcb_channel *channel, const zcb_message *message,
                                 const zcb_wait *wait);
/* Copies the next `bytes` of the message. *done counts up by the bytes that were copied, also on
 * errors. After ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED and _WATCHED call it again with the rest,
 * on any thread; after other errors call zcb_send_drop. ZCB_ERR_INVALID beyond the end of a message
 * of known length; other errors as zcb_send. */
ZCB_API zcb_error zcb_send_write(zcb_channel *channel, const void *data, size_t bytes, size_t *done,
                                 const zcb_wait *wait);
/* Publishes the bytes of an open-ended message that were written so far, although their piece is
 * not full. Never waits. ZCB_ERR_PROTOCOL, and ZCB_ERR_NO_MEMORY: call zcb_send_drop. */
ZCB_API zcb_error zcb_send_flush(zcb_channel *channel);
/* Ends the message and releases the sending lock. Never waits. ZCB_ERR_INVALID when bytes of a
 * known length are missing; ZCB_ERR_NO_MEMORY for an open-ended message of which nothing was
 * published. After an error the lock is still held: go on, or call zcb_send_drop. */
ZCB_API zcb_error zcb_send_end(zcb_channel *channel);
/* Withdraws the message (its receiver never sees it, or discards what it has seen) and releases the
 * sending lock. Never waits. */
ZCB_API void zcb_send_drop(zcb_channel *channel);

/* Memory of the frame to be filled in place and sent without a copy. */
typedef struct zcb_block zcb_block;

/* Allocates a block of `bytes` (> 0) in the frame; waits until there is room, with the sending
 * lock.
 *
 * A zcb_send or zcb_bridge_send on the same channel sends the block itself, once, if its payload
 * begins at the first byte of the block and is not longer. The receiver reads that memory, so write
 * no more.
 * ZCB_ERR_TOO_LARGE for more than frame_bytes; ZCB_ERR_INVALID, _NO_MEMORY, _CLOSED, _PEER_CLOSED,
 * _PROTOCOL, and the errors of a wait. */
ZCB_API zcb_error zcb_block_allocate(zcb_channel *channel, uint64_t bytes, zcb_block **block,
                                     const zcb_wait *wait);
/* Aligned to 64 bytes. */
ZCB_API void *zcb_block_data(const zcb_block *block);
ZCB_API uint64_t zcb_block_bytes(const zcb_block *block);
/* Frees the block, sent or not. Its memory is used again once the receiver has given it back as
 * well. Not while a call sends it; also after the channel was freed. block may be NULL. */
ZCB_API void zcb_block_free(zcb_block *block);

/* The receiver's plan for a message. The sender chooses the way of the message by it. */
typedef enum zcb_wish {
    ZCB_WISH_COPY = 1, /* to copy it */
    ZCB_WISH_LEASE = 2 /* to hold it in place */
} zcb_wish;

/* Waits for the next message. Takes the receiving lock, until zcb_receive_end or zcb_receive_drop.
 * The rest of a message that was dropped is discarded first.
 * Then: zcb_receive_read as often as wanted, or zcb_receive_lease once; then zcb_receive_end.
 * ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED, _WATCHED, _CLOSED, _PROTOCOL, _INVALID; _PEER_CLOSED
 * and _PEER_GONE only when all messages that were sent have been received. After an error the lock
 * is released. */
ZCB_API zcb_error zcb_receive_begin(zcb_channel *channel, zcb_wish wish, zcb_message *message,
                                    const zcb_wait *wait);
/* Copies the next `bytes` of the message. *done (may be NULL) counts up by the bytes that were
 * copied, also on errors. It copies less, and returns ZCB_OK, only where an open-ended message has
 * ended: read one until *done falls short.
 * After ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED and _WATCHED call it again with the rest, on any
 * thread, or call zcb_receive_drop; after other errors call zcb_receive_drop. ZCB_ERR_ABORTED: the
 * sender gave the message up; ZCB_ERR_INVALID beyond the end of a message of known length; _CLOSED,
 * _PEER_CLOSED, _PEER_GONE, _PROTOCOL. */
ZCB_API zcb_error zcb_receive_read(zcb_channel *channel, void *destination, size_t bytes,
                                   size_t *done, const zcb_wait *wait);
/* Ends the message and releases the receiving lock. ZCB_ERR_INVALID, with the lock still held, when
 * bytes were neither read nor leased, or when a read has not met the end of an open-ended
 * message. */
ZCB_API zcb_error zcb_receive_end(zcb_channel *channel);
/* Discards the rest of the message, now or as it arrives, and releases the receiving lock. Never
 * waits. */
ZCB_API void zcb_receive_drop(zcb_channel *channel);

/* A message held in place. */
typedef struct zcb_lease zcb_lease;

/* Holds the message, of which nothing was read yet, in place; waits until all of it has arrived.
 * The lease stays valid after zcb_receive_end, and when the channel is freed or the other process
 * has ended.
 * ZCB_ERR_TOO_LARGE: the message is not in one piece in the frame; read it instead, the lock is
 * still held. ZCB_ERR_ABORTED: the sender gave it up; ZCB_ERR_NO_MEMORY, _INVALID and the errors of
 * a wait: call zcb_receive_drop. */
ZCB_API zcb_error zcb_receive_lease(zcb_channel *channel, zcb_lease **lease, const zcb_wait *wait);
ZCB_API const void *zcb_lease_data(const zcb_lease *lease);
ZCB_API uint64_t zcb_lease_bytes(const zcb_lease *lease);
/* Gives the memory back to the sender. In any order, also after the channel was freed. lease may be
 * NULL. */
ZCB_API void zcb_lease_free(zcb_lease *lease);

/* *sent: the messages that the other side has sent completely since the channel was made, without
 * those that it gave up. *received: how many of those this side has received or dropped to their
 * end. So sent - received messages can be received without waiting for the sender. Never waits. */
ZCB_API void zcb_channel_counts(zcb_channel *channel, uint64_t *sent, uint64_t *received);

/* ---------------------------------------------------------------- engine */

/* Finds PowerShell 7.4 or later. Looks at `given` alone if that is not NULL; otherwise for `pwsh`
 * on PATH, where an installer puts it on Windows, in zcb_engine_folder, for Windows PowerShell 5.1,
 * and in the user's folder of NuGet packages.
 * Writes its absolute path, NUL-terminated, and *origin (may be NULL): "given", "PATH",
 * "installed", "system" or "NuGet"; static. ZCB_ERR_NOT_FOUND: why (may be NULL) names the places;
 * ZCB_ERR_INVALID for a path of path_bytes or more; _NO_MEMORY, _NO_HANDLES, _SYSTEM: a place could
 * not be looked at. */
ZCB_API zcb_error zcb_engine_find(const char *given, char *path, size_t path_bytes,
                                  const char **origin, zcb_detail *why);

/* The folder in which zcb_engine_find looks for a PowerShell that was installed for this library,
 * as `dotnet tool install --tool-path` fills it. It is below the user's folder for installed data.
 * Writes its absolute path, NUL-terminated, whether or not it exists.
 * ZCB_ERR_INVALID for a path of path_bytes or more, ZCB_ERR_NOT_FOUND for a user without such a
 * folder. */
ZCB_API zcb_error zcb_engine_folder(char *path, size_t path_bytes);

/* ---------------------------------------------------------------- sessions */

typedef struct zcb_session zcb_session;

typedef struct zcb_session_options {
    /* Path of pwsh. NULL: zcb_engine_find. */
    const char *engine;
    /* Path of the module: of its folder, which has ZeroCopyBridge.dll for PowerShell and
     * desktop/ZeroCopyBridge.dll for Windows PowerShell, or of the file itself. NULL: the folder of
     * this library, or else zcb/powershell/ below it, where `meson install` puts the module. */
    const char *module;
    /* NULL: this process's. */
    const char *working_directory;
    /* "NAME=VALUE" sets a variable, "NAME" removes one. NULL-terminated, or NULL. */
    const char *const *environment;
    /* Columns of formatted output. 0: 120. */
    uint32_t width;
    /* How long a command that is stopped may take before the engine is killed. 0: 5,000. */
    int64_t grace_ms;
} zcb_session_options;

/* Starts the engine and waits until it answers. options may be NULL. On failure the engine is
 * ended, and why (may be NULL) says more. ZCB_ERR_NOT_FOUND: no engine or no module; ZCB_ERR_START:
 * it ended, and why quotes what it wrote; ZCB_ERR_VERSION, _PROTOCOL, _INVALID, _NO_MEMORY,
 * _NO_HANDLES, _SYSTEM, and the errors of a wait. */
ZCB_API zcb_error zcb_session_start(const zcb_session_options *options, zcb_session **session,
                                    zcb_detail *why, const zcb_wait *wait);
/* Asks the engine to end, waits up to grace_ms for it, and then kills it. Commands that are not
 * done end with ZCB_STATUS_LOST. All waits end, also those of the session's bridges. */
ZCB_API void zcb_session_close(zcb_session *session, int64_t grace_ms);
/* Closes with grace_ms 0 if the session is not closed. Bridges that are not freed stay valid.
 * session may be NULL. */
ZCB_API void zcb_session_free(zcb_session *session);
/* The engine's process id. */
ZCB_API int64_t zcb_session_pid(const zcb_session *session);
/* The engine's version, such as "7.6.9", and its path. They live as long as the session. */
ZCB_API const char *zcb_session_version(const zcb_session *session);
ZCB_API const char *zcb_session_engine(const zcb_session *session);
/* True while commands can be submitted. Otherwise why (may be NULL) says how the session ended: it
 * was closed, the engine exited with a code or was killed by a signal, a protocol error. */
ZCB_API bool zcb_session_alive(zcb_session *session, zcb_detail *why);

/* What a command does. Its text is its ZCB_PART_TEXT. */
typedef enum zcb_op {
    ZCB_OP_RUN = 1,     /* runs the text */
    ZCB_OP_RECEIVE = 2, /* takes a message of the channel into the variable that the text names */
    ZCB_OP_SEND = 3     /* evaluates the text and sends the value on the channel */
} zcb_op;

typedef enum zcb_command_flags {
    ZCB_COMMAND_LOCAL_SCOPE = 1, /* RUN: in a child scope, where PowerShell compiles loops well */
    ZCB_COMMAND_TAKE_QUEUED = 2, /* RECEIVE: takes the oldest message that was sent with id 0 */
    ZCB_COMMAND_NOTIFY = 4,      /* zcb_session_next may give its result */
    ZCB_COMMAND_LEASE = 8        /* RECEIVE: the variable holds the message in place, no byte[] */
} zcb_command_flags;

/* Commands and their replies consist of typed parts. */
typedef enum zcb_part_kind {
    /* Of a command: the text that is run, the target, the expression. */
    ZCB_PART_TEXT = 1,
    /* Of a reply: text that the command wrote to one of PowerShell's streams. */
    ZCB_PART_OUT = 16,
    ZCB_PART_ERR = 17,
    ZCB_PART_WARNING = 18,
    ZCB_PART_VERBOSE = 19,
    ZCB_PART_DEBUG = 20,
    ZCB_PART_INFORMATION = 21,
    ZCB_PART_PROGRESS = 22
} zcb_part_kind;

#define ZCB_STREAMS 7 /* the number of streams, from ZCB_PART_OUT on */

typedef struct zcb_part {
    uint32_t kind;  /* zcb_part_kind */
    uint32_t flags; /* 0 */
    /* Text is UTF-8. It need not end in NUL; behind a part that was received there is a NUL. */
    const void *data;
    size_t bytes;
} zcb_part;

typedef struct zcb_command {
    uint64_t id;      /* set by zcb_session_submit; grows with every command of the session */
    uint32_t op;      /* zcb_op */
    uint32_t flags;   /* zcb_command_flags */
    uint32_t channel; /* RECEIVE, SEND: number of the bridge's channel */
    uint32_t depth;   /* SEND: depth of CliXml, 1 to 100; 0: 2, as Export-Clixml */
    /* One ZCB_PART_TEXT. */
    const zcb_part *parts;
    size_t part_count;
} zcb_command;

typedef enum zcb_status {
    ZCB_STATUS_DONE = 1,      /* it ran to its end, successfully or not */
    ZCB_STATUS_STOPPED = 2,   /* zcb_session_stop ended it */
    ZCB_STATUS_TIMED_OUT = 3, /* its timeout ended it */
    ZCB_STATUS_EXITED = 4,    /* it ended the engine: `exit N`; the exit code is N */
    ZCB_STATUS_LOST = 5       /* the session ended before; zcb_session_alive says why */
} zcb_status;

/* How a command ended, and the text that it wrote. Immutable: several threads may read it at a
 * time. */
typedef struct zcb_result zcb_result;

ZCB_API uint64_t zcb_result_id(const zcb_result *result);
ZCB_API zcb_op zcb_result_op(const zcb_result *result);
ZCB_API zcb_status zcb_result_status(const zcb_result *result);
/* RUN: `$?`, as at a prompt. RECEIVE, SEND: the message arrived. */
ZCB_API bool zcb_result_success(const zcb_result *result);
/* RECEIVE that failed: it took no message. SEND: the engine could not open the channel, which is
 * closed now. */
ZCB_API bool zcb_result_refused(const zcb_result *result);
/* The exit code of the command's last native command; without one 0 for success, else 1. */
ZCB_API int32_t zcb_result_exit_code(const zcb_result *result);
/* The time that the engine spent on it. */
ZCB_API int64_t zcb_result_execution_ns(const zcb_result *result);
/* All text that the command wrote to a stream (ZCB_PART_OUT to ZCB_PART_PROGRESS): UTF-8 with a NUL
 * behind it; "" for another kind. *bytes (may be NULL) is its length. Lives as long as the
 * result. */
ZCB_API const char *zcb_result_text(const zcb_result *result, zcb_part_kind stream, size_t *bytes);
/* result may be NULL. */
ZCB_API void zcb_result_free(zcb_result *result);

/* Submits a command of op ZCB_OP_RUN and sets command->id. The engine runs commands in the order of
 * their ids. Waits only when very many commands are queued. The command's parts are copied.
 *
 * timeout_ms (ZCB_FOREVER: none) counts from now. When it has passed the command is stopped, and
 * ends with ZCB_STATUS_TIMED_OUT; if the engine has not stopped it after the session's grace_ms,
 * the engine is killed. The timeout is kept while a thread waits for this or another result of the
 * session.
 * ZCB_ERR_PEER_GONE or _CLOSED when the session has ended; ZCB_ERR_INVALID, _NO_MEMORY, and the
 * errors of a wait: the command does not run. */
ZCB_API zcb_error zcb_session_submit(zcb_session *session, zcb_command *command, int64_t timeout_ms,
                                     const zcb_wait *wait);
/* Waits for the result of one command. The result is the caller's, who frees it. If the session
 * ends first the result has ZCB_STATUS_LOST. If there was no memory for the reply the result is no
 * success, and its ZCB_PART_ERR says so.
 * ZCB_ERR_NOT_FOUND for an id that is not pending, whose result was taken, or that another call
 * waits for. After the errors of a wait the command goes on; wait again. */
ZCB_API zcb_error zcb_session_wait(zcb_session *session, uint64_t id, zcb_result **result,
                                   const zcb_wait *wait);
/* Waits for the next result of a ZCB_COMMAND_NOTIFY command that no zcb_session_wait waits for;
 * also while no command is pending. Reads from the engine only while no other thread does.
 * ZCB_ERR_CLOSED once the session has ended and all results are taken, and the errors of a wait. */
ZCB_API zcb_error zcb_session_next(zcb_session *session, zcb_result **result, const zcb_wait *wait);
/* For an event loop: a descriptor to watch for reading (on Windows the HANDLE of an event). It is
 * set when zcb_session_next may have something to do: a result is there or arrives, a timeout
 * passes, the engine ends. Then call zcb_session_next with deadline 0 until it returns
 * ZCB_ERR_TIMEOUT, which clears it. It may be set without need. No thread is needed.
 * The first call makes it; all calls give the same one. It is the session's, and lives as long.
 * ZCB_ERR_INVALID, _FORKED, _NO_MEMORY, _NO_HANDLES, _SYSTEM. */
ZCB_API zcb_error zcb_session_event(zcb_session *session, intptr_t *event);
/* Stops a command: a running one is interrupted, a queued one never runs, a posted transfer is
 * withdrawn. It ends with ZCB_STATUS_STOPPED unless it is done before. ZCB_ERR_NOT_FOUND for an id
 * that is not pending. After other errors the command goes on: ZCB_ERR_TIMEOUT when the engine has
 * stopped listening long ago, ZCB_ERR_NO_MEMORY. */
ZCB_API zcb_error zcb_session_stop(zcb_session *session, uint64_t id);
/* Submits a RUN command and waits for its result. flags: zcb_command_flags. Errors as
 * zcb_session_submit and zcb_session_wait, and ZCB_ERR_TIMEOUT when there was no room in the queue
 * within timeout_ms; after an error the command is stopped, and its result is freed. */
ZCB_API zcb_error zcb_session_run(zcb_session *session, const char *text, size_t text_bytes,
                                  uint32_t flags, int64_t timeout_ms, zcb_result **result,
                                  const zcb_wait *wait);
/* Waits for an answer of the engine's listener, which answers even while a command runs.
 * ZCB_ERR_CLOSED, _PEER_GONE, and the errors of a wait. */
ZCB_API zcb_error zcb_session_ping(zcb_session *session, const zcb_wait *wait);

/* ---------------------------------------------------------------- bridges
 *
 * A bridge is a channel between program and engine. The program posts transfers: a receive, by
 * which PowerShell takes a message into a variable, or a send, by which PowerShell sends the value
 * of an expression. Posted receives and the program's messages are paired in order, in the program:
 * a message goes to the first posted receive that has neither failed nor been withdrawn, whether
 * the receive or the message came first.
 */
typedef struct zcb_bridge zcb_bridge;

/* Opens a bridge. options may be NULL. Takes microseconds, because no memory is touched before it
 * is used; waits up to 10 s for an engine that is behind with earlier bridges. why (may be NULL)
 * says more.
 * ZCB_ERR_INVALID, _NO_MEMORY, _NO_HANDLES, _SYSTEM, _CLOSED, _PEER_GONE; _TIMEOUT: the engine
 * takes no bridge any more. */
ZCB_API zcb_error zcb_bridge_open(zcb_session *session, const zcb_channel_options *options,
                                  zcb_bridge **bridge, zcb_detail *why);
/* Ends all its waits. Transfers that are not done end with ZCB_STATUS_STOPPED. Leases stay valid.
 * bridge may be NULL. */
ZCB_API void zcb_bridge_close(zcb_bridge *bridge);
ZCB_API void zcb_bridge_free(zcb_bridge *bridge);
/* Its channel, for zcb_receive_read, _lease, _end, _drop and zcb_block_allocate. Lives as long as
 * the bridge. */
ZCB_API zcb_channel *zcb_bridge_channel(zcb_bridge *bridge);

/* Posts a receive: PowerShell takes the next message into the variable that target names ("$x",
 * "$h.key"). flags: ZCB_COMMAND_NOTIFY, ZCB_COMMAND_LEASE. zcb_session_wait gives the result of
 * *id. Errors as zcb_session_submit; ZCB_ERR_INVALID for a target that begins with neither `$` nor
 * `[`, or has a NUL. */
ZCB_API zcb_error zcb_bridge_post_receive(zcb_bridge *bridge, const char *target,
                                          size_t target_bytes, uint32_t flags, int64_t timeout_ms,
                                          uint64_t *id, const zcb_wait *wait);
/* Posts a send: PowerShell evaluates the expression when the commands before it are done, and its
 * value comes as a message with the id *id. If that fails, a message of kind ZCB_KIND_ERROR with
 * this id says why. depth as in zcb_command; flags: ZCB_COMMAND_NOTIFY. Errors as
 * zcb_session_submit. */
ZCB_API zcb_error zcb_bridge_post_send(zcb_bridge *bridge, const char *expression,
                                       size_t expression_bytes, uint32_t depth, uint32_t flags,
                                       int64_t timeout_ms, uint64_t *id, const zcb_wait *wait);
/* Sends a message to the first posted receive, or queues it for the next one. kind: ZCB_KIND_BYTES
 * or ZCB_KIND_CLIXML. Errors as zcb_send, and two with the id of the posted receive in *refused_by
 * (may be NULL).
 * ZCB_ERR_REFUSED: the receive has failed. The message was not sent, or was dropped half-way; the
 * next call sends to the next posted receive.
 * ZCB_ERR_TOO_LARGE: the receive holds its message in place, and the frame is smaller than the
 * message. The message was not sent; the receive waits for another one. */
ZCB_API zcb_error zcb_bridge_send(zcb_bridge *bridge, zcb_kind kind, const void *data,
                                  uint64_t bytes, uint64_t *refused_by, const zcb_wait *wait);
/* As zcb_receive_begin. An error message comes as any other message (ZCB_KIND_ERROR, its text is
 * the payload), unless zcb_bridge_seen was called for its id. */
ZCB_API zcb_error zcb_bridge_receive_begin(zcb_bridge *bridge, zcb_wish wish, zcb_message *message,
                                           const zcb_wait *wait);
/* Says that the user knows of the failure of this transfer: no later send or receive reports it. */
ZCB_API void zcb_bridge_seen(zcb_bridge *bridge, uint64_t id);
/* Withdraws a posted transfer. ZCB_ERR_TOO_LATE for a receive whose message has been sent; other
 * errors as zcb_session_stop. */
ZCB_API zcb_error zcb_bridge_withdraw(zcb_bridge *bridge, uint64_t id);

/* ---------------------------------------------------------------- agent
 *
 * The engine's side, for the ZeroCopyBridge module. The pipeline's thread takes its work in order
 * (zcb_agent_next), another thread listens (zcb_agent_listen). The transfers of bridges are done
 * here: a posted receive waits for its message, and a value for its receiver, on threads of this
 * library while the pipeline's thread does other work.
 *
 *     zcb_agent_next -> command RUN      run it, zcb_agent_complete
 *                       command RECEIVE  parse its target, zcb_agent_post_receive
 *                       command SEND     evaluate its text, zcb_agent_post_send
 *                       arrival          assign it to the target, zcb_agent_end_transfer
 *
 * For a transfer that fails before it is posted or assigned: zcb_agent_end_transfer with the
 * reason.
 */
typedef struct zcb_agent zcb_agent;

/* The functions that only the engine's runtime has. Called on any thread, also on threads of this
 * library, and never under a lock. */
typedef struct zcb_runtime {
    void *arg; /* the first argument of each */
    /* Allocates an array for a message. *data is its memory; the value is its owner, which stands
     * for it in later calls. NULL: no memory, and why has a sentence for the user. */
    void *(*allocate)(void *arg, uint64_t bytes, void **data, zcb_detail *why);
    /* Frees an owner or a target that is not needed any more: of a message that did not come after
     * all, of a value that was sent, of a receive that ended without a message. */
    void (*release)(void *arg, void *owner);
    /* The frame is short of room: frees memory of it that is not used any more. Returns when that
     * is done, if `wait`. */
    void (*reclaim)(void *arg, bool wait);
} zcb_runtime;

/* Finds the connection that zcb_session_start left to this process, makes it close-on-exec, removes
 * its name from the C environment, and says hello. version: the engine's ("7.6.9"). runtime is
 * copied.
 * ZCB_ERR_NOT_FOUND when this process was not started by zcb_session_start, _VERSION, _PROTOCOL,
 * _NO_MEMORY, _NO_HANDLES, _SYSTEM. */
ZCB_API zcb_error zcb_agent_open(const char *version, const zcb_runtime *runtime, zcb_agent **agent,
                                 zcb_detail *why);
/* Ends all transfers, and the threads that were started for them. */
ZCB_API void zcb_agent_free(zcb_agent *agent);
/* Columns of formatted output. */
ZCB_API uint32_t zcb_agent_width(const zcb_agent *agent);

/* A message that has arrived for a posted receive. */
typedef struct zcb_arrival {
    uint64_t id;    /* of its command */
    uint32_t flags; /* of its command: with ZCB_COMMAND_LEASE the variable holds no array */
    uint32_t kind;  /* ZCB_KIND_BYTES or ZCB_KIND_CLIXML */
    uint64_t bytes; /* its length */
    void *target;   /* as zcb_agent_post_receive got it */
    /* One of two is not NULL: the owner of the array that has the message, or the message in
     * place. */
    void *memory;
    zcb_lease *lease;
} zcb_arrival;

typedef enum zcb_work_type { ZCB_WORK_COMMAND = 1, ZCB_WORK_ARRIVAL = 2 } zcb_work_type;

typedef struct zcb_work {
    uint32_t type;       /* zcb_work_type: which of the two it is */
    zcb_command command; /* its parts are the agent's until the next call */
    zcb_arrival arrival; /* its target, memory and lease are the caller's */
} zcb_work;

/* Waits for the next work of the pipeline's thread; meanwhile serves the bridge that it served
 * last. A message that was sent completely before a command was submitted is given before that
 * command. A command that was stopped in the queue is not given, nor a transfer of a bridge that
 * does not exist. One thread. wait must have neither cancel nor watch.
 * ZCB_ERR_CLOSED: the session ends in good order; ZCB_ERR_PEER_GONE: the program has ended;
 * ZCB_ERR_ABORTED: the program gave a command up half-way, call again; ZCB_ERR_PROTOCOL, and the
 * errors of a wait. */
ZCB_API zcb_error zcb_agent_next(zcb_agent *agent, zcb_work *work, const zcb_wait *wait);
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

/* Ends a RUN command, with the last parts of its reply: once for each.
 *
 * lazy: a program that only stands by for results (zcb_session_next, zcb_session_event) is not
 * woken now, but by zcb_agent_flush, or when the next zcb_agent_next waits or has work. By
 * then it has mostly asked for the result itself. A program that reads replies (zcb_session_wait)
 * is always woken now. Only the thread of zcb_agent_next may say true. */
ZCB_API zcb_error zcb_agent_complete(zcb_agent *agent, uint64_t id,
                                     const zcb_completion *completion, const zcb_part *parts,
                                     size_t count, bool lazy);
/* Wakes the program for lazy completions: for the thread of zcb_agent_next, before it waits
 * elsewhere. */
ZCB_API void zcb_agent_flush(zcb_agent *agent);

/* The thread of zcb_agent_next goes on with the transfer that it got last by one of three calls,
 * none of which waits. ZCB_ERR_INVALID when the last work was no such transfer. Otherwise the agent
 * completes the transfer, even when memory is short. */

/* RECEIVE: posts the receive. target: given back by zcb_arrival or zcb_runtime.release. */
ZCB_API zcb_error zcb_agent_post_receive(zcb_agent *agent, void *target);
/* SEND: queues the value. data must not change until zcb_runtime.release frees its owner. A block
 * of the same bridge (zcb_agent_allocate) goes without a copy. kind: ZCB_KIND_BYTES or
 * ZCB_KIND_CLIXML. */
ZCB_API zcb_error zcb_agent_post_send(zcb_agent *agent, zcb_kind kind, const void *data,
                                      uint64_t bytes, void *owner);
/* Ends the transfer: as failed for this reason, or, with NULL, because an arrival was assigned. The
 * reason of a SEND is sent to the receiver of its value as well. */
ZCB_API zcb_error zcb_agent_end_transfer(zcb_agent *agent, const char *reason, size_t bytes);

/* Waits until a running command is to be stopped: *id. All other urgent requests are dealt with
 * here: stops of transfers and queued commands, closed bridges, pings. One thread. Errors as
 * zcb_agent_next; after ZCB_ERR_PEER_GONE call zcb_agent_end_process. */
ZCB_API zcb_error zcb_agent_listen(zcb_agent *agent, uint64_t *id, const zcb_wait *wait);
/* As zcb_block_allocate, on the newest open bridge with this label. ZCB_ERR_NOT_FOUND: there is
 * none. why (may be NULL) says more. */
ZCB_API zcb_error zcb_agent_allocate(zcb_agent *agent, const char *label, uint64_t bytes,
                                     zcb_block **block, zcb_detail *why, const zcb_wait *wait);
/* What was written to the process's own standard output (1) or standard error (2) and not read yet:
 * up to `capacity` bytes; *bytes is 0 when there is nothing. Never waits. One thread at a time. */
ZCB_API zcb_error zcb_agent_console(zcb_agent *agent, int stream, void *buffer, size_t capacity,
                                    size_t *bytes);
/* Waits until the program has ended: for a listener that was told ZCB_ERR_CLOSED, while the session
 * ends in good order. */
ZCB_API zcb_error zcb_agent_wait_program(zcb_agent *agent, const zcb_wait *wait);
/* Ends this process at once, without clean-up, and hangs up on (SIGHUP) what it started in its
 * process group: for an engine whose program is gone. Does not return. */
ZCB_API void zcb_agent_end_process(int exit_code);

#ifdef __cplusplus
}
#endif
#endif
