/* The records that program and engine exchange before the first command. */
#include "start.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_WIDTH 120
/* Windows PowerShell is taken at 5.1, its last version. */
#define DESKTOP_MAJOR 5
#define DESKTOP_MINOR 1
#define OLDEST_MAJOR 7
#define OLDEST_MINOR 4
#define EXIT_WAIT_MS 10000

/* ---------------------------------------------------------------- to the engine */

/* The link is new: if it is full, the system has no room even for the first records. */
static zcb_error first_records(zcb_error error)
{
    return error == ZCB_ERR_TIMEOUT ? ZCB_ERR_SYSTEM : error;
}

static zcb_error send_welcome(const zcb_session *session, uint32_t width)
{
    struct link_record welcome = {.type = LINK_WELCOME, .number = width};
    return first_records(zcbi_link_send(session->link, &welcome));
}

static zcb_error open_channel(zcb_session *session, uint32_t number, uint64_t frame_bytes,
                              uint64_t window_bytes, zcb_channel **channel)
{
    zcb_channel_options options = {.frame_bytes = frame_bytes, .window_bytes = window_bytes};
    zcb_error error = zcbi_channel_open(&options, PLAT_NO_HANDLE, channel);
    if (!error)
        error = first_records(zcbi_link_send_channel(session->link, number, NULL, *channel));
    return error;
}

zcb_error zcbi_start_prepare(struct starting *start)
{
    zcb_session *session = start->session;
    uint32_t width = start->options->width ? start->options->width : DEFAULT_WIDTH;
    zcb_error error = zcbi_plat_link_pair(&session->link, &start->engine_link);
    if (!error)
        error = send_welcome(session, width);
    if (!error)
        error = open_channel(session, CHANNEL_COMMANDS, COMMANDS_FRAME_BYTES, COMMANDS_WINDOW_BYTES,
                             &session->commands);
    if (!error)
        error = open_channel(session, CHANNEL_URGENT, URGENT_FRAME_BYTES, URGENT_WINDOW_BYTES,
                             &session->urgent);
    if (!error)
        error = zcbi_plat_file_create(&start->out);
    if (!error)
        error = zcbi_plat_file_create(&start->err);
    if (error)
        zcbi_error_detail(start->why, "preparing the engine's start");
    return error;
}

/* ---------------------------------------------------------------- from the engine */

/* Reads the output of an engine that ended too early, as much as fits. */
static void read_output(const struct starting *start, char *text, size_t room)
{
    const plat_handle files[] = {start->err, start->out};
    size_t used = 0;
    for (size_t i = 0; i < 2; i++) {
        size_t got = 0;
        if (zcbi_plat_file_read(files[i], 0, text + used, room - 1 - used, &got) == ZCB_OK)
            used += got;
    }
    text[used] = 0;
}

/* Advice when the output says that a policy of Windows forbids what every session needs; else
 * "". */
static const char *advice_on(const char *output)
{
    static const char *const signs[] = {"PSSecurityException", "UnauthorizedAccess",
                                        "language mode"};
    for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
        if (strstr(output, signs[i]))
            return " (a policy of this machine forbids PowerShell to load the module; "
                   "`Get-ExecutionPolicy -List` and `$ExecutionContext.SessionState.LanguageMode` "
                   "show which: ask who "
                   "set it)";
    return "";
}

static zcb_error ended_early(struct starting *start)
{
    int code = 0;
    char end[64], output[sizeof(start->why->text)];
    start->session->reaped = zcbi_plat_process_ended(&start->session->child, &code);
    zcbi_plat_end_text(code, end, sizeof(end));
    read_output(start, output, sizeof(output));
    zcbi_error_detail(start->why, "%s %s before it answered%s. It wrote: %s", start->engine, end,
                      advice_on(output), output);
    return ZCB_ERR_START;
}

static bool new_enough(const char *version)
{
    int major = 0, minor = 0;
    if (sscanf(version, "%d.%d", &major, &minor) != 2)
        return false;
    return major > OLDEST_MAJOR || (major == OLDEST_MAJOR && minor >= OLDEST_MINOR) ||
           (major == DESKTOP_MAJOR && minor >= DESKTOP_MINOR);
}

static zcb_error take_hello(struct starting *start, const struct link_record *hello,
                            int64_t sender_pid)
{
    zcb_session *session = start->session;
    if (hello->type != LINK_HELLO || hello->pid != sender_pid) {
        zcbi_error_detail(start->why, "the engine's hello makes no sense");
        return ZCB_ERR_PROTOCOL;
    }
    memcpy(session->version, hello->engine_version, sizeof(session->version));
    if (hello->version != PROTOCOL_VERSION || !new_enough(session->version)) {
        zcbi_error_detail(
            start->why,
            "%s is PowerShell %s (protocol %u); this library needs %d.%d or later, or Windows "
            "PowerShell %d.%d (protocol %u)",
            start->engine, session->version, hello->version, OLDEST_MAJOR, OLDEST_MINOR,
            DESKTOP_MAJOR, DESKTOP_MINOR, PROTOCOL_VERSION);
        return ZCB_ERR_VERSION;
    }
    session->pid = hello->pid;
    session->process = session->child.process;
    if (hello->pid == session->child.pid)
        return ZCB_OK;
    zcb_error error = zcbi_plat_child_open(&session->child, hello->pid, &session->process);
    if (error == ZCB_ERR_PROTOCOL)
        zcbi_error_detail(start->why,
                          "the engine's hello names process %lld, which it did not start",
                          (long long)hello->pid);
    return error;
}

static zcb_error receive_hello(struct starting *start)
{
    struct link_message hello;
    int64_t sender_pid = 0;
    zcb_error error = zcbi_link_receive(start->session->link, &hello, &sender_pid);
    if (error == ZCB_ERR_PROTOCOL)
        zcbi_error_detail(start->why, "the engine's hello makes no sense");
    if (error && error != ZCB_ERR_VERSION)
        return error;
    zcbi_link_refuse(&hello); /* a hello has no handles */
    return take_hello(start, &hello.record, sender_pid);
}

zcb_error zcbi_start_await_hello(struct starting *start)
{
    zcb_session *session = start->session;
    const plat_handle handles[] = {session->link, session->child.process};
    unsigned ready = 0;
    zcb_error error = zcbi_wait_handles(handles, 2, start->wait, &ready);
    if (error == ZCB_ERR_TIMEOUT)
        zcbi_error_detail(start->why, "%s did not answer in time", start->engine);
    if (error)
        return error;
    error = ready == 0 ? receive_hello(start) : ZCB_ERR_PEER_GONE;
    if (error != ZCB_ERR_PEER_GONE)
        return error;
    (void)zcbi_plat_wait(&session->child.process, 1, zcb_deadline_ns(EXIT_WAIT_MS), &ready);
    return ended_early(start);
}
