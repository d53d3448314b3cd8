#include "commands.h"

#include "channel/block.h"
#include "fake_engine.h"
#include "protocol/link.h"
#include "protocol/message.h"
#include "protocol/urgent.h"
#include "wire.h"

#define PIECE_BYTES 65536

/* Private: where internals are reached into. */
struct zcb_agent {
    plat_handle link, program;
    uint32_t width;
    zcb_channel *commands;
};

static void answer(uint64_t id, const char *format, long long number)
{
    char text[64];
    int bytes = snprintf(text, sizeof(text), format, number);
    complete(id, ZCB_STATUS_DONE, text, (size_t)bytes);
}

static bool stopped(uint64_t id)
{
    pthread_mutex_lock(&lock);
    bool yes = is_told_to_stop(id) || ending;
    pthread_mutex_unlock(&lock);
    return yes;
}

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

void end_by_force(void)
{
    zcbi_plat_process_kill(zcbi_plat_getpid(), (plat_handle)GetCurrentProcess());
}

void idle(void)
{
    Sleep(INFINITE);
}

#else

void end_by_force(void)
{
    raise(SIGKILL);
}

void idle(void)
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
    else
        report_failure(id, false, "no such command");
    if (strcmp(word, "abort") == 0)
        complete(id, ZCB_STATUS_DONE, "went on", 7);
}

void run_command(const zcb_command *command, const char *text)
{
    char word[16] = "";
    if (stopped(command->id)) {
        complete(command->id, ZCB_STATUS_STOPPED, NULL, 0);
        return;
    }
    size_t bytes = strcspn(text, " ");
    snprintf(word, sizeof(word), "%.*s", (int)(bytes < 15 ? bytes : 15), text);
    run(command, word, text[bytes] ? text + bytes + 1 : "");
}
