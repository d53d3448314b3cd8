/*
 * A link is a named pipe whose messages are frames. A pipe cannot carry handles. So the sender
 * keeps copies of a record's handles in its own process (a parcel), and the frame names them. The
 * receiver duplicates them from the sender's process and acknowledges the frame; then the sender
 * closes the parcel. Only the end that made the pair sends handles: the kernel names the process of
 * that end alone, and the receiver duplicates from no other process.
 */
#include "windows.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define NAME_CHARACTERS (WINDOWS_SECRET_CHARACTERS + 32)
#define PIPE_BYTES 65536
#define LINK_TAG ((plat_handle)1)

enum frame_type { FRAME_RECORD = 1, FRAME_TAKEN = 2 };

struct frame {
    uint32_t type; /* frame_type */
    uint32_t bytes;
    uint32_t count;
    uint32_t unused;
    int64_t sender_pid;
    uint64_t handles[PLAT_LINK_HANDLES]; /* in the sender's process */
    unsigned char record[PLAT_LINK_BYTES];
};
#define FRAME_HEAD offsetof(struct frame, record)
static_assert(FRAME_HEAD == 24 + 8 * PLAT_LINK_HANDLES, "wire layout");

/* The sender's copies of a record's handles, until the receiver has its own. */
struct parcel {
    struct parcel *next;
    unsigned count;
    HANDLE handles[PLAT_LINK_HANDLES];
};

/* Of the read that fills link.frame: not begun; running; a frame is there; an invalid one is there;
 * the other end is closed. */
enum reading { READING_NOT, READING, READ, READ_NONSENSE, READ_END };

struct link {
    SRWLOCK lock;
    HANDLE pipe;
    bool maker;   /* this is the first end of the pair */
    HANDLE event; /* of `overlapped`: not signalled while a read runs */
    HANDLE written;
    OVERLAPPED overlapped;
    enum reading reading;
    DWORD frame_bytes;
    struct frame frame;
    struct parcel *first; /* of the parcels, in the order of their records */
};

static struct link *link_of(plat_handle handle)
{
    return (struct link *)(handle & ~LINK_TAG);
}

bool zcbi_windows_is_link(plat_handle handle)
{
    return handle != PLAT_NO_HANDLE && (handle & LINK_TAG) != 0;
}

HANDLE zcbi_windows_link_pipe(plat_handle link)
{
    return link_of(link)->pipe;
}

/* ---------------------------------------------------------------- making and closing */

static void close_handles(HANDLE *handles, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        CloseHandle(handles[i]);
}

static void free_first_parcel(struct link *link)
{
    struct parcel *parcel = link->first;
    if (!parcel)
        return;
    link->first = parcel->next;
    close_handles(parcel->handles, parcel->count);
    free(parcel);
}

static void link_free(struct link *link)
{
    DWORD bytes;
    if (link->reading == READING && CancelIoEx(link->pipe, &link->overlapped))
        (void)GetOverlappedResult(link->pipe, &link->overlapped, &bytes, TRUE);
    else if (link->reading == READING)
        (void)WaitForSingleObject(link->event, INFINITE); /* the read has just ended */
    while (link->first)
        free_first_parcel(link);
    if (link->pipe != INVALID_HANDLE_VALUE)
        CloseHandle(link->pipe);
    if (link->event)
        CloseHandle(link->event);
    if (link->written)
        CloseHandle(link->written);
    free(link);
}

void zcbi_windows_link_close(plat_handle link)
{
    link_free(link_of(link));
}

/* Takes over the end of the pipe, also on failure. */
static zcb_error link_make(HANDLE pipe, bool maker, plat_handle *link)
{
    struct link *made = calloc(1, sizeof(*made));
    if (!made) {
        CloseHandle(pipe);
        return ZCB_ERR_NO_MEMORY;
    }
    *made = (struct link){.pipe = pipe, .maker = maker};
    InitializeSRWLock(&made->lock);
    made->event = CreateEventW(NULL, TRUE, FALSE, NULL);
    made->written = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!made->event || !made->written) {
        zcb_error error = windows_last_error();
        link_free(made);
        return error;
    }
    made->overlapped.hEvent = made->event;
    *link = (plat_handle)made | LINK_TAG;
    return ZCB_OK;
}

static zcb_error make_pipe(wchar_t name[NAME_CHARACTERS], HANDLE *pipe)
{
    wchar_t secret[WINDOWS_SECRET_CHARACTERS];
    windows_security security;
    zcb_error error = zcbi_windows_secret(secret);
    if (!error)
        error = zcbi_windows_security_init(&security);
    if (error)
        return error;
    swprintf(name, NAME_CHARACTERS, L"\\\\.\\pipe\\zcb-%ls", secret);
    *pipe = CreateNamedPipeW(
        name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
        PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_REJECT_REMOTE_CLIENTS, 1, PIPE_BYTES,
        PIPE_BYTES, 0, &security.attributes);
    error = *pipe != INVALID_HANDLE_VALUE ? ZCB_OK : windows_last_error();
    zcbi_windows_security_destroy(&security);
    return error;
}

/* The pipe has one instance: no other process can open it after this. */
static zcb_error open_pipe(const wchar_t *name, HANDLE *pipe)
{
    DWORD mode = PIPE_READMODE_MESSAGE;
    HANDLE opened =
        CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                    FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS, NULL);
    if (opened == INVALID_HANDLE_VALUE)
        return windows_last_error();
    if (!SetNamedPipeHandleState(opened, &mode, NULL, NULL)) {
        zcb_error error = windows_last_error();
        CloseHandle(opened);
        return error;
    }
    *pipe = opened;
    return ZCB_OK;
}

/* The client is connected already. */
static zcb_error accept_client(HANDLE server)
{
    OVERLAPPED overlapped = {.hEvent = NULL};
    if (ConnectNamedPipe(server, &overlapped) || GetLastError() == ERROR_PIPE_CONNECTED)
        return ZCB_OK;
    return windows_last_error();
}

zcb_error zcbi_plat_link_pair(plat_handle *a, plat_handle *b)
{
    wchar_t name[NAME_CHARACTERS];
    HANDLE server;
    HANDLE client = NULL;
    plat_handle first;
    zcb_error error = make_pipe(name, &server);
    if (error)
        return error;
    error = open_pipe(name, &client);
    if (error) {
        CloseHandle(server);
        return error;
    }
    error = accept_client(server);
    if (error)
        CloseHandle(server);
    else
        error = link_make(server, true, &first);
    if (error) {
        CloseHandle(client);
        return error;
    }
    error = link_make(client, false, b);
    if (error)
        zcbi_plat_close(first);
    else
        *a = first;
    return error;
}

/* The number in a text of digits alone, as a handle; or NULL. */
static HANDLE parse_handle(const char *text)
{
    uint64_t number = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != 0)
        return NULL;
    for (; *text; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    return (HANDLE)(uintptr_t)number;
}

/* True for the second end of a pipe with messages. */
static bool is_pipe_end(HANDLE handle)
{
    DWORD flags;
    DWORD inheritance;
    return handle && (((uintptr_t)handle) & 3) == 0 && GetHandleInformation(handle, &inheritance) &&
           GetFileType(handle) == FILE_TYPE_PIPE &&
           GetNamedPipeInfo(handle, &flags, NULL, NULL, NULL) && (flags & PIPE_TYPE_MESSAGE) != 0 &&
           (flags & PIPE_SERVER_END) == 0;
}

zcb_error zcbi_plat_link_inherited(plat_handle *link)
{
    char text[32];
    DWORD length = GetEnvironmentVariableA(ZCB_LINK_VARIABLE, text, sizeof(text));
    if (length == 0 && GetLastError() == ERROR_ENVVAR_NOT_FOUND)
        return ZCB_ERR_NOT_FOUND;
    HANDLE pipe = length > 0 && length < sizeof(text) ? parse_handle(text) : NULL;
    (void)_putenv(ZCB_LINK_VARIABLE "="); /* the C runtime's copy, and the system's */
    if (!is_pipe_end(pipe))
        return ZCB_ERR_NOT_FOUND;
    if (!SetHandleInformation(pipe, HANDLE_FLAG_INHERIT, 0))
        return windows_last_error();
    return link_make(pipe, false, link);
}

/* ---------------------------------------------------------------- sending */

static bool is_gone(DWORD number)
{
    return number == ERROR_BROKEN_PIPE || number == ERROR_NO_DATA ||
           number == ERROR_PIPE_NOT_CONNECTED || number == ERROR_BAD_PIPE;
}

/* Under the lock. Never waits for the peer. */
static zcb_error write_frame(struct link *link, const struct frame *frame)
{
    OVERLAPPED overlapped = {.hEvent = link->written};
    DWORD bytes = 0;
    if (WriteFile(link->pipe, frame, (DWORD)FRAME_HEAD + frame->bytes, NULL, &overlapped) ||
        GetLastError() == ERROR_IO_PENDING) {
        /* A write that does not end at once is cancelled, unless it ends just then. */
        if (!HasOverlappedIoCompleted(&overlapped))
            (void)CancelIoEx(link->pipe, &overlapped);
        if (GetOverlappedResult(link->pipe, &overlapped, &bytes, TRUE))
            return ZCB_OK;
    }
    DWORD number = GetLastError();
    if (number == ERROR_OPERATION_ABORTED)
        return ZCB_ERR_TIMEOUT;
    return is_gone(number) ? ZCB_ERR_PEER_GONE : zcbi_windows_error(number);
}

static zcb_error make_parcel(const plat_handle *handles, unsigned count, struct parcel **parcel)
{
    HANDLE self = GetCurrentProcess();
    struct parcel *made = calloc(1, sizeof(*made));
    if (!made)
        return ZCB_ERR_NO_MEMORY;
    for (; made->count < count; made->count++) {
        if (DuplicateHandle(self, windows_handle(handles[made->count]), self,
                            &made->handles[made->count], 0, FALSE, DUPLICATE_SAME_ACCESS))
            continue;
        zcb_error error = windows_last_error();
        close_handles(made->handles, made->count);
        free(made);
        return error;
    }
    *parcel = made;
    return ZCB_OK;
}

static void keep_parcel(struct link *link, struct parcel *parcel)
{
    struct parcel **at = &link->first;
    while (*at)
        at = &(*at)->next;
    *at = parcel;
}

static zcb_error send_parcel(struct link *link, struct frame *frame, const plat_handle *handles)
{
    struct parcel *parcel = NULL;
    zcb_error error = make_parcel(handles, frame->count, &parcel);
    if (error)
        return error;
    for (unsigned i = 0; i < parcel->count; i++)
        frame->handles[i] = (uint64_t)(uintptr_t)parcel->handles[i];
    error = write_frame(link, frame);
    if (!error) {
        keep_parcel(link, parcel);
    } else {
        close_handles(parcel->handles, parcel->count);
        free(parcel);
    }
    return error;
}

static void poll_link(struct link *link);

zcb_error zcbi_plat_link_send(plat_handle handle, const void *record, size_t bytes,
                              const plat_handle *handles, unsigned count)
{
    struct link *link = link_of(handle);
    if (bytes == 0 || bytes > PLAT_LINK_BYTES || count > PLAT_LINK_HANDLES ||
        (count > 0 && !link->maker))
        return ZCB_ERR_INVALID;
    struct frame frame = {.type = FRAME_RECORD,
                          .bytes = (uint32_t)bytes,
                          .count = count,
                          .sender_pid = zcbi_plat_getpid()};
    memcpy(frame.record, record, bytes);
    AcquireSRWLockExclusive(&link->lock);
    if (link->first)
        poll_link(link); /* frees parcels that were acknowledged */
    zcb_error error = count > 0 ? send_parcel(link, &frame, handles) : write_frame(link, &frame);
    ReleaseSRWLockExclusive(&link->lock);
    return error;
}

/* ---------------------------------------------------------------- receiving */

static bool frame_makes_sense(const struct link *link)
{
    const struct frame *frame = &link->frame;
    if (link->frame_bytes < FRAME_HEAD || frame->bytes != link->frame_bytes - FRAME_HEAD ||
        frame->count > PLAT_LINK_HANDLES)
        return false;
    if (frame->type == FRAME_TAKEN)
        return link->maker && frame->bytes == 0 && frame->count == 0;
    return frame->type == FRAME_RECORD && frame->bytes > 0 && (frame->count == 0 || !link->maker);
}

/* Reads the rest of a message that is longer than any frame. */
static void skip_rest(struct link *link)
{
    char rest[1024];
    DWORD bytes;
    do {
        OVERLAPPED overlapped = {.hEvent = link->written};
        if (!ReadFile(link->pipe, rest, sizeof(rest), NULL, &overlapped) &&
            GetLastError() != ERROR_IO_PENDING && GetLastError() != ERROR_MORE_DATA)
            return;
        if (GetOverlappedResult(link->pipe, &overlapped, &bytes, TRUE))
            return;
    } while (GetLastError() == ERROR_MORE_DATA);
}

static void begin_read(struct link *link)
{
    link->reading = READING;
    if (ReadFile(link->pipe, &link->frame, sizeof(link->frame), NULL, &link->overlapped) ||
        GetLastError() == ERROR_IO_PENDING || GetLastError() == ERROR_MORE_DATA)
        return;
    link->reading = READ_END;
    SetEvent(link->event);
}

static void finish_read(struct link *link)
{
    if (GetOverlappedResult(link->pipe, &link->overlapped, &link->frame_bytes, FALSE)) {
        link->reading = frame_makes_sense(link) ? READ : READ_NONSENSE;
    } else if (GetLastError() == ERROR_MORE_DATA) {
        skip_rest(link);
        link->reading = READ_NONSENSE;
    } else if (GetLastError() == ERROR_OPERATION_ABORTED) {
        begin_read(link); /* the thread that began the read has ended */
    } else {
        link->reading = READ_END;
    }
}

/* Under the lock: begins a read, or finishes one that has ended, until there is a record or
 * nothing. */
static void poll_link(struct link *link)
{
    if (link->reading == READING_NOT)
        begin_read(link);
    while (link->reading == READING && WaitForSingleObject(link->event, 0) == WAIT_OBJECT_0) {
        finish_read(link);
        if (link->reading == READ && link->frame.type == FRAME_TAKEN) {
            free_first_parcel(link);
            begin_read(link);
        }
    }
}

HANDLE zcbi_windows_link_event(plat_handle handle)
{
    struct link *link = link_of(handle);
    AcquireSRWLockExclusive(&link->lock);
    poll_link(link);
    ReleaseSRWLockExclusive(&link->lock);
    return link->event;
}

bool zcbi_windows_link_readable(plat_handle handle)
{
    struct link *link = link_of(handle);
    AcquireSRWLockExclusive(&link->lock);
    poll_link(link);
    bool readable = link->reading != READING;
    ReleaseSRWLockExclusive(&link->lock);
    return readable;
}

/* Opens the process that made the pair, to duplicate handles from it. */
static zcb_error open_maker(const struct link *link, HANDLE *maker)
{
    ULONG pid;
    if (!GetNamedPipeServerProcessId(link->pipe, &pid))
        return windows_last_error();
    *maker = OpenProcess(PROCESS_DUP_HANDLE, FALSE, pid);
    if (*maker)
        return ZCB_OK;
    return GetLastError() == ERROR_INVALID_PARAMETER ? ZCB_ERR_PEER_GONE : windows_last_error();
}

static zcb_error pull_handles(const struct frame *frame, HANDLE maker, HANDLE *pulled)
{
    for (unsigned i = 0; i < frame->count; i++) {
        if (DuplicateHandle(maker, (HANDLE)(uintptr_t)frame->handles[i], GetCurrentProcess(),
                            &pulled[i], 0, FALSE, DUPLICATE_SAME_ACCESS))
            continue;
        zcb_error error = windows_last_error();
        close_handles(pulled, i);
        return error == ZCB_ERR_SYSTEM ? ZCB_ERR_PEER_GONE : error;
    }
    return ZCB_OK;
}

/* Duplicates the handles of the frame that was read. */
static zcb_error take_handles(struct link *link, plat_handle *handles)
{
    HANDLE maker = NULL;
    HANDLE pulled[PLAT_LINK_HANDLES];
    const struct frame *frame = &link->frame;
    if (frame->count == 0)
        return ZCB_OK;
    zcb_error error = open_maker(link, &maker);
    if (error)
        return error;
    error = pull_handles(frame, maker, pulled);
    CloseHandle(maker);
    for (unsigned i = 0; !error && i < frame->count; i++)
        handles[i] = (plat_handle)pulled[i];
    return error;
}

/* The frame is not needed any more: the maker can close its parcel. */
static void acknowledge_frame(struct link *link)
{
    struct frame taken = {.type = FRAME_TAKEN, .sender_pid = zcbi_plat_getpid()};
    if (link->reading != READ_NONSENSE && link->frame.count > 0)
        (void)write_frame(link, &taken);
    begin_read(link);
}

/* Under the lock, after poll_link. */
static zcb_error take_record(struct link *link, void *record, size_t capacity, size_t *bytes,
                             plat_handle *handles, unsigned handle_capacity, unsigned *count)
{
    if (link->reading == READING)
        return ZCB_ERR_TIMEOUT;
    if (link->reading == READ_END)
        return ZCB_ERR_PEER_GONE;
    bool fits = link->reading == READ && link->frame.bytes <= capacity &&
                link->frame.count <= handle_capacity;
    zcb_error error = fits ? take_handles(link, handles) : ZCB_ERR_PROTOCOL;
    if (error == ZCB_ERR_NO_HANDLES)
        return error; /* the frame stays, for the next call */
    if (!error) {
        memcpy(record, link->frame.record, link->frame.bytes);
        *bytes = link->frame.bytes;
        *count = link->frame.count;
    }
    acknowledge_frame(link);
    return error;
}

zcb_error zcbi_plat_link_receive(plat_handle handle, void *record, size_t capacity, size_t *bytes,
                                 plat_handle *handles, unsigned handle_capacity, unsigned *count,
                                 int64_t *sender_pid)
{
    struct link *link = link_of(handle);
    AcquireSRWLockExclusive(&link->lock);
    poll_link(link);
    int64_t pid = link->frame.sender_pid;
    zcb_error error = take_record(link, record, capacity, bytes, handles, handle_capacity, count);
    ReleaseSRWLockExclusive(&link->lock);
    if (!error && sender_pid)
        *sender_pid = pid;
    return error;
}

zcb_error zcbi_plat_link_peer_pid(plat_handle handle, int64_t *pid)
{
    ULONG maker;
    if (!GetNamedPipeServerProcessId(link_of(handle)->pipe, &maker))
        return windows_last_error();
    *pid = maker;
    return ZCB_OK;
}

zcb_error zcbi_plat_link_peer_open(plat_handle link, plat_handle *process)
{
    int64_t pid = 0;
    zcb_error error = zcbi_plat_link_peer_pid(link, &pid);
    return error ? error : zcbi_plat_process_open(pid, process);
}
