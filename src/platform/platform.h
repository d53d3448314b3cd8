/*
 * The porting contract: everything that libzcb asks of an operating system. The build chooses the
 * folders below platform/ that keep it. No file outside them knows the system.
 *
 * Unless a comment says otherwise: functions may be called on any thread, fail with
 * ZCB_ERR_NO_MEMORY, _NO_HANDLES or _SYSTEM, and set nothing on failure.
 */
#ifndef ZCB_PLATFORM_H
#define ZCB_PLATFORM_H

#include "zcb/zcb.h"

/* A descriptor (POSIX) or handle (Windows). */
typedef intptr_t plat_handle;
#define PLAT_NO_HANDLE ((plat_handle)-1)

/* Closes a handle of any kind. PLAT_NO_HANDLE is ignored. */
void zcbi_plat_close(plat_handle handle);

/* ---- clock, processors, process ---- */

/* Monotonic, nanoseconds, never 0. */
int64_t zcbi_plat_now_ns(void);
/* How many processors this process may use, at least 1. */
unsigned zcbi_plat_cpu_count(void);
/* The calling process's id. */
int64_t zcbi_plat_getpid(void);

/* Tells a forked child from the process that made the mark. zcbi_plat_forked is cheap enough for
 * every call of the library. */
typedef struct plat_fork_mark {
    _Atomic uint32_t *mark; /* 0 in a forked child; NULL: compare pid */
    int64_t pid;
} plat_fork_mark;
void zcbi_plat_fork_mark_init(plat_fork_mark *mark);
void zcbi_plat_fork_mark_destroy(plat_fork_mark *mark);
bool zcbi_plat_forked(const plat_fork_mark *mark);

/* Tells the processor that this is a spin loop. */
void zcbi_plat_cpu_relax(void);
/* Lets another thread that waits for this processor run. */
void zcbi_plat_yield(void);

/* ---- locks: held for moments, never while waiting for another process ---- */

#if defined(_WIN32)
typedef struct plat_mutex {
    void *srw;
} plat_mutex;
#else
#include <pthread.h>
typedef struct plat_mutex {
    pthread_mutex_t mutex;
} plat_mutex;
#endif
void zcbi_plat_mutex_init(plat_mutex *mutex);
void zcbi_plat_mutex_destroy(plat_mutex *mutex);
void zcbi_plat_mutex_lock(plat_mutex *mutex);
void zcbi_plat_mutex_unlock(plat_mutex *mutex);

/* ---- threads ---- */

#if defined(_WIN32)
typedef plat_handle plat_thread;
#else
typedef pthread_t plat_thread;
#endif
/* Starts a thread that runs work(arg), with the caller's signal mask. It must be joined, once.
 * ZCB_ERR_NO_MEMORY, ZCB_ERR_SYSTEM (too many threads). */
zcb_error zcbi_plat_thread_start(plat_thread *thread, void (*work)(void *), void *arg);
/* Waits until the thread has returned from `work`. Not on that thread. */
void zcbi_plat_thread_join(plat_thread thread);

/* ---- shared memory: anonymous, of fixed size, reserved at first and committed in parts ---- */

typedef struct plat_memory {
    plat_handle handle;
    unsigned char *base; /* mapped read and write */
    size_t bytes;
    /* Windows: a flag for each unit that this process has seen committed. Else NULL. */
    _Atomic unsigned char *known;
} plat_memory;

/* Alignment of sizes, and of the ranges of zcbi_plat_memory_commit. */
#define PLAT_PAGE_BYTES 4096u

/* Reserves and maps `bytes` (a multiple of PLAT_PAGE_BYTES) of zeroes, whose size no peer can
 * change. */
zcb_error zcbi_plat_memory_create(size_t bytes, plat_memory *memory);
/* Maps memory that another process made. On success takes over the handle. ZCB_ERR_PROTOCOL unless
 * the memory is exactly `bytes` long and its size is sealed. */
zcb_error zcbi_plat_memory_attach(plat_handle handle, size_t bytes, plat_memory *memory);
/* Stores a number in memory that is perhaps not mapped here. Fails silently. */
void zcbi_plat_memory_poke(plat_handle handle, size_t offset, uint32_t value);
/* Makes sure that the pages of this range exist, so that touching them cannot fault. Keeps their
 * contents.
 * ZCB_ERR_INVALID for a range out of the memory. */
zcb_error zcbi_plat_memory_commit(const plat_memory *memory, size_t offset, size_t bytes);
/* Makes sure that reading this range cannot fault, even if the process that should have committed
 * it has not. Does nothing on POSIX, where such pages read as zeroes. Errors as
 * zcbi_plat_memory_commit. */
zcb_error zcbi_plat_memory_ensure(const plat_memory *memory, size_t offset, size_t bytes);
/* Maps the existing pages of this range at once, ahead of their use. Fails silently. */
void zcbi_plat_memory_populate(const plat_memory *memory, size_t offset, size_t bytes);
/* Closes the handle; the mapping stays. */
void zcbi_plat_memory_release_handle(plat_memory *memory);
void zcbi_plat_memory_unmap(plat_memory *memory);
/* As zcb_advise_huge. */
void zcbi_plat_advise_huge(void *memory, size_t bytes);

/* ---- events: level-triggered, can be shared with other processes ---- */

zcb_error zcbi_plat_event_create(plat_handle *event);
/* A set event stays set. Never fails. Waits only if another process that has the event has filled
 * it and made it blocking (POSIX; SECURITY.md). */
void zcbi_plat_event_set(plat_handle event);
/* Never waits, never fails. */
void zcbi_plat_event_clear(plat_handle event);
/* False for handles that are surely no events: of files, pipes, sockets, devices. */
bool zcbi_plat_is_event(plat_handle handle);

/* One handle for an event loop of the user. It is signalled while `event` is set, once the deadline
 * has passed, and once the process has ended. */
typedef struct plat_loop_event {
    plat_handle handle; /* PLAT_NO_HANDLE: there is none */
    int64_t deadline_ns;
    void *state; /* the system's own */
} plat_loop_event;

/* event and process must outlive it. Without a deadline at first. */
zcb_error zcbi_plat_loop_event_create(plat_handle event, plat_handle process,
                                      plat_loop_event *loop_event);
/* ZCB_NEVER: none. One thread at a time. */
void zcbi_plat_loop_event_set_deadline(plat_loop_event *loop_event, int64_t deadline_ns);
void zcbi_plat_loop_event_destroy(plat_loop_event *loop_event);

/* ---- the one wait ---- */

/* The calling thread's signals, held back. */
typedef struct plat_signals plat_signals;
#if defined(_WIN32)
struct plat_signals {
    plat_handle event; /* or PLAT_NO_HANDLE */
};
#else
#include <signal.h>
struct plat_signals {
    sigset_t before;
};
#endif
/* Holds signals back for this thread: it can look whether one has come, and then sleep in
 * zcbi_plat_wait_held without missing the next one. On Windows `event` (zcb_wait.interrupt_event)
 * stands for the signals. */
void zcbi_plat_signals_hold(plat_signals *held, void *event);
void zcbi_plat_signals_release(const plat_signals *held);

#define PLAT_WAIT_MAX 8
/* Sleeps until one of the handles (events, process handles, links; PLAT_NO_HANDLE is skipped) is
 * signalled, the deadline passes, or, on POSIX, a signal was handled. *ready is the lowest index of
 * a signalled handle. A link is signalled when a record can be received or its other end is closed.
 * ZCB_ERR_TIMEOUT, _INTERRUPTED, _INVALID (more than PLAT_WAIT_MAX handles), _SYSTEM. */
zcb_error zcbi_plat_wait(const plat_handle *handles, unsigned count, int64_t deadline_ns,
                         unsigned *ready);
/* The same. The signals that zcbi_plat_signals_hold holds back are handled while it sleeps. */
zcb_error zcbi_plat_wait_held(const plat_handle *handles, unsigned count, int64_t deadline_ns,
                              const plat_signals *held, unsigned *ready);

/* ---- processes ---- */

/* A handle that is signalled once the process has ended. ZCB_ERR_PEER_GONE: there is no such
 * process.
 * ZCB_ERR_SYSTEM where the system has no handles of processes (Linux before 5.3): there only
 * zcbi_plat_link_peer_open and zcbi_plat_child_open can make one, from the link to that process. */
zcb_error zcbi_plat_process_open(int64_t pid, plat_handle *process);

typedef struct plat_child {
    int64_t pid;
    plat_handle process; /* signalled when it has ended */
    /* Windows: the job that it and the processes that it starts belong to. Closing the handle ends
     * them. Else PLAT_NO_HANDLE. */
    plat_handle group;
} plat_child;

typedef struct plat_spawn {
    const char *path;             /* absolute */
    const char *const *arguments; /* NULL-terminated, without argv[0] */
    /* Changes of this process's environment: "NAME=VALUE" sets, "NAME" removes. NULL-terminated, or
     * NULL. */
    const char *const *environment;
    const char *working_directory; /* or NULL */
    plat_handle link; /* inherited, and named by ZCB_LINK_VARIABLE; no other process must keep it */
    plat_handle other_end; /* of that link, which stays here */
    plat_handle out, err;  /* become its standard output and error */
} plat_spawn;

/* The environment variable that names the inherited link. */
#define ZCB_LINK_VARIABLE "ZCB_LINK"

/* Starts a program in a session (on Windows: process group and job) of its own, without standard
 * input, with default signal actions and an empty signal mask. It inherits only the handles that
 * `spawn` names.
 * ZCB_ERR_NOT_FOUND when path does not exist or cannot be executed, or the directory does not
 * exist; why says which. */
zcb_error zcbi_plat_process_spawn(const plat_spawn *spawn, plat_child *child, zcb_detail *why);
/* As zcbi_plat_process_open, for the child or a process that it has started, whose id `pid` came in
 * a record. ZCB_ERR_PROTOCOL (Windows): it is no such process. On POSIX the link says who sent the
 * record. */
zcb_error zcbi_plat_child_open(const plat_child *child, int64_t pid, plat_handle *process);
/* True when the child has ended; then reaps it. *exit_code is negative when it did not exit by
 * itself: on POSIX the signal that killed it, on Windows the exception that it crashed with. 255:
 * unknown, because this process ignores SIGCHLD or has reaped the child before. One thread at a
 * time for a child. */
bool zcbi_plat_process_ended(plat_child *child, int *exit_code);
/* The exit code in words: "exited with code 3", "was killed by signal 9", "crashed with
 * 0xC0000005". */
void zcbi_plat_end_text(int exit_code, char *text, size_t bytes);
/* Kills a process. `process` is its handle, `pid` its id. */
void zcbi_plat_process_kill(int64_t pid, plat_handle process);
/* POSIX: sends SIGHUP to the child's process group. Windows: ends the processes of its job. */
void zcbi_plat_process_hang_up_group(const plat_child *child);
/* Ends this process at once, without clean-up. On POSIX sends SIGHUP to the rest of its process
 * group. */
void zcbi_plat_end_this_process(int exit_code);

/* ---- links: message sockets that also carry handles ---- */

#define PLAT_LINK_HANDLES 8
#define PLAT_LINK_BYTES 256

/* Makes both ends. Started programs do not inherit them. On POSIX a SOCK_SEQPACKET pair. */
zcb_error zcbi_plat_link_pair(plat_handle *a, plat_handle *b);
/* The end that zcbi_plat_process_spawn left to this process, named by ZCB_LINK_VARIABLE; removes
 * that variable from the environment. ZCB_ERR_NOT_FOUND when there is none, or it is no link. */
zcb_error zcbi_plat_link_inherited(plat_handle *link);
/* Sends one record with copies of handles; the caller keeps its own. On Windows only the first end
 * of a pair can send handles. Never waits.
 * ZCB_ERR_TIMEOUT: the link is full; ZCB_ERR_PEER_GONE: the other end is closed; _INVALID,
 * _NO_MEMORY, _NO_HANDLES, _SYSTEM. */
zcb_error zcbi_plat_link_send(plat_handle link, const void *record, size_t bytes,
                              const plat_handle *handles, unsigned count);
/* Receives one record of up to `capacity` bytes. The received handles are the caller's; started
 * programs do not inherit them. *sender_pid (may be NULL) is the sender's process id: on POSIX from
 * the kernel, on Windows from the sender (zcbi_plat_child_open checks it). Never waits.
 * ZCB_ERR_TIMEOUT: there is none; ZCB_ERR_PEER_GONE: the other end is closed; ZCB_ERR_PROTOCOL: the
 * record or its handles do not fit, and were closed; ZCB_ERR_NO_HANDLES: the handles could not be
 * had, and the record stays to be received later; _NO_MEMORY, _SYSTEM. */
zcb_error zcbi_plat_link_receive(plat_handle link, void *record, size_t capacity, size_t *bytes,
                                 plat_handle *handles, unsigned handle_capacity, unsigned *count,
                                 int64_t *sender_pid);
/* The process that made the pair of this inherited end, according to the kernel. */
zcb_error zcbi_plat_link_peer_pid(plat_handle link, int64_t *pid);
/* As zcbi_plat_process_open, for that process. */
zcb_error zcbi_plat_link_peer_open(plat_handle link, plat_handle *process);

/* ---- anonymous files: an engine's standard output and error ---- */

/* An unnamed file whose writes always append. */
zcb_error zcbi_plat_file_create(plat_handle *file);
/* Reads up to `capacity` bytes at `offset`; *bytes is 0 at the end. */
zcb_error zcbi_plat_file_read(plat_handle file, uint64_t offset, void *buffer, size_t capacity,
                              size_t *bytes);
/* Frees the memory of the bytes before `offset`. The other bytes keep their offsets. Fails
 * silently. */
void zcbi_plat_file_forget(plat_handle file, uint64_t offset);
/* This process's standard output (1) or error (2). */
plat_handle zcbi_plat_standard(int stream);

/* ---- the environment ---- */

/* True when this process has the variable. */
bool zcbi_plat_has_variable(const char *name);

/* ---- finding the engine: paths are absolute; ZCB_ERR_INVALID for one of path_bytes or more
 * ---- */

/* The path of a program on PATH (`name` without extension). ZCB_ERR_NOT_FOUND. */
zcb_error zcbi_plat_find_program(const char *name, char *path, size_t path_bytes);
/* True when `path` is a file. */
bool zcbi_plat_is_file(const char *path);
/* True when `path` is a file that may be executed. */
bool zcbi_plat_is_executable(const char *path);
/* The user's folder for installed data: XDG_DATA_HOME or ~/.local/share; %LOCALAPPDATA%.
 * ZCB_ERR_NOT_FOUND. */
zcb_error zcbi_plat_data_folder(char *path, size_t path_bytes);
/* The user's folder of NuGet packages: NUGET_PACKAGES or ~/.nuget/packages. ZCB_ERR_NOT_FOUND. */
zcb_error zcbi_plat_nuget_folder(char *path, size_t path_bytes);
/* `given`, or `given` below the current folder. Links are not followed. ZCB_ERR_NOT_FOUND: there is
 * no current folder. */
zcb_error zcbi_plat_absolute_path(const char *given, char *path, size_t path_bytes);
/* The path at which an installer of PowerShell puts the engine on this system. Place 0 is the
 * first; a place that this system does not have is "". ZCB_ERR_NOT_FOUND behind the last one. */
zcb_error zcbi_plat_engine_place(unsigned place, char *path, size_t path_bytes);
/* The PowerShell that is part of the system (Windows PowerShell). ZCB_ERR_NOT_FOUND. */
zcb_error zcbi_plat_engine_of_system(char *path, size_t path_bytes);
/* Arguments that an engine needs on this system alone. NULL-terminated, static. */
const char *const *zcbi_plat_engine_arguments(void);
/* The path of the engine below the folder "tools/net<version>" of an unpacked PowerShell package:
 * "any/unix/pwsh" or "any/win/pwsh.exe". Its last part is the engine's name everywhere. Static. */
const char *zcbi_plat_engine_in_package(void);
/* Calls `each` for every entry of a folder but "." and "..", in no order. ZCB_ERR_NOT_FOUND: there
 * is no such folder, or it cannot be read. */
typedef void plat_folder_entry(void *arg, const char *name);
zcb_error zcbi_plat_folder_each(const char *path, plat_folder_entry *each, void *arg);
/* The folder of the loaded library that holds `address`. ZCB_ERR_NOT_FOUND. */
zcb_error zcbi_plat_library_folder(const void *address, char *path, size_t path_bytes);

#endif
