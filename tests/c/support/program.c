#include "program.h"
#include "channel/block.h"

void *runtime_allocate(void *arg, uint64_t bytes, void **data, zcb_detail *why)
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

void runtime_release(void *arg, void *owner)
{
    struct runtime *runtime = arg;
    atomic_fetch_sub(&runtime->owned, 1);
    free(owner);
}

void runtime_reclaim(void *arg, bool wait)
{
    struct runtime *runtime = arg;
    (void)wait;
    atomic_fetch_add(&runtime->reclaimed, 1);
}

zcb_runtime runtime_of(struct program *program)
{
    return (zcb_runtime){&program->runtime, runtime_allocate, runtime_release, runtime_reclaim};
}

int set_up_program(void **state)
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

int tear_down_program(void **state)
{
    struct program *program = *state;
    zcb_agent_free(program->agent);
    zcb_channel_free(program->commands);
    zcb_channel_free(program->urgent);
    zcbi_plat_close(program->link);
    assert_int_equal(program->runtime.owned, 0);
    return 0;
}

plat_handle inherit_link(void)
{
    plat_handle ours, theirs;
    assert_ok(zcbi_plat_link_pair(&ours, &theirs));
    leave_link(theirs);
    return ours;
}

zcb_error send_record(plat_handle link, struct link_record record, const plat_handle *handles,
                      unsigned count)
{
    record.magic = LINK_MAGIC;
    record.version = PROTOCOL_VERSION;
    return zcbi_plat_link_send(link, &record, sizeof(record), handles, count);
}

zcb_channel *open_channel(void)
{
    zcb_channel_options options = {.frame_bytes = MIB, .window_bytes = MIB};
    zcb_channel *channel;
    assert_ok(zcbi_channel_open(&options, PLAT_NO_HANDLE, &channel));
    return channel;
}

void send_labelled(plat_handle link, uint32_t number, zcb_channel *channel, unsigned handles_sent,
                   const char *label)
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

void send_channel(plat_handle link, uint32_t number, zcb_channel *channel, unsigned handles_sent)
{
    send_labelled(link, number, channel, handles_sent, "");
}

void send_command(struct program *program, zcb_message message, const void *payload)
{
    zcb_wait wait = patience();
    assert_ok(zcb_send(program->commands, &message, payload, &wait));
}

void send_text_command(struct program *program, uint64_t id, struct command_wire head,
                       const char *text)
{
    unsigned char payload[256];
    size_t bytes = write_command(payload, head, text, strlen(text));
    send_command(program, (zcb_message){.kind = ZCB_KIND_CONTROL, .id = id, .bytes = bytes},
                 payload);
}

void *next_command_here(void *arg)
{
    struct program *program = arg;
    static zcb_error error;
    zcb_work work;
    zcb_wait wait = patience();
    error = zcb_agent_next(program->agent, &work, &wait);
    return &error;
}
