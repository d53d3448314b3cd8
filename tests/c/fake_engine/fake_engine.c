/*
 * An engine for the tests of sessions and bridges: the library's engine side without PowerShell. A command
 * is a word and its argument (run, below); variables hold bytes. FAKE_ENGINE says how to start wrongly.
 */
#include "fake_engine.h"
#include "channel/block.h"
#include "plain_runtime.h"
#include "support.h"
#include "wire.h"

#include "agent/agent.h"

#define PIECE_BYTES 65536

struct variable {
    struct variable *next;
    char *name;
    unsigned char *bytes;
    size_t count;
};

static zcb_agent *agent;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct variable *variables;
static uint64_t *stops; /* ids that were told to stop and are not done */
static size_t stop_count;
static _Atomic bool refuses_memory; /* for the next message */
static bool ending;

/* ---------------------------------------------------------------- answers */

static void complete_with(uint64_t id, zcb_completion completion, zcb_part_kind stream,
                          const void *text, size_t bytes, bool lazy)
{
    const zcb_part part = {.kind = stream, .data = text, .bytes = bytes};
    completion.execution_ns = 1;
    (void)zcb_agent_complete(agent, id, &completion, &part, bytes > 0, lazy);
}

static zcb_completion completion_of(zcb_status status)
{
    bool done = status == ZCB_STATUS_DONE;
    return (zcb_completion){.status = status, .success = done, .exit_code = done ? 0 : 1};
}

static void complete(uint64_t id, zcb_status status, const void *out, size_t bytes)
{
    complete_with(id, completion_of(status), ZCB_PART_OUT, out, bytes, false);
}

static void report_failure(uint64_t id, bool refused, const char *err)
{
    zcb_completion completion = {.status = ZCB_STATUS_DONE, .refused = refused, .exit_code = 1};
    complete_with(id, completion, ZCB_PART_ERR, err, strlen(err), false);
}

static void answer(uint64_t id, const char *format, long long number)
{
    char text[64];
    int bytes = snprintf(text, sizeof(text), format, number);
    complete(id, ZCB_STATUS_DONE, text, (size_t)bytes);
}

/* ---------------------------------------------------------------- stopping, under the lock */

static bool is_told_to_stop(uint64_t id)
{
    for (size_t i = 0; i < stop_count; i++)
        if (stops[i] == id)
            return true;
    return false;
}

static void tell_to_stop(uint64_t id)
{
    stops = realloc(stops, (stop_count + 1) * sizeof(*stops));
    stops[stop_count++] = id;
    pthread_cond_broadcast(&changed);
}

static bool stopped(uint64_t id)
{
    pthread_mutex_lock(&lock);
    bool yes = is_told_to_stop(id) || ending;
    pthread_mutex_unlock(&lock);
    return yes;
}

/* ---------------------------------------------------------------- variables, under the lock */

static struct variable *variable_of(const char *name)
{
    struct variable *variable = variables;
    while (variable && strcmp(variable->name, name) != 0)
        variable = variable->next;
    return variable;
}

static void assign(const char *name, unsigned char *bytes, size_t count)
{
    struct variable *variable = variable_of(name);
    if (!variable) {
        variable = calloc(1, sizeof(*variable));
        variable->name = strdup(name);
        variable->next = variables;
        variables = variable;
    }
    free(variable->bytes);
    variable->bytes = bytes;
    variable->count = count;
}

/* ---------------------------------------------------------------- commands */

static void wait_for_stop(uint64_t id)
{
    pthread_mutex_lock(&lock);
    while (!is_told_to_stop(id) && !ending)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    complete(id, ZCB_STATUS_STOPPED, NULL, 0);
}

/* Done, so that who stands by need not hear of it before this thread goes on. */
static void complete_lazily(uint64_t id)
{
    complete_with(id, completion_of(ZCB_STATUS_DONE), ZCB_PART_OUT, NULL, 0, true);
}

/* Some queued command was told to stop, or the session ends. */
static bool next_was_dropped(void)
{
    zcbi_plat_mutex_lock(&agent->lock);
    bool dropped = agent->dropped_count > 0;
    zcbi_plat_mutex_unlock(&agent->lock);
    return dropped || stopped(0);
}

/* Likewise, and goes on only when the next command is told to stop. */
static void stall(uint64_t id)
{
    complete_lazily(id);
    while (!next_was_dropped())
        sched_yield();
}

static void send_pieces(uint64_t id, long long count, size_t bytes)
{
    unsigned char *all = malloc(bytes * (size_t)count + 1);
    fill(all, bytes * (size_t)count, bytes * (size_t)count);
    for (long long i = 0; i < count; i++) {
        const zcb_part parts[] = {
            {.kind = ZCB_PART_OUT, .data = all + bytes * (size_t)i, .bytes = bytes},
            {.kind = ZCB_PART_WARNING, .data = "w", .bytes = 1},
        };
        (void)zcb_agent_output(agent, id, parts, 2);
    }
    free(all);
    complete(id, ZCB_STATUS_DONE, NULL, 0);
}

static void flood(uint64_t id)
{
    const zcb_part part = {.kind = ZCB_PART_OUT, .data = "x", .bytes = 1};
    while (!stopped(id) && zcb_agent_output(agent, id, &part, 1) == ZCB_OK)
        continue;
    complete(id, ZCB_STATUS_STOPPED, NULL, 0);
}

static void send_out(uint64_t id, size_t bytes)
{
    char *out = malloc(bytes + 1);
    fill(out, bytes, bytes);
    complete(id, ZCB_STATUS_DONE, out, bytes);
    free(out);
}

#if defined(_WIN32)

static void end_by_force(void)
{
    zcbi_plat_process_kill(zcbi_plat_getpid(), (plat_handle)GetCurrentProcess());
}

static void idle(void)
{
    Sleep(INFINITE);
}

#else

static void end_by_force(void)
{
    raise(SIGKILL);
}

static void idle(void)
{
    for (;;)
        pause();
}

#endif

static void start_child(uint64_t id)
{
    char self[4096];
    own_path(self);
    answer(id, "%lld", start_and_leave(self, "idle"));
}

static void count_descriptors(uint64_t id)
{
    answer(id, "%lld", open_descriptors());
}

static void check_variable(uint64_t id, const char *name)
{
    pthread_mutex_lock(&lock);
    const struct variable *variable = variable_of(name);
    bool right = variable && is_filled(variable->bytes, variable->count, variable->count);
    long long count = variable ? (long long)variable->count : -1;
    pthread_mutex_unlock(&lock);
    answer(id, right ? "%lld right" : "%lld wrong", count);
}

/* A reply may be of any length, but it has one. */
static void send_open_ended(zcb_message message, const void *reply)
{
    size_t done = 0, bytes = (size_t)message.bytes;
    message.bytes = ZCB_OPEN_ENDED;
    (void)zcb_send_begin(agent->commands, &message, NULL);
    (void)zcb_send_write(agent->commands, reply, bytes, &done, NULL);
    (void)zcb_send_flush(agent->commands);
    (void)zcb_send_end(agent->commands);
}

/* Replies as no engine sends them. */
static void send_nonsense(uint64_t id, int which)
{
    struct completion_wire end = {.status = ZCB_STATUS_DONE};
    unsigned char reply[128];
    struct part_wire *first = (struct part_wire *)(void *)reply;
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .flags = REPLY_COMPLETES, .id = id};
    if (which == NONSENSE_STATUS)
        end.status = UINT32_MAX;
    size_t out = write_part(reply, ZCB_PART_OUT, "x", 1);
    struct part_wire *last = (struct part_wire *)(void *)(reply + out);
    message.bytes = out + write_part(last, PART_COMPLETION, &end, sizeof(end));
    switch (which) {
    case NONSENSE_SHORT:
        message.bytes = 3;
        break;
    case NONSENSE_EMPTY:
        message.bytes = 0;
        break;
    case NONSENSE_KIND:
        message.kind = ZCB_KIND_BYTES;
        break;
    case NONSENSE_PART:
        first->kind = 99;
        break;
    case NONSENSE_PART_FLAGS:
        first->flags = 1;
        break;
    case NONSENSE_LENGTH:
        first->bytes = UINT64_MAX;
        break;
    case NONSENSE_SUM:
        last->bytes = UINT64_MAX - sizeof(*last);
        break;
    case NONSENSE_NO_NUL:
        reply[sizeof(*first) + 1] = 'x';
        break;
    case NONSENSE_MISSING:
        message.bytes--;
        break;
    case NONSENSE_NO_END:
        message.bytes = out;
        break;
    case NONSENSE_EARLY_END:
        message.flags = 0;
        break;
    case NONSENSE_LONG_END:
        last->bytes++;
        break;
    case NONSENSE_ID:
        message.id = UINT64_MAX;
        break;
    case NONSENSE_FLAGS:
        message.flags = 99;
        break;
    default:
        break;
    }
    if (which == NONSENSE_OPEN_ENDED)
        send_open_ended(message, reply);
    else
        (void)zcb_send(agent->commands, &message, reply, NULL);
}

/* Half of a reply. */
static void give_reply_up(uint64_t id)
{
    zcb_channel *commands = agent->commands;
    zcb_message message = {
        .kind = ZCB_KIND_CONTROL, .flags = REPLY_COMPLETES, .id = id, .bytes = 1 << 22};
    char *half = calloc(1, 1 << 21);
    size_t written = 0;
    (void)zcbi_ticket_lock_acquire(&commands->tx.lock, NULL);
    (void)zcbi_tx_begin(commands, &message, 0, NULL);
    (void)zcbi_tx_write(commands, half, 1 << 21, &written, NULL);
    zcbi_tx_abort(commands);
    zcbi_ticket_lock_release(&commands->tx.lock);
    free(half);
}

/* A long reply that pauses half-way, until its command is told to stop. */
static void pause_reply(uint64_t id, size_t bytes)
{
    zcb_channel *commands = agent->commands;
    struct completion_wire end = {.status = ZCB_STATUS_DONE, .success = 1};
    char *out = malloc(bytes + 1);
    unsigned char *reply = malloc(bytes + 256);
    fill(out, bytes, bytes);
    size_t whole = write_part(reply, ZCB_PART_OUT, out, bytes), written = 0;
    whole += write_part(reply + whole, PART_COMPLETION, &end, sizeof(end));
    zcb_message message = {
        .kind = ZCB_KIND_CONTROL, .flags = REPLY_COMPLETES, .id = id, .bytes = whole};
    (void)zcbi_tx_lock(commands, NULL);
    (void)zcbi_tx_begin(commands, &message, 0, NULL);
    (void)zcbi_tx_write(commands, reply, whole / 2, &written, NULL);
    pthread_mutex_lock(&lock);
    while (!is_told_to_stop(id) && !ending)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    (void)zcbi_tx_write(commands, reply + written, whole - written, &written, NULL);
    zcbi_tx_unlock(commands);
    free(out);
    free(reply);
}

static void end_with(uint64_t id, int code)
{
    zcb_completion completion = {.status = ZCB_STATUS_EXITED, .exit_code = code};
    complete_with(id, completion, ZCB_PART_OUT, NULL, 0, false);
    _exit(code);
}

static void hang(void)
{
    (void)zcb_agent_wait_program(agent, NULL);
    zcb_agent_end_process(1);
}

static void run(const zcb_command *command, const char *word, const char *argument)
{
    uint64_t id = command->id;
    long long number = atoll(argument);
    if (strcmp(word, "echo") == 0)
        complete(id, ZCB_STATUS_DONE, argument, strlen(argument));
    else if (strcmp(word, "size") == 0)
        answer(id, "%lld", (long long)command->parts->bytes);
    else if (strcmp(word, "out") == 0)
        send_out(id, (size_t)number);
    else if (strcmp(word, "pieces") == 0)
        send_pieces(id, number, PIECE_BYTES);
    else if (strcmp(word, "bits") == 0)
        send_pieces(id, number, 3);
    else if (strcmp(word, "flood") == 0)
        flood(id);
    else if (strcmp(word, "wait") == 0)
        wait_for_stop(id);
    else if (strcmp(word, "lazy") == 0)
        complete_lazily(id);
    else if (strcmp(word, "stall") == 0)
        stall(id);
    else if (strcmp(word, "hang") == 0)
        hang();
    else if (strcmp(word, "exit") == 0)
        end_with(id, (int)number);
    else if (strcmp(word, "die") == 0)
        _exit((int)number);
    else if (strcmp(word, "spawn") == 0)
        start_child(id);
    else if (strcmp(word, "check") == 0)
        check_variable(id, argument);
    else if (strcmp(word, "pid") == 0)
        answer(id, "%lld", zcbi_plat_getpid());
    else if (strcmp(word, "width") == 0)
        answer(id, "%lld", zcb_agent_width(agent));
    else if (strcmp(word, "env") == 0)
        complete(id, ZCB_STATUS_DONE, getenv(argument),
                 getenv(argument) ? strlen(getenv(argument)) : 0);
    else if (strcmp(word, "descriptors") == 0)
        count_descriptors(id);
    else if (strcmp(word, "nonsense") == 0)
        send_nonsense(id, (int)number);
    else if (strcmp(word, "abort") == 0)
        give_reply_up(id);
    else if (strcmp(word, "half") == 0)
        pause_reply(id, (size_t)number);
    else
        report_failure(id, false, "no such command");
    if (strcmp(word, "abort") == 0)
        complete(id, ZCB_STATUS_DONE, "went on", 7);
}

/* ---------------------------------------------------------------- transfers */

static void *allocate(void *arg, uint64_t bytes, void **data, zcb_detail *why)
{
    snprintf(why->text, sizeof(why->text), "it did not arrive");
    return atomic_exchange(&refuses_memory, false) ? NULL : plain_allocate(arg, bytes, data, why);
}

static const zcb_runtime runtime = {NULL, allocate, plain_release, plain_reclaim};

static void end_transfer(const char *reason)
{
    (void)zcb_agent_end_transfer(agent, reason, reason ? strlen(reason) : 0);
}

/* A bridge's message is for a variable; "$drop" takes none, "$readonly" cannot. */
static void receive(const char *text)
{
    if (strcmp(text, "$readonly") == 0) {
        end_transfer("it is read-only");
        return;
    }
    if (strcmp(text, "$drop") == 0)
        atomic_store(&refuses_memory, true);
    char *target = strdup(text);
    if (zcb_agent_post_receive(agent, target))
        free(target);
}

/* The value of "$name", or so many bytes. */
static void send_value(const char *text)
{
    pthread_mutex_lock(&lock);
    const struct variable *variable = variable_of(text);
    size_t count = variable ? variable->count : (size_t)atoll(text);
    unsigned char *bytes = malloc(count + 1);
    if (variable)
        memcpy(bytes, variable->bytes, count);
    else
        fill(bytes, count, count);
    pthread_mutex_unlock(&lock);
    if (!variable && text[0] == '$')
        end_transfer("no such variable");
    else if (zcb_agent_post_send(agent, ZCB_KIND_BYTES, bytes, count, bytes) == ZCB_OK)
        bytes = NULL;
    free(bytes);
}

static void take_arrival(const zcb_arrival *arrival)
{
    size_t count = (size_t)arrival->bytes;
    unsigned char *bytes = arrival->memory;
    if (arrival->lease) {
        bytes = malloc(count + 1);
        memcpy(bytes, zcb_lease_data(arrival->lease), count);
        zcb_lease_free(arrival->lease);
    }
    pthread_mutex_lock(&lock);
    assign(arrival->target, bytes, count);
    pthread_mutex_unlock(&lock);
    free(arrival->target);
    end_transfer(NULL);
}

/* ---------------------------------------------------------------- threads */

static void *listen_to_program(void *arg)
{
    (void)arg;
    for (;;) {
        uint64_t id;
        zcb_error error = zcb_agent_listen(agent, &id, NULL);
        if (error && error != ZCB_ERR_CLOSED)
            zcb_agent_end_process(1);
        pthread_mutex_lock(&lock);
        ending = error != ZCB_OK;
        pthread_cond_broadcast(&changed);
        if (!error)
            tell_to_stop(id);
        pthread_mutex_unlock(&lock);
        if (error)
            return NULL;
    }
}

static void serve(const zcb_command *command)
{
    const zcb_part *part = command->parts;
    char word[16] = "", *text = malloc(part->bytes + 1);
    memcpy(text, part->data, part->bytes);
    text[part->bytes] = 0;
    if (command->op == ZCB_OP_RUN) {
        size_t bytes = strcspn(text, " ");
        snprintf(word, sizeof(word), "%.*s", (int)(bytes < 15 ? bytes : 15), text);
        run(command, word, text[bytes] ? text + bytes + 1 : "");
    } else if (command->op == ZCB_OP_RECEIVE) {
        receive(text);
    } else {
        send_value(text);
    }
    free(text);
}

static void start_wrongly(const char *how)
{
    if (strcmp(how, "die") == 0) {
        fprintf(stderr, "it hurts\n");
        exit(7);
    }
    if (strcmp(how, "forbidden") == 0) {
        fprintf(stderr, "    + FullyQualifiedErrorId : UnauthorizedAccess\n");
        exit(1);
    }
    if (strcmp(how, "killed") == 0)
        end_by_force();
    if (strcmp(how, "mute") == 0)
        idle();
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "idle") == 0)
        idle();
    const char *how = getenv("FAKE_ENGINE");
    if (how)
        start_wrongly(how);
    zcb_detail why;
    if (zcb_agent_open(how && strcmp(how, "old") == 0 ? "7.3.9" : "7.5.0", &runtime, &agent,
                       &why)) {
        fprintf(stderr, "%s\n", why.text);
        return 2;
    }
    pthread_t listener;
    pthread_create(&listener, NULL, listen_to_program, NULL);
    zcb_work work;
    zcb_error error;
    while ((error = zcb_agent_next(agent, &work, NULL)) == ZCB_OK || error == ZCB_ERR_ABORTED)
        if (!error && work.type == ZCB_WORK_ARRIVAL)
            take_arrival(&work.arrival);
        else if (!error)
            serve(&work.command);
    if (error != ZCB_ERR_CLOSED)
        zcb_agent_end_process(1);
    _exit(0);
}
