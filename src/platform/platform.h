/*
 * The porting contract: everything that libzcb asks of an operating system. The build chooses the
 * directory below platform/ that keeps it; nothing outside that directory knows the system.
 *
 * Functions return ZCB_OK or an error that fits the public meaning (ZCB_ERR_NO_MEMORY, _NO_HANDLES,
 * _SYSTEM, ...), and set nothing on failure.
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

/* Tells a forked child from the process that made the mark; looking is cheap enough for every call. */
typedef struct plat_fork_mark {
    _Atomic uint32_t *mark; /* NULL: compare pid */
    int64_t pid;
} plat_fork_mark;
void zcbi_plat_fork_mark_init(plat_fork_mark *mark);
void zcbi_plat_fork_mark_destroy(plat_fork_mark *mark);
bool zcbi_plat_forked(const plat_fork_mark *mark);

/* Tells the processor that this is a spin loop. */
void zcbi_plat_cpu_relax(void);
/* Lets another thread run that waits for this processor. */
void zcbi_plat_yield(void);

/* ---- locks: short, never held while waiting for another process ---- */

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
/* Starts a thread that runs work(arg), with the caller's signal mask. Whoever starts it joins it, once, before what it
 * uses goes. ZCB_ERR_NO_MEMORY, ZCB_ERR_SYSTEM (too many of them). */
zcb_error zcbi_plat_thread_start(plat_thread *thread, void (*work)(void *), void *arg);
/* Waits until it has returned from `work`; not on itself. */
void zcbi_plat_thread_join(plat_thread thread);

/* ---- shared memory: anonymous, of fixed size, reserved at first, committed piece by piece ---- */

typedef struct plat_memory {
    plat_handle handle;
    unsigned char *base; /* mapped read and write */
    size_t bytes;
    _Atomic unsigned char
        *known; /* Windows: which parts this process has seen committed; else NULL */
} plat_memory;

/* Alignment of offsets and sizes given to commit. */
#define PLAT_PAGE_BYTES 4096u

/* Reserves and maps `bytes` (a multiple of PLAT_PAGE_BYTES) of zeroes that no peer can resize. */
zcb_error zcbi_plat_memory_create(size_t bytes, plat_memory *memory);
/* Maps memory that another process made. On success the handle is the memory's. ZCB_ERR_PROTOCOL unless it is
 * exactly `bytes` long and its size is sealed. */
zcb_error zcbi_plat_memory_attach(plat_handle handle, size_t bytes, plat_memory *memory);
/* Stores a number in memory that may not be mapped here. Only tries. */
void zcbi_plat_memory_poke(plat_handle handle, size_t offset, uint32_t value);
/* Makes sure that the pages of this range exist, so that touching them cannot fault:
 * ZCB_ERR_NO_MEMORY when they cannot be had. Idempotent; contents are kept. */
zcb_error zcbi_plat_memory_commit(const plat_memory *memory, size_t offset, size_t bytes);
/* Makes sure that touching this range cannot fault, whatever the process did that should have committed it. Nothing on
 * POSIX, where a hole reads as zeroes. Errors as zcbi_plat_memory_commit. */
zcb_error zcbi_plat_memory_ensure(const plat_memory *memory, size_t offset, size_t bytes);
/* Maps this range's existing pages ahead of their use, all at once. Only advice. */
void zcbi_plat_memory_populate(const plat_memory *memory, size_t offset, size_t bytes);
/* Closes the handle; the mapping stays. */
void zcbi_plat_memory_release_handle(plat_memory *memory);
void zcbi_plat_memory_unmap(plat_memory *memory);
/* As zcb_advise_huge. */
void zcbi_plat_advise_huge(void *memory, size_t bytes);

/* ---- events: level-triggered doorbells, shareable between processes ---- */

zcb_error zcbi_plat_event_create(plat_handle *event);
/* Sets it; a set event stays set. Never fails; blocks only where another process that has it filled it and made it
 * block (POSIX; SECURITY.md). */
void zcbi_plat_event_set(plat_handle event);
/* Never blocks, never fails. */
void zcbi_plat_event_clear(plat_handle event);
/* False for what is surely no event: files, pipes, sockets, devices. */
bool zcbi_plat_is_event(plat_handle handle);

/* What an event loop of the user's waits for: one handle that is signalled while the event is set, once the deadline has
 * passed, and once the process has ended. */
typedef struct plat_loop_event {
    plat_handle handle; /* PLAT_NO_HANDLE: there is none */
    int64_t deadline_ns;
    void *state; /* the system's own */
} plat_loop_event;

/* event and process are borrowed. No deadline yet. */
zcb_error zcbi_plat_loop_event_create(plat_handle event, plat_handle process,
                                      plat_loop_event *loop_event);
/* ZCB_NEVER: none. */
void zcbi_plat_loop_event_set_deadline(plat_loop_event *loop_event, int64_t deadline_ns);
void zcbi_plat_loop_event_destroy(plat_loop_event *loop_event);

/* ---- the one wait ---- */

/* The signals that were held back for the calling thread; the system's own form. */
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
/* Holds signals back for this thread, so that it can look whether one has come and then sleep without
 * missing the next: see zcbi_plat_wait. On Windows `event` (zcb_wait.interrupt_event) stands for them. */
void zcbi_plat_signals_hold(plat_signals *held, void *event);
void zcbi_plat_signals_release(const plat_signals *held);

#define PLAT_WAIT_MAX 8
/* Sleeps until one of the handles (events, process handles, links; PLAT_NO_HANDLE entries are skipped) is
 * signalled, the deadline passes or, on POSIX, a signal is handled (Windows: `held` tells of one). *ready is the lowest index that is
 * signalled. ZCB_ERR_TIMEOUT; ZCB_ERR_INTERRUPTED; ZCB_ERR_SYSTEM. A link is signalled when it can be
 * received from or its other end is closed. */
zcb_error zcbi_plat_wait(const plat_handle *handles, unsigned count, int64_t deadline_ns,
                         unsigned *ready);
/* The same with signals held back by zcbi_plat_signals_hold, which are let through while it sleeps. */
zcb_error zcbi_plat_wait_held(const plat_handle *handles, unsigned count, int64_t deadline_ns,
                              const plat_signals *held, unsigned *ready);

/* ---- processes ---- */

/* A handle that is signalled once the process has ended. ZCB_ERR_PEER_GONE when there is no such one; ZCB_ERR_SYSTEM where
 * the system has no handles of processes (Linux before 5.3): there the other end of a link is told of alone, by
 * zcbi_plat_link_peer_open and zcbi_plat_child_open. */
zcb_error zcbi_plat_process_open(int64_t pid, plat_handle *process);

typedef struct plat_child {
    int64_t pid;
    plat_handle process; /* signalled when it has ended */
    plat_handle
        group; /* Windows: the job that it and all that it starts belong to, which end when this
                            handle is closed; else PLAT_NO_HANDLE */
} plat_child;

typedef struct plat_spawn {
    const char *path;             /* absolute */
    const char *const *arguments; /* NULL-terminated, without argv[0] */
    const char *const
        *environment; /* "NAME=VALUE" sets, "NAME" removes, on top of this process's; or NULL */
    const char *working_directory; /* or NULL */
    plat_handle link;      /* inherited under ZCB_LINK_VARIABLE; nobody else is to keep it */
    plat_handle other_end; /* of that link, which stays here */
    plat_handle out, err;  /* become its standard output and error */
} plat_spawn;

/* The environment variable that names the inherited link. */
#define ZCB_LINK_VARIABLE "ZCB_LINK"

/* Starts a program in a session (process group, job) of its own, with no standard input and nothing
 * inherited but what `spawn` names, default signal actions and an empty signal mask. ZCB_ERR_NOT_FOUND
 * when path is not there or can't be executed, or the directory isn't there (why says which). */
zcb_error zcbi_plat_process_spawn(const plat_spawn *spawn, plat_child *child, zcb_detail *why);
/* As zcbi_plat_process_open, for the child or what it has started: `pid` is what a record on the link says.
 * ZCB_ERR_PROTOCOL when the kernel knows it for another process (Windows; on POSIX the link itself has the kernel's
 * word). */
zcb_error zcbi_plat_child_open(const plat_child *child, int64_t pid, plat_handle *process);
/* If it has ended: true, and its exit code, which is negative when it did not exit by itself: POSIX, the signal
 * that killed it; Windows, the exception that it crashed with. 255 when that is not known because this
 * program ignores SIGCHLD or reaped it already. Reaps it. Not thread-safe for one child. */
bool zcbi_plat_process_ended(plat_child *child, int *exit_code);
/* Says that in words: "exited with code 3", "was killed by signal 9", "crashed with 0xC0000005". */
void zcbi_plat_end_text(int exit_code, char *text, size_t bytes);
/* Ends the process with `pid` (SIGKILL); `process` is its handle from zcbi_plat_process_open. */
void zcbi_plat_process_kill(int64_t pid, plat_handle process);
/* Hangs up (SIGHUP) on what is left of a session that zcbi_plat_process_spawn made; on Windows ends its job. */
void zcbi_plat_process_hang_up_group(const plat_child *child);
/* Ends this process at once, without clean-up, and on POSIX hangs up on the rest of its own process group. */
void zcbi_plat_end_this_process(int exit_code);

/* ---- links: message sockets that also carry handles ---- */

#define PLAT_LINK_HANDLES 8
#define PLAT_LINK_BYTES 256

/* Both ends, not inherited by programs. On POSIX a SOCK_SEQPACKET pair. */
zcb_error zcbi_plat_link_pair(plat_handle *a, plat_handle *b);
/* Takes the end that zcbi_plat_process_spawn left, named by ZCB_LINK_VARIABLE, and removes that variable from
 * the environment. ZCB_ERR_NOT_FOUND when there is none or it is no link. */
zcb_error zcbi_plat_link_inherited(plat_handle *link);
/* Sends one record with copies of handles; the caller keeps its own. On Windows only the first end of a pair
 * can send handles. Never waits: ZCB_ERR_TIMEOUT when the link is full; ZCB_ERR_PEER_GONE when the other end is
 * closed. */
zcb_error zcbi_plat_link_send(plat_handle link, const void *record, size_t bytes,
                              const plat_handle *handles, unsigned count);
/* Receives one record of up to `capacity` bytes. The received handles are the caller's and are not
 * inherited by programs. *sender_pid (may be NULL) is who sent it: the kernel's word on POSIX, its own word on
 * Windows (zcbi_plat_child_open checks it). Never waits:
 * ZCB_ERR_TIMEOUT when there is none; ZCB_ERR_PEER_GONE when the other end is closed; ZCB_ERR_PROTOCOL for
 * a record or handles beyond what fits (handles are closed); ZCB_ERR_NO_HANDLES when they could not all be
 * had: then the record stays, and can be received once they can. */
zcb_error zcbi_plat_link_receive(plat_handle link, void *record, size_t capacity, size_t *bytes,
                                 plat_handle *handles, unsigned handle_capacity, unsigned *count,
                                 int64_t *sender_pid);
/* The process that made the link pair whose inherited end this is: the kernel's word. */
zcb_error zcbi_plat_link_peer_pid(plat_handle link, int64_t *pid);
/* As zcbi_plat_process_open, for that process. */
zcb_error zcbi_plat_link_peer_open(plat_handle link, plat_handle *process);

/* ---- anonymous files: an engine's standard output and error ---- */

/* An unnamed file whose writes always append. */
zcb_error zcbi_plat_file_create(plat_handle *file);
/* Reads up to `capacity` bytes at `offset`; *bytes is 0 at the end. */
zcb_error zcbi_plat_file_read(plat_handle file, uint64_t offset, void *buffer, size_t capacity,
                              size_t *bytes);
/* Gives back the memory of what lies before `offset`; the rest keeps its offsets. Only advice. */
void zcbi_plat_file_forget(plat_handle file, uint64_t offset);
/* This process's standard output (1) or error (2). */
plat_handle zcbi_plat_standard(int stream);

/* ---- the environment ---- */

/* True when this process has the variable. */
bool zcbi_plat_has_variable(const char *name);

/* ---- finding the engine ---- */

/* The absolute path of a program on PATH (`name` without extension), or ZCB_ERR_NOT_FOUND. */
zcb_error zcbi_plat_find_program(const char *name, char *path, size_t path_bytes);
/* True when `path` is a file. */
bool zcbi_plat_is_file(const char *path);
/* True when `path` is a file that may be executed. */
bool zcbi_plat_is_executable(const char *path);
/* The user's folder for installed data (XDG_DATA_HOME or ~/.local/share; %LOCALAPPDATA%), or NOT_FOUND. */
zcb_error zcbi_plat_data_folder(char *path, size_t path_bytes);
/* The user's NuGet package folder (NUGET_PACKAGES or ~/.nuget/packages), or NOT_FOUND. */
zcb_error zcbi_plat_nuget_folder(char *path, size_t path_bytes);
/* The path of `given`, absolute: as it is, or below the current folder. Links are not followed. */
zcb_error zcbi_plat_absolute_path(const char *given, char *path, size_t path_bytes);
/* The place, as an absolute path, where an installer of PowerShell puts the engine on this system: the first
 * for place 0, and so on; "" for one that this system has not. NOT_FOUND behind the last. */
zcb_error zcbi_plat_engine_place(unsigned place, char *path, size_t path_bytes);
/* The PowerShell that is part of the system (Windows PowerShell), or NOT_FOUND. */
zcb_error zcbi_plat_engine_of_system(char *path, size_t path_bytes);
/* Arguments that an engine needs on this system alone; NULL-terminated. */
const char *const *zcbi_plat_engine_arguments(void);
/* Where the engine's file lies below the folder "tools/net<version>" of an unpacked PowerShell package:
 * "any/unix/pwsh", "any/win/pwsh.exe". Its last part is the engine's name everywhere. */
const char *zcbi_plat_engine_in_package(void);
/* Calls `each` for every entry of a folder but "." and "..", in no order. NOT_FOUND when there is no such
 * folder that can be read. */
typedef void plat_folder_entry(void *arg, const char *name);
zcb_error zcbi_plat_folder_each(const char *path, plat_folder_entry *each, void *arg);
/* Folder of the loaded library that holds `address`. */
zcb_error zcbi_plat_library_folder(const void *address, char *path, size_t path_bytes);

#endif
