/* The engine's side of a session: its connection and its process. */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WELCOME_WAIT_MS 10000

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
    *step = "a cancel handle";
    zcb_error error = zcb_cancel_create(&agent->wake);
    if (error)
        return error;
    *step = "the inherited connection";
    error = zcbi_plat_link_inherited(&agent->link);
    if (error)
        return error;
    *step = "the program's process";
    error = zcbi_plat_link_peer_open(agent->link, &agent->program);
    if (error)
        return error;
    *step = "the program's welcome";
    error = take_welcome(agent);
    if (error)
        return error;
    *step = "the hello";
    return say_hello(agent, version);
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
    zcbi_rx_before_sleep(made->commands, flush_before_sleep, made);
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
