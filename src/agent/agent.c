/* The engine's side of a session. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/channel.h"
#include "platform/error.h"
#include "protocol/link.h"
#include "protocol/message.h"
#include "protocol/urgent.h"

#define WELCOME_WAIT_MS 10000
#define MOST_REPLY_PARTS (ZCB_STREAMS + 1) /* of a completion, with itself */

/* A bridge's channel as the engine knows it. */
struct joined {
    struct joined *next;
    uint32_t number;
    char label[ZCB_MAX_LABEL_BYTES + 1];
    zcb_error error; /* of joining; zcb_agent_channel returns it */
    zcb_channel *channel;
};

struct console {
    uint64_t offset; /* read so far */
};

struct zcb_agent {
    plat_handle link;
    plat_handle program; /* the other process */
    uint32_t width;
    zcb_channel *commands;
    zcb_channel *urgent;
    bool unrung;              /* a lazy completion was sent since the last flush */
    _Atomic uint64_t starved; /* id of a command whose text was lost in part, or 0 */
    unsigned char *text;      /* the parts of the current command */
    size_t text_capacity;
    zcb_part part;
    struct console console[2];
    plat_mutex lock; /* of the joined channels */
    struct joined *joined;
};

/* ---------------------------------------------------------------- channels of bridges */

/* Under the lock: joins the channels that wait on the link. One that the program has closed since
 * is not kept: its close request may have come before it, while this process had no descriptors for
 * it. */
static zcb_error accept_channels(zcb_agent *agent)
{
    for (;;) {
        struct link_message message;
        zcb_error error = zcbi_link_receive(agent->link, &message, NULL);
        if (error)
            return error == ZCB_ERR_TIMEOUT ? ZCB_OK : error;
        struct joined *joined = calloc(1, sizeof(*joined));
        if (!joined) {
            zcbi_link_refuse(&message);
            return ZCB_ERR_NO_MEMORY;
        }
        joined->number = message.record.number;
        memcpy(joined->label, message.record.label, sizeof(joined->label));
        joined->error = zcbi_link_join(&message, agent->program, &joined->channel);
        if (joined->channel && zcbi_rx_is_ending(joined->channel)) {
            zcb_channel_free(joined->channel);
            free(joined);
            continue;
        }
        joined->next = agent->joined;
        agent->joined = joined;
    }
}

static struct joined **find_joined(zcb_agent *agent, uint32_t number)
{
    struct joined **link = &agent->joined;
    while (*link && (*link)->number != number)
        link = &(*link)->next;
    return link;
}

zcb_error zcb_agent_channel(zcb_agent *agent, uint32_t number, zcb_channel **channel)
{
    if (!agent || !channel)
        return ZCB_ERR_INVALID;
    zcb_error error = ZCB_OK;
    zcbi_plat_mutex_lock(&agent->lock);
    const struct joined *joined = *find_joined(agent, number);
    if (!joined) {
        error = accept_channels(agent);
        joined = *find_joined(agent, number);
    }
    if (joined) {
        error = joined->error;
        if (!error) {
            zcbi_channel_add_user(joined->channel);
            *channel = joined->channel;
        }
    } else if (!error) {
        error = ZCB_ERR_NOT_FOUND;
    }
    zcbi_plat_mutex_unlock(&agent->lock);
    return error;
}

/* A closed channel can be seen before the program's request to close it arrives. */
static bool is_open_with(const struct joined *joined, const char *label)
{
    return *label && strcmp(joined->label, label) == 0 &&
           !(joined->channel && zcbi_rx_is_ending(joined->channel));
}

zcb_error zcb_agent_find_channel(zcb_agent *agent, const char *label, uint32_t *number)
{
    if (!agent || !label || !number)
        return ZCB_ERR_INVALID;
    zcbi_plat_mutex_lock(&agent->lock);
    zcb_error error = accept_channels(agent);
    const struct joined *joined = agent->joined;
    while (joined && !is_open_with(joined, label))
        joined = joined->next;
    if (joined)
        *number = joined->number;
    else if (!error)
        error = ZCB_ERR_NOT_FOUND;
    zcbi_plat_mutex_unlock(&agent->lock);
    return joined ? ZCB_OK : error;
}

zcb_channel *zcb_agent_commands(zcb_agent *agent)
{
    return agent->commands;
}

void zcb_agent_forget_channel(zcb_agent *agent, uint32_t number)
{
    zcbi_plat_mutex_lock(&agent->lock);
    (void)accept_channels(agent);
    struct joined **link = find_joined(agent, number);
    struct joined *joined = *link;
    if (joined) {
        *link = joined->next;
        zcb_channel_free(joined->channel);
        free(joined);
    }
    zcbi_plat_mutex_unlock(&agent->lock);
}

/* ---------------------------------------------------------------- open */

static zcb_error wait_for_record(zcb_agent *agent, struct link_message *message)
{
    unsigned ready;
    int64_t deadline = zcb_deadline_ns(WELCOME_WAIT_MS);
    for (;;) {
        zcb_error error = zcbi_link_receive(agent->link, message, NULL);
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
    struct link_message message;
    zcb_error error = wait_for_record(agent, &message);
    if (error)
        return error;
    if (message.record.type != LINK_WELCOME || message.count > 0) {
        zcbi_link_refuse(&message);
        return ZCB_ERR_PROTOCOL;
    }
    agent->width = message.record.number;
    zcb_channel **own[] = {&agent->commands, &agent->urgent};
    for (uint32_t i = 0; i < 2 && !error; i++) {
        error = wait_for_record(agent, &message);
        if (!error)
            error = zcbi_link_join(&message, agent->program, own[i]);
        if (!error && message.record.number != i)
            error = ZCB_ERR_PROTOCOL;
    }
    return error;
}

static zcb_error say_hello(zcb_agent *agent, const char *version)
{
    struct link_record hello = {.type = LINK_HELLO, .pid = zcbi_plat_getpid()};
    snprintf(hello.engine_version, sizeof(hello.engine_version), "%s", version);
    zcb_error error = zcbi_link_send(agent->link, &hello);
    /* The link is new: if it is full, the system has no room even for the first record. */
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
    *step = "the hello";
    if (!error)
        error = say_hello(agent, version);
    return error;
}

void zcb_agent_flush(zcb_agent *agent)
{
    if (agent->unrung)
        zcbi_tx_flush(agent->commands);
    agent->unrung = false;
}

static void flush_before_sleep(void *agent)
{
    zcb_agent_flush(agent);
}

zcb_error zcb_agent_open(const char *version, zcb_agent **agent, zcb_detail *why)
{
    if (!version || !agent)
        return ZCB_ERR_INVALID;
    zcb_agent *made = calloc(1, sizeof(*made));
    if (!made) {
        zcbi_error_detail(why, "%s", zcb_error_text(ZCB_ERR_NO_MEMORY));
        return ZCB_ERR_NO_MEMORY;
    }
    made->link = made->program = PLAT_NO_HANDLE;
    zcbi_plat_mutex_init(&made->lock);
    const char *step;
    zcb_error error = connect_program(made, version, &step);
    if (error) {
        if (why)
            snprintf(why->text, sizeof(why->text), "%s: %s", step, zcb_error_text(error));
        zcb_agent_free(made);
        return error;
    }
    zcbi_rx_before_sleep(made->commands, flush_before_sleep, made);
    *agent = made;
    return ZCB_OK;
}

void zcb_agent_free(zcb_agent *agent)
{
    if (!agent)
        return;
    while (agent->joined) {
        struct joined *joined = agent->joined;
        agent->joined = joined->next;
        zcb_channel_free(joined->channel);
        free(joined);
    }
    zcb_channel_free(agent->commands);
    zcb_channel_free(agent->urgent);
    zcbi_plat_close(agent->link);
    zcbi_plat_close(agent->program);
    zcbi_plat_mutex_destroy(&agent->lock);
    free(agent->text);
    free(agent);
}

uint32_t zcb_agent_width(const zcb_agent *agent)
{
    return agent->width;
}

/* ---------------------------------------------------------------- commands */

static zcb_error reserve_text(zcb_agent *agent, size_t bytes)
{
    if (bytes <= agent->text_capacity)
        return ZCB_OK;
    unsigned char *text = realloc(agent->text, bytes);
    if (!text)
        return ZCB_ERR_NO_MEMORY;
    agent->text = text;
    agent->text_capacity = bytes;
    return ZCB_OK;
}

/* A command has one part, so far. */
static bool take_parts(zcb_agent *agent, size_t bytes)
{
    size_t count = 0, at = 0;
    if (zcbi_parts_count(agent->text, bytes, &count) || count != 1)
        return false;
    agent->part = zcbi_parts_take(agent->text, &at);
    return agent->part.kind == ZCB_PART_TEXT;
}

static zcb_error read_command(zcb_agent *agent, const zcb_message *message, zcb_command *command)
{
    struct command_wire head;
    if (message->kind != ZCB_KIND_CONTROL || message->bytes < sizeof(head) ||
        message->bytes > SIZE_MAX / 2)
        return zcbi_channel_fail(agent->commands);
    size_t bytes = (size_t)message->bytes - sizeof(head);
    zcb_error error = reserve_text(agent, bytes);
    if (!error)
        error = zcb_receive_read(agent->commands, &head, sizeof(head), NULL, NULL);
    if (!error)
        error = zcb_receive_read(agent->commands, agent->text, bytes, NULL, NULL);
    if (!error && !take_parts(agent, bytes))
        error = zcbi_channel_fail(agent->commands);
    if (error)
        return error;
    *command = (zcb_command){.id = message->id,
                             .op = head.op,
                             .flags = head.flags,
                             .channel = head.channel,
                             .depth = head.depth,
                             .parts = &agent->part,
                             .part_count = 1};
    return zcb_receive_end(agent->commands);
}

zcb_error zcb_agent_next(zcb_agent *agent, zcb_command *command, const zcb_wait *wait)
{
    if (!agent || !command)
        return ZCB_ERR_INVALID;
    if (zcbi_rx_is_ending(agent->commands)) /* commands that are still queued do not run */
        return ZCB_ERR_CLOSED;
    zcb_message message;
    zcb_error error = zcb_receive_begin(agent->commands, ZCB_WISH_COPY, &message, wait);
    if (!error) {
        zcb_agent_flush(agent);
        error = read_command(agent, &message, command);
        if (error)
            zcb_receive_drop(agent->commands);
    }
    return error == ZCB_ERR_PEER_CLOSED ? ZCB_ERR_CLOSED : error;
}

/* ---------------------------------------------------------------- replies */

static zcb_error write_parts(zcb_agent *agent, struct parts_writer *writer)
{
    struct span piece;
    zcb_error error = ZCB_OK;
    while (!error && zcbi_parts_next(writer, &piece)) {
        size_t written = 0;
        error = zcbi_tx_write(agent->commands, piece.data, piece.bytes, &written, NULL);
    }
    return error;
}

/* One message of parts. */
static zcb_error send_parts(zcb_agent *agent, uint64_t id, uint32_t reply,
                            struct parts_writer *writer, bool lazy)
{
    zcb_message message = {
        .kind = ZCB_KIND_CONTROL, .flags = reply, .id = id, .bytes = zcbi_parts_bytes(writer)};
    zcb_error error = zcbi_tx_lock(agent->commands, NULL);
    if (error)
        return error;
    error = zcbi_tx_begin(agent->commands, &message, lazy ? SEND_LAZY : 0, NULL);
    if (!error)
        error = write_parts(agent, writer);
    if (error)
        zcbi_tx_abort(agent->commands);
    zcbi_tx_unlock(agent->commands);
    return error;
}

static bool are_streams(const zcb_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (parts[i].kind < ZCB_PART_OUT || parts[i].kind >= ZCB_PART_OUT + ZCB_STREAMS ||
            parts[i].flags != 0 || (parts[i].bytes > 0 && !parts[i].data))
            return false;
    return true;
}

zcb_error zcb_agent_output(zcb_agent *agent, uint64_t id, const zcb_part *parts, size_t count)
{
    if (!agent || count == 0 || !parts || !are_streams(parts, count))
        return ZCB_ERR_INVALID;
    struct parts_writer writer = {.parts = parts, .count = count};
    zcb_error error = send_parts(agent, id, 0, &writer, false);
    if (error)
        atomic_store(&agent->starved, id); /* partner: zcb_agent_complete */
    return error;
}

/* The completion goes behind the parts. */
static zcb_error send_completion(zcb_agent *agent, uint64_t id, const zcb_completion *completion,
                                 const zcb_part *parts, size_t count, bool lazy)
{
    struct completion_wire wire = {.status = completion->status,
                                   .success = completion->success,
                                   .refused = completion->refused,
                                   .exit_code = completion->exit_code,
                                   .execution_ns = completion->execution_ns};
    zcb_part all[MOST_REPLY_PARTS];
    if (count > 0)
        memcpy(all, parts, count * sizeof(*parts));
    all[count] = (zcb_part){.kind = PART_COMPLETION, .data = &wire, .bytes = sizeof(wire)};
    struct parts_writer writer = {.parts = all, .count = count + 1};
    return send_parts(agent, id, REPLY_COMPLETES, &writer, lazy);
}

/* Sends a completion without texts; if that fails too, ends the session. Otherwise the program
 * would wait for ever. */
static zcb_error complete_without_texts(zcb_agent *agent, uint64_t id,
                                        const zcb_completion *completion, bool lazy)
{
    static const char lost[] = "the engine has no memory for what the command wrote";
    const zcb_part part = {.kind = ZCB_PART_ERR, .data = lost, .bytes = sizeof(lost) - 1};
    zcb_completion failed = *completion;
    failed.success = false;
    zcb_error error = send_completion(agent, id, &failed, &part, 1, lazy);
    if (zcbi_error_is_shortage(error))
        zcb_channel_close(agent->commands);
    return error;
}

zcb_error zcb_agent_complete(zcb_agent *agent, uint64_t id, const zcb_completion *completion,
                             const zcb_part *parts, size_t count, bool lazy)
{
    if (!agent || !completion || count >= MOST_REPLY_PARTS || (count > 0 && !parts) ||
        !are_streams(parts, count))
        return ZCB_ERR_INVALID;
    if (lazy)
        agent->unrung = true;
    zcb_error error = ZCB_ERR_NO_MEMORY;
    if (atomic_load(&agent->starved) != id) /* partner: zcb_agent_output */
        error = send_completion(agent, id, completion, parts, count, lazy);
    return zcbi_error_is_shortage(error) ? complete_without_texts(agent, id, completion, lazy)
                                         : error;
}

/* ---------------------------------------------------------------- urgent requests */

zcb_error zcb_agent_listen(zcb_agent *agent, zcb_urgent *request, uint64_t *id,
                           const zcb_wait *wait)
{
    if (!agent || !request || !id)
        return ZCB_ERR_INVALID;
    for (;;) {
        zcb_message message;
        zcb_error error = zcb_receive_begin(agent->urgent, ZCB_WISH_COPY, &message, wait);
        if (error)
            return error == ZCB_ERR_PEER_CLOSED ? ZCB_ERR_CLOSED : error;
        zcb_receive_drop(agent->urgent);
        if (message.flags == URGENT_PING) {
            message =
                (zcb_message){.kind = ZCB_KIND_CONTROL, .flags = URGENT_PONG, .id = message.id};
            error = zcb_send(agent->urgent, &message, NULL, wait);
            if (error)
                return error;
        } else if (message.flags == URGENT_ACCEPT) {
            zcbi_plat_mutex_lock(&agent->lock);
            (void)accept_channels(agent);
            zcbi_plat_mutex_unlock(&agent->lock);
        } else if (message.flags == ZCB_URGENT_STOP || message.flags == ZCB_URGENT_CLOSE_CHANNEL) {
            *request = (zcb_urgent)message.flags;
            *id = message.id;
            return ZCB_OK;
        }
    }
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
