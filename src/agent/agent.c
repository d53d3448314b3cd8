/* The engine's side of a session: its connection, its replies, its process. */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WELCOME_WAIT_MS 10000

/* ---------------------------------------------------------------- records on the link */

void zcbi_agent_close_handles(struct record *record)
{
    for (unsigned i = 0; i < record->count; i++)
        zcbi_plat_close(record->handles[i]);
    record->count = 0;
}

zcb_error zcbi_agent_receive_record(zcb_agent *agent, struct record *record)
{
    size_t bytes = 0;
    record->count = 0;
    zcb_error error =
        zcbi_plat_link_receive(agent->link, &record->link, sizeof(record->link), &bytes,
                               record->handles, 1 + BELLS, &record->count, NULL);
    if (error)
        return error;
    if (bytes == sizeof(record->link) && record->link.magic == LINK_MAGIC) {
        if (record->link.version == PROTOCOL_VERSION)
            return ZCB_OK;
        error = ZCB_ERR_VERSION;
    } else {
        error = ZCB_ERR_PROTOCOL;
    }
    zcbi_agent_close_handles(record);
    return error;
}

zcb_error zcbi_agent_join(zcb_agent *agent, struct record *record, zcb_channel **channel)
{
    if (record->link.type != LINK_CHANNEL || record->count != 1 + BELLS) {
        zcbi_agent_close_handles(record);
        return ZCB_ERR_PROTOCOL;
    }
    return zcbi_channel_join(record->handles[0], &record->handles[1], record->link.frame_bytes,
                             record->link.window_bytes, agent->program, channel);
}

/* ---------------------------------------------------------------- open */

static zcb_error wait_for_record(zcb_agent *agent, struct record *record)
{
    unsigned ready;
    int64_t deadline = zcb_deadline_ns(WELCOME_WAIT_MS);
    for (;;) {
        zcb_error error = zcbi_agent_receive_record(agent, record);
        if (error != ZCB_ERR_TIMEOUT)
            return error;
        const plat_handle handles[] = {agent->link, agent->program};
        error = zcbi_plat_wait(handles, 2, deadline, &ready);
        if (error && error != ZCB_ERR_INTERRUPTED)
            return error;
        if (!error && ready == 1)
            return ZCB_ERR_PEER_GONE;
    }
}

static zcb_error take_welcome(zcb_agent *agent)
{
    struct record record;
    zcb_error error = wait_for_record(agent, &record);
    if (error)
        return error;
    zcbi_agent_close_handles(&record);
    if (record.link.type != LINK_WELCOME)
        return ZCB_ERR_PROTOCOL;
    agent->width = record.link.number;
    zcb_channel **own[] = {&agent->commands, &agent->urgent};
    for (uint32_t i = 0; i < 2 && !error; i++) {
        error = wait_for_record(agent, &record);
        if (!error)
            error = zcbi_agent_join(agent, &record, own[i]);
        if (!error && record.link.number != i)
            error = ZCB_ERR_PROTOCOL;
    }
    return error;
}

static zcb_error say_hello(zcb_agent *agent, const char *version)
{
    struct link_record hello = {.magic = LINK_MAGIC,
                                .version = PROTOCOL_VERSION,
                                .type = LINK_HELLO,
                                .pid = zcbi_plat_getpid()};
    snprintf(hello.engine_version, sizeof(hello.engine_version), "%s", version);
    zcb_error error = zcbi_plat_link_send(agent->link, &hello, sizeof(hello), NULL, 0);
    /* Nothing was waited for: the system has no room even for the first record. */
    return error == ZCB_ERR_TIMEOUT ? ZCB_ERR_SYSTEM : error;
}

static zcb_error connect_program(zcb_agent *agent, const char *version, const char **step)
{
    int64_t pid = 0;
    *step = "the inherited connection";
    zcb_error error = zcbi_plat_link_inherited(&agent->link);
    if (!error)
        error = zcbi_plat_link_peer_pid(agent->link, &pid);
    *step = "the program's process";
    if (!error)
        error = zcbi_plat_process_open(pid, &agent->program);
    *step = "the program's welcome";
    if (!error)
        error = take_welcome(agent);
    *step = "a cancel handle";
    if (!error)
        error = zcb_cancel_create(&agent->wake);
    *step = "the hello";
    if (!error)
        error = say_hello(agent, version);
    return error;
}

void zcb_agent_flush(zcb_agent *agent)
{
    const struct stream_control *control = agent->commands->tx.control;
    if (agent->unrung && atomic_load(&control->tail) != atomic_load(&control->head))
        zcbi_tx_ring(&agent->commands->tx);
    agent->unrung = false;
}

static void flush_before_sleep(void *agent)
{
    zcb_agent_flush(agent);
}

static zcb_agent *create(const zcb_runtime *runtime)
{
    zcb_agent *made = calloc(1, sizeof(*made));
    if (!made)
        return NULL;
    made->link = made->program = PLAT_NO_HANDLE;
    made->runtime = *runtime;
    zcbi_plat_mutex_init(&made->lock);
    return made;
}

zcb_error zcb_agent_open(const char *version, const zcb_runtime *runtime, zcb_agent **agent,
                         zcb_detail *why)
{
    if (!version || !agent || !runtime || !runtime->allocate || !runtime->release ||
        !runtime->reclaim)
        return ZCB_ERR_INVALID;
    zcb_agent *made = create(runtime);
    if (!made) {
        zcbi_error_detail(why, "%s", zcb_error_text(ZCB_ERR_NO_MEMORY));
        return ZCB_ERR_NO_MEMORY;
    }
    const char *step = "";
    zcb_error error = connect_program(made, version, &step);
    if (error) {
        if (why)
            snprintf(why->text, sizeof(why->text), "%s: %s", step, zcb_error_text(error));
        zcb_agent_free(made);
        return error;
    }
    made->commands->rx.spin.before_sleep = flush_before_sleep;
    made->commands->rx.spin.arg = made;
    *agent = made;
    return ZCB_OK;
}

void zcb_agent_free(zcb_agent *agent)
{
    if (!agent)
        return;
    zcb_channel_close(agent->commands); /* what is completed from here on waits for nobody */
    zcb_channel_close(agent->urgent);
    zcbi_bridge_ends_close(agent);
    zcbi_transfer_threads_join(agent, true);
    zcbi_work_destroy(agent);
    zcb_channel_free(agent->commands);
    zcb_channel_free(agent->urgent);
    zcbi_plat_close(agent->link);
    zcbi_plat_close(agent->program);
    zcb_cancel_free(agent->wake);
    zcbi_plat_mutex_destroy(&agent->lock);
    free(agent);
}

uint32_t zcb_agent_width(const zcb_agent *agent)
{
    return agent->width;
}

/* ---------------------------------------------------------------- replies */

static zcb_error send_reply(zcb_agent *agent, uint64_t id, uint32_t what, struct reply_wire *wire,
                            const zcb_text *fields, bool soon)
{
    zcb_text parts[1 + 2 * ZCB_FIELDS] = {{(const char *)wire, sizeof(*wire)}};
    zcb_message message = {
        .kind = ZCB_KIND_CONTROL, .flags = what, .id = id, .bytes = sizeof(*wire)};
    for (int i = 0; i < ZCB_FIELDS; i++) {
        bool given = fields[i].text && fields[i].bytes > 0;
        wire->field_bytes[i] = given ? fields[i].bytes : 0;
        parts[1 + 2 * i] = (zcb_text){fields[i].text, given ? fields[i].bytes : 0};
        parts[2 + 2 * i] = (zcb_text){"", 1};
        message.bytes += wire->field_bytes[i] + 1;
    }
    zcb_error error = zcbi_turn_take(&agent->commands->tx.turn, NULL);
    if (error)
        return error;
    agent->commands->tx.lazy = soon;
    error = zcbi_tx_send(agent->commands, &message, parts, 1 + 2 * ZCB_FIELDS, NULL);
    zcbi_turn_give(&agent->commands->tx.turn);
    return error;
}

zcb_error zcb_agent_output(zcb_agent *agent, uint64_t id, const zcb_text *fields)
{
    struct reply_wire wire = {0};
    if (!agent || !fields)
        return ZCB_ERR_INVALID;
    zcb_error error = send_reply(agent, id, REPLY_OUTPUT, &wire, fields, false);
    if (error)
        atomic_store(&agent->starved, id);
    return error;
}

/* Rather a completion without its texts, and rather no session, than a program that waits for ever. */
static zcb_error complete_without_texts(zcb_agent *agent, uint64_t id, struct reply_wire *wire,
                                        bool soon)
{
    static const char lost[] = "the engine has no memory for what the command wrote";
    zcb_text fields[ZCB_FIELDS] = {0};
    fields[ZCB_FIELD_ERR] = (zcb_text){lost, sizeof(lost) - 1};
    wire->success = 0;
    zcb_error error = send_reply(agent, id, REPLY_COMPLETION, wire, fields, soon);
    if (zcbi_error_is_shortage(error))
        zcb_channel_close(agent->commands);
    return error;
}

zcb_error zcb_agent_complete(zcb_agent *agent, const zcb_result *result, bool soon)
{
    if (!agent || !result)
        return ZCB_ERR_INVALID;
    struct reply_wire wire = {.status = result->status,
                              .success = result->success,
                              .refused = result->refused,
                              .exit_code = result->exit_code,
                              .execution_ns = result->execution_ns};
    if (soon)
        agent->unrung = true;
    zcb_error error = ZCB_ERR_NO_MEMORY;
    if (atomic_load(&agent->starved) != result->id)
        error = send_reply(agent, result->id, REPLY_COMPLETION, &wire, result->field, soon);
    return zcbi_error_is_shortage(error) ? complete_without_texts(agent, result->id, &wire, soon)
                                         : error;
}

zcb_text zcbi_text(const char *text)
{
    return (zcb_text){text, strlen(text)};
}

void zcbi_runtime_release(zcb_agent *agent, void *owner)
{
    if (owner)
        agent->runtime.release(agent->runtime.arg, owner);
}

void zcbi_transfer_end(zcb_agent *agent, struct ending ending)
{
    bool success = !ending.stopped && ending.reason.bytes == 0;
    zcb_result result = {.id = ending.id,
                         .status = ending.stopped ? ZCB_STATUS_STOPPED : ZCB_STATUS_DONE,
                         .success = success,
                         .refused = ending.refused,
                         .exit_code = success ? 0 : 1};
    if (ending.start_ns)
        result.execution_ns = zcbi_plat_now_ns() - ending.start_ns;
    if (!ending.stopped)
        result.field[ZCB_FIELD_ERR] = ending.reason;
    (void)zcb_agent_complete(agent, &result, ending.soon); /* fails with the session alone */
}

/* ---------------------------------------------------------------- the process */

zcb_error zcb_agent_console(zcb_agent *agent, int stream, void *buffer, size_t capacity,
                            size_t *bytes)
{
    if (!agent || !bytes || (stream != 1 && stream != 2))
        return ZCB_ERR_INVALID;
    struct console *console = &agent->console[stream - 1];
    plat_handle file = zcbi_plat_standard(stream);
    zcb_error error = zcbi_plat_file_read(file, console->offset, buffer, capacity, bytes);
    if (!error && *bytes > 0) {
        console->offset += *bytes;
        zcbi_plat_file_forget(file, console->offset);
    }
    return error;
}

zcb_error zcb_agent_wait_program(zcb_agent *agent, const zcb_wait *wait)
{
    if (!agent)
        return ZCB_ERR_INVALID;
    unsigned which;
    return zcbi_wait_handles(&agent->program, 1, wait, &which);
}

void zcb_agent_end_process(int exit_code)
{
    zcbi_plat_end_this_process(exit_code);
}
