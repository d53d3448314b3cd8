/* Starting an engine: what it inherits, and the handshake. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/error.h"
#include "session.h"

#define DEFAULT_GRACE_MS 5000
#define DEFAULT_WIDTH 120
#define PATH_BYTES 4096
/* Windows PowerShell is taken at 5.1, its last version. */
#define DESKTOP_MAJOR 5
#define DESKTOP_MINOR 1
#define OLDEST_MAJOR 7
#define OLDEST_MINOR 4
#define EXIT_WAIT_MS 10000

/* The module's path comes by this variable, never as part of a script's text. */
#define MODULE_VARIABLE "ZCB_MODULE"
#define MODULE_FILE "ZeroCopyBridge.dll"
#define DESKTOP_FOLDER "desktop/" /* below the module's folder: its build for Windows PowerShell */
static const char *const first_arguments[] = {"-NoLogo", "-NoProfile", "-NonInteractive", NULL};
static const char *const last_arguments[] = {
    "-Command",
    "Import-Module -Name ([WildcardPattern]::Escape($env:" MODULE_VARIABLE
    ")) -ErrorAction Stop; Start-ZeroCopyAgent",
    NULL};
#define MOST_ARGUMENTS 16

/* What is told to the engine's runtime, unless the user has set it. The agent takes them out of its
 * environment again, by the list in TUNING_VARIABLE, before any command runs. */
#define TUNING_VARIABLE "ZCB_TUNING"
static const char *const tunings[] = {
    /* Large transfers (docs/performance.md) */
    "DOTNET_GCLOHThreshold=400000", /* hexadecimal: arrays up to 4 MiB die young, without a full collection */
    "DOTNET_GCRetainVM=1", /* memory that was touched once is used again */
    /* No sockets in the temporary folder by which other processes could enter the engine, and which an
     * engine that is killed leaves behind (SECURITY.md) */
    "DOTNET_EnableDiagnostics=0",
    "POWERSHELL_DIAGNOSTICS_OPTOUT=1",
};
#define TUNINGS (sizeof(tunings) / sizeof(tunings[0]))

/* What is needed until the engine has answered. */
struct starting {
    const zcb_session_options *options;
    zcb_session *session;
    char engine[PATH_BYTES];
    char module[PATH_BYTES];
    char module_variable[PATH_BYTES + sizeof(MODULE_VARIABLE)];
    char tuning_variable[256];
    plat_handle engine_link; /* the end that the engine inherits */
    plat_handle out, err;
    const zcb_wait *wait;
    zcb_detail *why;
};

/* ---------------------------------------------------------------- what to start */

/* Windows PowerShell: powershell.exe, while PowerShell itself is pwsh. */
static bool is_desktop(const char *engine)
{
    static const char name[] = "powershell.exe";
    size_t bytes = strlen(engine), name_bytes = sizeof(name) - 1;
    if (bytes < name_bytes)
        return false;
    for (size_t i = 0; i < name_bytes; i++)
        if (tolower((unsigned char)engine[bytes - name_bytes + i]) != name[i])
            return false;
    return bytes == name_bytes || strchr("/\\", engine[bytes - name_bytes - 1]);
}

static bool is_module_at(struct starting *start, const char *folder, const char *below)
{
    snprintf(start->module, sizeof(start->module), "%s/%s%s" MODULE_FILE, folder, below,
             is_desktop(start->engine) ? DESKTOP_FOLDER : "");
    return zcbi_plat_is_file(start->module);
}

/* The file that the caller names, or the one of the folder that he names. */
static zcb_error take_given_module(struct starting *start)
{
    char given[PATH_BYTES - 64];
    zcb_error error = zcbi_plat_absolute_path(start->options->module, given, sizeof(given));
    if (error)
        zcbi_error_detail(start->why, "'%s' is no usable path of a module", start->options->module);
    else if (!is_module_at(start, given, ""))
        snprintf(start->module, sizeof(start->module), "%s", given);
    return error;
}

static zcb_error find_module(struct starting *start)
{
    if (start->options->module)
        return take_given_module(start);
    char folder[PATH_BYTES - 64];
    zcb_error error =
        zcbi_plat_library_folder((const void *)(uintptr_t)&zcb_version, folder, sizeof(folder));
    if (error) {
        zcbi_error_detail(start->why, "the folder of libzcb is unknown: name the module");
        return error;
    }
    if (is_module_at(start, folder, "") || is_module_at(start, folder, "zcb/powershell/"))
        return ZCB_OK;
    zcbi_error_detail(start->why,
                      "%s" MODULE_FILE
                      " is neither in %s nor in zcb/powershell below it: name it in "
                      "zcb_session_options.module",
                      is_desktop(start->engine) ? DESKTOP_FOLDER : "", folder);
    return ZCB_ERR_NOT_FOUND;
}

/* The caller says something of this variable ("NAME=..." or "NAME"), or this process has it. */
static bool is_set_already(const struct starting *start, const char *variable)
{
    size_t length = strcspn(variable, "=");
    for (const char *const *given = start->options->environment; given && *given; given++)
        if (strncmp(*given, variable, length) == 0 &&
            ((*given)[length] == 0 || (*given)[length] == '='))
            return true;
    char name[64];
    snprintf(name, sizeof(name), "%.*s", (int)length, variable);
    return zcbi_plat_has_variable(name);
}

/* Adds the tunings, and the list of their names for the agent; returns how many variables that made. */
static size_t add_tunings(struct starting *start, const char **environment)
{
    size_t count = 0;
    int used =
        snprintf(start->tuning_variable, sizeof(start->tuning_variable), TUNING_VARIABLE "=");
    for (size_t i = 0; i < TUNINGS; i++) {
        if (is_set_already(start, tunings[i]))
            continue;
        environment[count++] = tunings[i];
        used +=
            snprintf(start->tuning_variable + used, sizeof(start->tuning_variable) - (size_t)used,
                     "%.*s;", (int)strcspn(tunings[i], "="), tunings[i]);
    }
    environment[count++] = start->tuning_variable;
    return count;
}

/* The caller's variables, and ours behind them. */
static const char **make_environment(struct starting *start)
{
    size_t count = 0;
    const char *const *given = start->options->environment;
    while (given && given[count])
        count++;
    const char **environment = calloc(count + TUNINGS + 3, sizeof(*environment));
    if (!environment)
        return NULL;
    for (size_t i = 0; i < count; i++)
        environment[i] = given[i];
    snprintf(start->module_variable, sizeof(start->module_variable), MODULE_VARIABLE "=%s",
             start->module);
    environment[count++] = start->module_variable;
    (void)add_tunings(start, &environment[count]);
    return environment;
}

/* Fills `arguments`, of MOST_ARGUMENTS. */
static void gather_arguments(const char **arguments)
{
    const char *const *const lists[] = {first_arguments, zcbi_plat_engine_arguments(),
                                        last_arguments};
    size_t count = 0;
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        for (const char *const *argument = lists[i]; *argument; argument++)
            if (count < MOST_ARGUMENTS - 1)
                arguments[count++] = *argument;
    arguments[count] = NULL;
}

static zcb_error spawn(struct starting *start)
{
    const char *arguments[MOST_ARGUMENTS];
    const char **environment = make_environment(start);
    if (!environment)
        return ZCB_ERR_NO_MEMORY;
    gather_arguments(arguments);
    plat_spawn spawn = {.path = start->engine,
                        .arguments = arguments,
                        .environment = environment,
                        .working_directory = start->options->working_directory,
                        .link = start->engine_link,
                        .out = start->out,
                        .err = start->err};
    zcb_error error = zcbi_plat_process_spawn(&spawn, &start->session->child, start->why);
    free(environment);
    return error;
}

/* ---------------------------------------------------------------- handing over */

static zcb_error send_record(plat_handle link, struct link_record record,
                             const plat_handle *handles, unsigned count)
{
    record.magic = LINK_MAGIC;
    record.version = PROTOCOL_VERSION;
    zcb_error error = zcbi_plat_link_send(link, &record, sizeof(record), handles, count);
    /* Nothing was waited for: the system has no room even for the first records. */
    return error == ZCB_ERR_TIMEOUT ? ZCB_ERR_SYSTEM : error;
}

static zcb_error open_channel(zcb_session *session, uint32_t number, uint64_t frame_bytes,
                              uint64_t window_bytes, zcb_channel **channel)
{
    zcb_channel_options options = {.frame_bytes = frame_bytes, .window_bytes = window_bytes};
    zcb_error error = zcbi_channel_open(&options, PLAT_NO_HANDLE, channel);
    if (error)
        return error;
    struct region *region = (*channel)->region;
    struct link_record record = {.type = LINK_CHANNEL,
                                 .number = number,
                                 .frame_bytes = region->geometry.frame_bytes,
                                 .window_bytes = region->geometry.window_bytes};
    plat_handle handles[1 + BELLS] = {region->memory.handle};
    memcpy(&handles[1], region->bells, sizeof(region->bells));
    return send_record(session->link, record, handles, 1 + BELLS);
}

static zcb_error prepare(struct starting *start)
{
    zcb_session *session = start->session;
    uint32_t width = start->options->width ? start->options->width : DEFAULT_WIDTH;
    zcb_error error = zcbi_plat_link_pair(&session->link, &start->engine_link);
    if (!error)
        error = send_record(session->link,
                            (struct link_record){.type = LINK_WELCOME, .number = width}, NULL, 0);
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

/* ---------------------------------------------------------------- the answer */

/* What an engine that ended too early has written, as much as fits. */
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

/* What to do when it was forbidden what every session needs: Windows has policies, often of a group. */
static const char *advice_on(const char *output)
{
    static const char *const signs[] = {"PSSecurityException", "UnauthorizedAccess",
                                        "language mode"};
    for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
        if (strstr(output, signs[i]))
            return " (a policy of this machine forbids PowerShell to load the module; "
                   "`Get-ExecutionPolicy "
                   "-List` and `$ExecutionContext.SessionState.LanguageMode` show which: ask who "
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
    if (hello->magic != LINK_MAGIC || hello->type != LINK_HELLO || hello->pid != sender_pid) {
        zcbi_error_detail(start->why, "the engine's hello makes no sense");
        return ZCB_ERR_PROTOCOL;
    }
    memcpy(session->version, hello->engine_version, sizeof(session->version));
    session->version[sizeof(session->version) - 1] = 0;
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

static zcb_error wait_for_answer(struct starting *start)
{
    zcb_session *session = start->session;
    const plat_handle handles[] = {session->link, session->child.process};
    unsigned ready = 0;
    zcb_error error = zcbi_wait_handles(handles, 2, start->wait, &ready);
    if (error == ZCB_ERR_TIMEOUT)
        zcbi_error_detail(start->why, "%s did not answer in time", start->engine);
    if (error)
        return error;
    struct link_record hello;
    size_t bytes = 0;
    unsigned count = 0;
    int64_t sender_pid = 0;
    if (ready == 0)
        error = zcbi_plat_link_receive(session->link, &hello, sizeof(hello), &bytes, NULL, 0,
                                       &count, &sender_pid);
    if (ready != 0 || error == ZCB_ERR_PEER_GONE) {
        (void)zcbi_plat_wait(&session->child.process, 1, zcb_deadline_ns(EXIT_WAIT_MS), &ready);
        return ended_early(start);
    }
    if (!error && bytes != sizeof(hello))
        error = ZCB_ERR_PROTOCOL;
    return error ? error : take_hello(start, &hello, sender_pid);
}

/* ---------------------------------------------------------------- start */

static zcb_error session_allocate(const zcb_session_options *options, const char *engine,
                                  zcb_session **made)
{
    zcb_session *session = calloc(1, sizeof(*session));
    if (!session)
        return ZCB_ERR_NO_MEMORY;
    session->engine = malloc(strlen(engine) + 1);
    zcb_error error = session->engine ? zcbi_waiter_init(&session->reader) : ZCB_ERR_NO_MEMORY;
    if (error) {
        free(session->engine);
        free(session);
        return error;
    }
    memcpy(session->engine, engine, strlen(engine) + 1);
    atomic_init(&session->references, 1);
    session->grace_ms = options->grace_ms ? options->grace_ms : DEFAULT_GRACE_MS;
    session->next_deadline = ZCB_NEVER;
    session->link = session->process = PLAT_NO_HANDLE;
    session->child.process = session->child.group = PLAT_NO_HANDLE;
    zcbi_turn_init(&session->submit_turn);
    zcbi_turn_init(&session->ping_turn);
    zcbi_plat_mutex_init(&session->lock);
    *made = session;
    return ZCB_OK;
}

/* Undoes a start that failed. */
static void give_up(struct starting *start)
{
    zcb_session *session = start->session;
    int code;
    if (session->child.process != PLAT_NO_HANDLE && !session->reaped) {
        unsigned ready;
        zcbi_plat_process_kill(session->child.pid, session->child.process);
        (void)zcbi_plat_wait(&session->child.process, 1, zcb_deadline_ns(EXIT_WAIT_MS), &ready);
        zcbi_plat_process_hang_up_group(&session->child);
        (void)zcbi_plat_process_ended(&session->child, &code);
    }
    if (session->process == PLAT_NO_HANDLE)
        session->process = session->child.process;
    zcbi_session_release(session);
}

static zcb_error start_engine(struct starting *start)
{
    zcb_error error = session_allocate(start->options, start->engine, &start->session);
    if (error)
        return error;
    start->engine_link = start->out = start->err = PLAT_NO_HANDLE;
    error = prepare(start);
    if (!error)
        error = spawn(start);
    zcbi_plat_close(start->engine_link);
    if (!error)
        error = wait_for_answer(start);
    zcbi_plat_close(start->out);
    zcbi_plat_close(start->err);
    if (error) {
        give_up(start);
        return error;
    }
    start->session->commands->peer = start->session->process;
    start->session->urgent->peer = start->session->process;
    return ZCB_OK;
}

zcb_error zcb_session_start(const zcb_session_options *options, zcb_session **session,
                            zcb_detail *why, const zcb_wait *wait)
{
    static const zcb_session_options defaults = {0};
    zcb_detail unread;
    if (!session)
        return ZCB_ERR_INVALID;
    struct starting start = {
        .options = options ? options : &defaults, .wait = wait, .why = why ? why : &unread};
    start.why->text[0] = 0;
    zcb_error error =
        zcb_engine_find(start.options->engine, start.engine, sizeof(start.engine), NULL, start.why);
    if (!error)
        error = find_module(&start);
    if (!error)
        error = start_engine(&start);
    if (error) {
        if (start.why->text[0] == 0)
            zcbi_error_detail(start.why, "%s", zcb_error_text(error));
        return error;
    }
    *session = start.session;
    return ZCB_OK;
}
