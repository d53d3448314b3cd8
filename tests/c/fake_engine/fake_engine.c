/*
 * An engine for the tests of sessions and bridges: the library's engine side without PowerShell. A command
 * is a word and its argument (run, below); variables hold bytes. FAKE_ENGINE says how to start wrongly.
 */
#include "fake_engine.h"
#include "channel/block.h"
#include "chunks.h"
#include "support.h"
#include "wire.h"

#include "protocol/link.h"
#include "protocol/message.h"
#include "protocol/urgent.h"

#define PIECE_BYTES 65536

struct variable {
    struct variable *next;
    char *name;
    unsigned char *bytes;
    size_t count;
};

/* A posted transfer that is not done. */
struct post {
    struct post *next;
    zcb_op op;
    uint64_t id;
    bool takes_queued;
    char *text;
    unsigned char *bytes; /* SEND: what goes; NULL: an open-ended message of chunks */
    size_t count;
    uint32_t kind;
};

struct bridge {
    struct bridge *next;
    uint32_t number;
    zcb_channel *channel;
    struct post *receives, *sends;
    uint64_t last_receive;
    uint64_t sending; /* the send that is under way, or 0 */
    zcb_cancel *cancel_receive, *cancel_send;
    bool closed;
};

/* Private: where internals are reached into. */
struct zcb_agent {
    plat_handle link, program;
    uint32_t width;
    zcb_channel *commands;
};

static zcb_agent *agent;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct variable *variables;
static struct bridge *bridges;
static uint64_t *stops; /* ids that were told to stop and are not done */
static size_t stop_count;
static bool ending;

/* ---------------------------------------------------------------- answers */

static void complete_with(uint64_t id, zcb_completion completion, zcb_part_kind stream,
                          const void *text, size_t bytes, bool soon)
{
    const zcb_part part = {.kind = stream, .data = text, .bytes = bytes};
    completion.execution_ns = 1;
    (void)zcb_agent_complete(agent, id, &completion, &part, bytes > 0, soon);
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
static void complete_soon(uint64_t id)
{
    complete_with(id, completion_of(ZCB_STATUS_DONE), ZCB_PART_OUT, NULL, 0, true);
}

/* Likewise, and goes on only when the next command is told to stop. */
static void stall(uint64_t id)
{
    complete_soon(id);
    pthread_mutex_lock(&lock);
    while (!is_told_to_stop(id + 1) && !ending)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
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
    (void)zcbi_turn_take(&commands->tx.turn, NULL);
    (void)zcbi_tx_begin(commands, &message, 0, NULL);
    (void)zcbi_tx_write(commands, half, 1 << 21, &written, NULL);
    zcbi_tx_abort(commands);
    zcbi_turn_give(&commands->tx.turn);
    free(half);
}

/* A long reply that stops half-way, and goes on when the next command is told to stop. */
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
    while (!is_told_to_stop(id + 1) && !ending)
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
    else if (strcmp(word, "soon") == 0)
        complete_soon(id);
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

/* ---------------------------------------------------------------- bridges */

static void free_post(struct post *post)
{
    free(post->text);
    free(post->bytes);
    free(post);
}

static void append(struct post **list, struct post *post)
{
    while (*list)
        list = &(*list)->next;
    *list = post;
}

static struct post *take_post(struct post **list, uint64_t id)
{
    while (*list && (*list)->id != id)
        list = &(*list)->next;
    struct post *post = *list;
    if (post)
        *list = post->next;
    return post;
}

/* Under the lock. */
static struct post *take_match(struct bridge *bridge, const zcb_message *message)
{
    if (message->id != 0)
        return take_post(&bridge->receives, message->id);
    for (struct post *post = bridge->receives; post; post = post->next)
        if (post->takes_queued)
            return take_post(&bridge->receives, post->id);
    return NULL;
}

/* Looks at an open-ended message, and keeps nothing of it. */
static void look_at(struct bridge *bridge, const zcb_message *message, struct post *post)
{
    uint64_t bytes;
    zcb_error error = receive_chunks(bridge->channel, message, &bytes, NULL);
    if (post && error)
        report_failure(post->id, false, zcb_error_text(error));
    else if (post)
        answer(post->id, "%lld", (long long)bytes);
    if (post)
        free_post(post);
}

static void take_in(struct bridge *bridge, const zcb_message *message, struct post *post)
{
    if (post && strcmp(post->text, "$chunks") == 0) {
        look_at(bridge, message, post);
        return;
    }
    unsigned char *bytes = malloc((size_t)message->bytes + 1);
    zcb_error error = ZCB_OK;
    if (!post || strcmp(post->text, "$drop") == 0)
        error = ZCB_ERR_REFUSED;
    else
        error = zcb_receive_read(bridge->channel, bytes, (size_t)message->bytes, NULL, NULL);
    if (error)
        zcb_receive_drop(bridge->channel);
    else
        (void)zcb_receive_end(bridge->channel);
    if (post &&
        error == ZCB_ERR_ABORTED) { /* its sender gave up: another message may come for it */
        pthread_mutex_lock(&lock);
        post->next = bridge->receives;
        bridge->receives = post;
        pthread_mutex_unlock(&lock);
        post = NULL;
    }
    if (!post || error) {
        free(bytes);
    } else {
        pthread_mutex_lock(&lock);
        assign(post->text, bytes, (size_t)message->bytes);
        pthread_mutex_unlock(&lock);
    }
    if (post && error)
        report_failure(post->id, false, "it did not arrive");
    else if (post)
        complete(post->id, ZCB_STATUS_DONE, NULL, 0);
    if (post)
        free_post(post);
}

/* The system refused something now: trying again may help. */
static bool is_shortage(zcb_error error)
{
    return error == ZCB_ERR_NO_MEMORY || error == ZCB_ERR_NO_HANDLES || error == ZCB_ERR_SYSTEM;
}

static void *receive_all(void *arg)
{
    struct bridge *bridge = arg;
    zcb_wait wait = {.deadline_ns = ZCB_NEVER, .cancel = bridge->cancel_receive};
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!bridge->receives && !bridge->closed)
            pthread_cond_wait(&changed, &lock);
        bool closed = bridge->closed;
        pthread_mutex_unlock(&lock);
        zcb_message message;
        zcb_error error = closed
                              ? ZCB_ERR_CLOSED
                              : zcb_receive_begin(bridge->channel, ZCB_WISH_COPY, &message, &wait);
        if (error == ZCB_ERR_CANCELLED) {
            zcb_cancel_reset(bridge->cancel_receive);
            continue;
        }
        if (is_shortage(error))
            continue;
        if (error)
            return NULL;
        pthread_mutex_lock(&lock);
        struct post *post;
        while (!(post = take_match(bridge, &message)) && !bridge->closed &&
               (message.id == 0 || message.id > bridge->last_receive))
            pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        take_in(bridge, &message, post);
    }
}

/* Who waits for the message is told why it does not come. */
static void send_failure(struct bridge *bridge, uint64_t id, const char *text)
{
    zcb_message message = {.kind = ZCB_KIND_ERROR, .id = id, .bytes = strlen(text)};
    if (is_shortage(zcb_send(bridge->channel, &message, text, NULL)))
        zcb_channel_close(bridge->channel);
}

static void *send_all(void *arg)
{
    struct bridge *bridge = arg;
    zcb_wait wait = {.deadline_ns = ZCB_NEVER, .cancel = bridge->cancel_send};
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!bridge->sends && !bridge->closed)
            pthread_cond_wait(&changed, &lock);
        struct post *post = bridge->closed ? NULL : take_post(&bridge->sends, bridge->sends->id);
        bridge->sending = post ? post->id : 0;
        pthread_mutex_unlock(&lock);
        if (!post)
            return NULL;
        zcb_message message = {.kind = post->kind, .id = post->id, .bytes = post->count};
        zcb_error error = post->bytes ? zcb_send(bridge->channel, &message, post->bytes, &wait)
                                      : send_chunks(bridge->channel, post->id, post->count, &wait);
        pthread_mutex_lock(&lock);
        bridge->sending = 0;
        zcb_cancel_reset(bridge->cancel_send);
        pthread_mutex_unlock(&lock);
        if (is_shortage(error))
            send_failure(bridge, post->id, zcb_error_text(error));
        if (post->kind == ZCB_KIND_ERROR)
            report_failure(post->id, false, "no such variable");
        else if (error == ZCB_ERR_CANCELLED)
            complete(post->id, ZCB_STATUS_STOPPED, NULL, 0);
        else if (error)
            report_failure(post->id, false, zcb_error_text(error));
        else
            complete(post->id, ZCB_STATUS_DONE, NULL, 0);
        free_post(post);
    }
}

static void detach(void *(*work)(void *), void *arg)
{
    pthread_t thread;
    pthread_create(&thread, NULL, work, arg);
    pthread_detach(thread);
}

/* The bridge of a command, opened at first use; NULL when it is closed. */
static struct bridge *bridge_of(uint32_t number)
{
    pthread_mutex_lock(&lock);
    struct bridge *bridge = bridges;
    while (bridge && bridge->number != number)
        bridge = bridge->next;
    if (!bridge) {
        bridge = calloc(1, sizeof(*bridge));
        bridge->number = number;
        if (zcb_agent_channel(agent, number, &bridge->channel)) {
            free(bridge);
            bridge = NULL;
        } else {
            if (zcb_cancel_create(&bridge->cancel_receive) ||
                zcb_cancel_create(&bridge->cancel_send))
                zcb_agent_end_process(1);
            bridge->next = bridges;
            bridges = bridge;
            detach(receive_all, bridge);
            detach(send_all, bridge);
        }
    }
    pthread_mutex_unlock(&lock);
    return bridge;
}

/* The value of "$name", so many bytes, or "chunks" and so many. Under the lock. */
static void evaluate(struct post *post)
{
    static const char chunks[] = "chunks ";
    if (strncmp(post->text, chunks, sizeof(chunks) - 1) == 0) {
        post->kind = ZCB_KIND_BYTES;
        post->count = (size_t)atoll(post->text + sizeof(chunks) - 1);
        return;
    }
    const struct variable *variable = variable_of(post->text);
    size_t count = variable ? variable->count : (size_t)atoll(post->text);
    post->kind = ZCB_KIND_BYTES;
    if (!variable && post->text[0] == '$') {
        post->kind = ZCB_KIND_ERROR;
        post->bytes = (unsigned char *)strdup("no such variable");
        post->count = strlen("no such variable");
        return;
    }
    post->bytes = malloc(count + 1);
    post->count = count;
    if (variable)
        memcpy(post->bytes, variable->bytes, count);
    else
        fill(post->bytes, count, count);
}

/* It ends without having taken or sent anything. */
static void stop_post(struct post *post)
{
    zcb_completion completion = completion_of(ZCB_STATUS_STOPPED);
    completion.refused = post->op == ZCB_OP_RECEIVE;
    complete_with(post->id, completion, ZCB_PART_OUT, NULL, 0, false);
    free_post(post);
}

static void transfer(const zcb_command *command, const char *text)
{
    struct bridge *bridge = bridge_of(command->channel);
    bool readonly = strcmp(text, "$readonly") == 0;
    if (!bridge || readonly) {
        pthread_mutex_lock(&lock);
        if (bridge)
            bridge->last_receive = command->id;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        report_failure(command->id, true, readonly ? "it is read-only" : "the bridge was closed");
        return;
    }
    struct post *post = calloc(1, sizeof(*post));
    post->op = (zcb_op)command->op;
    post->id = command->id;
    post->takes_queued = (command->flags & ZCB_COMMAND_TAKE_QUEUED) != 0;
    post->text = strdup(text);
    pthread_mutex_lock(&lock);
    bool told = is_told_to_stop(post->id);
    if (told) {
        bridge->last_receive = post->id;
    } else if (post->op == ZCB_OP_SEND) {
        evaluate(post);
        append(&bridge->sends, post);
    } else {
        append(&bridge->receives, post);
        bridge->last_receive = post->id;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (told)
        stop_post(post);
}

/* True when the transfer was stopped, or will be. Under the lock. */
static bool stop_transfer(uint64_t id)
{
    for (struct bridge *bridge = bridges; bridge; bridge = bridge->next) {
        struct post *post = take_post(&bridge->receives, id);
        if (!post)
            post = take_post(&bridge->sends, id);
        if (post) {
            stop_post(post);
            zcb_cancel_set(bridge->cancel_receive);
            return true;
        }
        if (bridge->sending == id) {
            zcb_cancel_set(bridge->cancel_send);
            return true;
        }
    }
    return false;
}

static void close_bridge(uint32_t number)
{
    pthread_mutex_lock(&lock);
    struct bridge **link = &bridges;
    while (*link && (*link)->number != number)
        link = &(*link)->next;
    struct bridge *bridge = *link;
    if (bridge) {
        *link = bridge->next;
        bridge->closed = true;
        zcb_channel_close(bridge->channel);
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    zcb_agent_forget_channel(agent, number);
    /* The channel's memory stays: its threads may still be on their way out. */
}

/* ---------------------------------------------------------------- threads */

static void *listen_to_program(void *arg)
{
    (void)arg;
    for (;;) {
        zcb_urgent request;
        uint64_t id;
        zcb_error error = zcb_agent_listen(agent, &request, &id, NULL);
        if (error && error != ZCB_ERR_CLOSED)
            zcb_agent_end_process(1);
        pthread_mutex_lock(&lock);
        if (error) {
            ending = true;
            pthread_cond_broadcast(&changed);
        } else if (request == ZCB_URGENT_STOP && !stop_transfer(id)) {
            tell_to_stop(id);
        }
        pthread_mutex_unlock(&lock);
        if (error)
            return NULL;
        if (request == ZCB_URGENT_CLOSE_CHANNEL)
            close_bridge((uint32_t)id);
    }
}

static void serve(const zcb_command *command)
{
    char word[16] = "", *text = malloc(command->parts->bytes + 1);
    memcpy(text, command->parts->data, command->parts->bytes);
    text[command->parts->bytes] = 0;
    if (command->op == ZCB_OP_RUN && stopped(command->id)) {
        complete(command->id, ZCB_STATUS_STOPPED, NULL, 0);
    } else if (command->op == ZCB_OP_RUN) {
        size_t bytes = strcspn(text, " ");
        snprintf(word, sizeof(word), "%.*s", (int)(bytes < 15 ? bytes : 15), text);
        run(command, word, text[bytes] ? text + bytes + 1 : "");
    } else {
        transfer(command, text);
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
    if (zcb_agent_open(how && strcmp(how, "old") == 0 ? "7.3.9" : "7.5.0", &agent, &why)) {
        fprintf(stderr, "%s\n", why.text);
        return 2;
    }
    detach(listen_to_program, NULL);
    zcb_command command;
    zcb_error error;
    while ((error = zcb_agent_next(agent, &command, NULL)) == ZCB_OK || error == ZCB_ERR_ABORTED)
        if (!error)
            serve(&command);
    if (error != ZCB_ERR_CLOSED)
        zcb_agent_end_process(1);
    _exit(0);
}
