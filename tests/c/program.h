/* The program's side of an agent in this process: its records and messages are made by hand. And a runtime for the agent,
 * whose owners are the memory itself. */
#ifndef ZCB_TEST_PROGRAM_H
#define ZCB_TEST_PROGRAM_H

#include "support.h"

#include "agent/agent.h"

/* What the runtime was asked for. */
struct runtime {
    _Atomic int owned;    /* what was given and is not released, targets included */
    _Atomic bool refuses; /* memory */
    _Atomic int reclaimed;
};

/* The program's side. */
struct program {
    plat_handle link;
    zcb_channel *commands, *urgent;
    zcb_agent *agent;
    struct runtime runtime;
};

static inline void *runtime_allocate(void *arg, uint64_t bytes, void **data, zcb_detail *why)
{
    struct runtime *runtime = arg;
    void *memory = atomic_load(&runtime->refuses) ? NULL : malloc((size_t)bytes + 1);
    if (!memory)
        snprintf(why->text, sizeof(why->text), "no memory for %d", (int)bytes);
    else
        atomic_fetch_add(&runtime->owned, 1);
    *data = memory;
    return memory;
}

static inline void runtime_release(void *arg, void *owner)
{
    struct runtime *runtime = arg;
    atomic_fetch_sub(&runtime->owned, 1);
    free(owner);
}

static inline void runtime_reclaim(void *arg, bool wait)
{
    struct runtime *runtime = arg;
    (void)wait;
    atomic_fetch_add(&runtime->reclaimed, 1);
}

static inline zcb_runtime runtime_of(struct program *program)
{
    return (zcb_runtime){&program->runtime, runtime_allocate, runtime_release, runtime_reclaim};
}

static inline zcb_error send_record(plat_handle link, struct link_record record,
                                    const plat_handle *handles, unsigned count)
{
    record.magic = LINK_MAGIC;
    record.version = PROTOCOL_VERSION;
    return zcbi_plat_link_send(link, &record, sizeof(record), handles, count);
}

static inline void send_labelled(plat_handle link, uint32_t number, zcb_channel *channel,
                                 unsigned handles_sent, const char *label)
{
    struct region *region = channel->region;
    struct link_record record = {.type = LINK_CHANNEL,
                                 .number = number,
                                 .frame_bytes = region->geometry.frame_bytes,
                                 .window_bytes = region->geometry.window_bytes};
    plat_handle handles[1 + BELLS] = {region->memory.handle};
    memcpy(&handles[1], region->bells, sizeof(region->bells));
    memcpy(record.label, label, strlen(label));
    assert_ok(send_record(link, record, handles, handles_sent));
}

static inline void send_channel(plat_handle link, uint32_t number, zcb_channel *channel,
                                unsigned handles_sent)
{
    send_labelled(link, number, channel, handles_sent, "");
}

static inline zcb_channel *open_channel(void)
{
    zcb_channel_options options = {.frame_bytes = MIB, .window_bytes = MIB};
    zcb_channel *channel;
    assert_ok(zcbi_channel_open(&options, PLAT_NO_HANDLE, &channel));
    return channel;
}

/* A link whose other end this process inherits, as it were. */
static inline plat_handle inherit_link(void)
{
    plat_handle ours, theirs;
    assert_ok(zcbi_plat_link_pair(&ours, &theirs));
    leave_link(theirs);
    return ours;
}

static inline int set_up(void **state)
{
    static struct program program;
    zcb_detail why;
    program = (struct program){0};
    zcb_runtime runtime = runtime_of(&program);
    program.link = inherit_link();
    program.commands = open_channel();
    program.urgent = open_channel();
    assert_ok(send_record(program.link, (struct link_record){.type = LINK_WELCOME, .number = 99},
                          NULL, 0));
    send_channel(program.link, CHANNEL_COMMANDS, program.commands, 1 + BELLS);
    send_channel(program.link, CHANNEL_URGENT, program.urgent, 1 + BELLS);
    if (zcb_agent_open("7.5.0", &runtime, &program.agent, &why))
        fail_msg("%s", why.text);
    *state = &program;
    return 0;
}

static inline int tear_down(void **state)
{
    struct program *program = *state;
    zcb_agent_free(program->agent);
    zcb_channel_free(program->commands);
    zcb_channel_free(program->urgent);
    zcbi_plat_close(program->link);
    assert_int_equal(program->runtime.owned, 0);
    return 0;
}

#endif
