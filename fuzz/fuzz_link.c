/* The handshake: records on the link that a hostile program sends an agent, or a hostile engine a program that
 * starts it. Sizes, versions, numbers and kinds of handles, and memory are the fuzzer's. No process is started. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"
#include "channel/block.h"
#include "input.h"
#include "runtime.h"
#include "session/start.c" /* making a session and undoing a start are static there */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS 8u
#define BRIDGES 4u
#define FRAME_BYTES ZCB_MIN_FRAME_BYTES
#define WINDOW_BYTES ZCB_MIN_WINDOW_BYTES

static const zcb_wait at_once = {0};

static void require_documented(zcb_error error)
{
    require(error >= ZCB_OK && error <= ZCB_ERR_WATCHED);
    require(error != ZCB_ERR_FORKED && error != ZCB_ERR_INTERRUPTED);
}

/* ---------------------------------------------------------------- records */

static uint64_t spoilt(struct input *input, uint64_t value)
{
    const uint64_t values[] = {0,
                               1,
                               UINT32_MAX,
                               UINT64_MAX,
                               ZCB_MAX_FRAME_BYTES,
                               ZCB_MAX_WINDOW_BYTES,
                               COMMIT_BYTES,
                               value - 1,
                               value + 1};
    uint32_t which = input_pick(input, 128);
    if (which < sizeof(values) / sizeof(*values))
        return values[which];
    return which == 127 ? input_take(input, 8) : value;
}

/* Memory that is nearly what a channel needs. */
static plat_handle some_memory(struct input *input, const zcb_channel *channel)
{
    unsigned how = input_pick(input, 16);
    int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    off_t bytes = (off_t)spoilt(input, channel->region->geometry.region_bytes);
    if (bytes >= 0 && ftruncate(fd, bytes) != 0)
        return fd;
    (void)fcntl(fd, F_ADD_SEALS, how);
    return fd;
}

/* An end of the handles' kinds that a process may send. */
static plat_handle some_handle(struct input *input, const zcb_channel *channel, unsigned place)
{
    int pipes[2];
    plat_handle event;
    switch (input_pick(input, 24)) {
    case 0:
        return some_memory(input, channel);
    case 1:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case 2:
        if (pipe2(pipes, O_CLOEXEC) != 0)
            abort();
        close(pipes[0]);
        return pipes[1];
    case 3:
        return zcbi_plat_event_create(&event) ? PLAT_NO_HANDLE : event;
    case 4:
        return open("/dev/zero", O_RDONLY | O_CLOEXEC);
    case 5:
        place = input_pick(input, 1 + BELLS);
        break;
    default:
        break;
    }
    plat_handle original =
        place == 0 ? channel->region->memory.handle : channel->region->bells[(place - 1) % BELLS];
    return fcntl((int)original, F_DUPFD_CLOEXEC, 0);
}

static void spoil_header(struct input *input, const zcb_channel *channel)
{
    struct region_header *header = (struct region_header *)(void *)channel->region->memory.base;
    header->magic = spoilt(input, LAYOUT_MAGIC);
    header->version = (uint32_t)spoilt(input, LAYOUT_VERSION);
    header->header_bytes = (uint32_t)spoilt(input, sizeof(*header));
    header->frame_bytes = spoilt(input, channel->region->geometry.frame_bytes);
    header->window_bytes = spoilt(input, channel->region->geometry.window_bytes);
}

static void send_spoilt(struct input *input, plat_handle link, struct link_record record,
                        const zcb_channel *channel, unsigned count)
{
    unsigned char bytes[PLAT_LINK_BYTES] = {0};
    plat_handle handles[PLAT_LINK_HANDLES];
    record.magic = (uint32_t)spoilt(input, LINK_MAGIC);
    record.version = (uint32_t)spoilt(input, PROTOCOL_VERSION);
    record.type = (uint32_t)spoilt(input, record.type);
    record.number = (uint32_t)spoilt(input, record.number);
    record.frame_bytes = spoilt(input, record.frame_bytes);
    record.window_bytes = spoilt(input, record.window_bytes);
    record.pid = (int64_t)spoilt(input, (uint64_t)record.pid);
    memset(record.label, (int)spoilt(input, 'x'), sizeof(record.label));
    memcpy(bytes, &record, sizeof(record));
    uint64_t length = spoilt(input, sizeof(record));
    count = (unsigned)spoilt(input, count) % (PLAT_LINK_HANDLES + 1);
    for (unsigned i = 0; i < count; i++)
        handles[i] = some_handle(input, channel, i);
    (void)zcbi_plat_link_send(link, bytes, length <= sizeof(bytes) ? (size_t)length : sizeof(bytes),
                              handles, count);
    for (unsigned i = 0; i < count; i++)
        zcbi_plat_close(handles[i]);
}

/* ---------------------------------------------------------------- the agent's side */

static void send_handshake(struct input *input, plat_handle link, const zcb_channel *channel)
{
    struct link_record record = {.type = LINK_CHANNEL,
                                 .frame_bytes = channel->region->geometry.frame_bytes,
                                 .window_bytes = channel->region->geometry.window_bytes};
    send_spoilt(input, link, (struct link_record){.type = LINK_WELCOME, .number = 120}, channel, 0);
    for (record.number = 0; record.number < RECORDS && input->left > 0; record.number++)
        send_spoilt(input, link, record, channel, 1 + BELLS);
}

static void use_agent(struct input *input, zcb_agent *agent)
{
    struct bridge_end *end;
    zcb_error error = zcbi_bridge_end_find(agent, "x", &end);
    require_documented(error);
    if (!error)
        zcbi_bridge_end_release(end);
    for (uint32_t i = 0; i < BRIDGES; i++) {
        zcb_message message = {.kind = ZCB_KIND_BYTES};
        error = zcbi_bridge_end_get(agent, CHANNEL_BRIDGES + i, &end);
        require_documented(error);
        if (error)
            continue;
        require_documented(zcb_send(end->channel, &message, NULL, &at_once));
        if (input_bit(input))
            zcbi_bridge_end_close(agent, CHANNEL_BRIDGES + i);
        zcbi_bridge_end_release(end);
    }
}

static void agent_meets_program(struct input *input, const zcb_channel *channel)
{
    plat_handle ours, inherited;
    char number[16];
    zcb_agent *agent;
    zcb_detail why;
    if (zcbi_plat_link_pair(&ours, &inherited))
        abort();
    snprintf(number, sizeof(number), "%d", (int)inherited);
    setenv(ZCB_LINK_VARIABLE, number, 1);
    send_handshake(input, ours, channel);
    shutdown((int)ours, SHUT_WR); /* or the agent waits for what does not come */
    zcb_error error = zcb_agent_open("7.5.0", &runtime, &agent, &why);
    require_documented(error);
    if (!error) {
        use_agent(input, agent);
        zcb_agent_free(agent);
    }
    zcbi_plat_close(ours);
}

/* ---------------------------------------------------------------- the program's side */

static void send_answer(struct input *input, plat_handle link, const zcb_channel *channel)
{
    struct link_record hello = {.type = LINK_HELLO, .pid = zcbi_plat_getpid()};
    for (size_t i = 0; i < sizeof(hello.engine_version); i++)
        hello.engine_version[i] =
            (char)(i < 3 ? spoilt(input, (uint64_t) "7.5"[i]) : spoilt(input, 0));
    send_spoilt(input, link, hello, channel, 0);
}

static void program_meets_engine(struct input *input, const zcb_channel *channel)
{
    const zcb_session_options options = {.grace_ms = 1};
    zcb_detail why = {.text = ""};
    struct starting start = {.options = &options,
                             .wait = &at_once,
                             .why = &why,
                             .engine = "nowhere",
                             .engine_link = PLAT_NO_HANDLE,
                             .out = PLAT_NO_HANDLE,
                             .err = PLAT_NO_HANDLE};
    if (session_allocate(&options, start.engine, &start.session) || zcbi_start_prepare(&start) ||
        zcbi_plat_event_create(&start.session->child.process))
        abort();
    zcbi_plat_event_set(start.session->child.process); /* it ends right after its answer */
    send_answer(input, start.engine_link, channel);
    zcbi_plat_close(start.engine_link);
    require_documented(zcbi_start_await_hello(&start));
    zcbi_plat_close(start.out);
    zcbi_plat_close(start.err);
    require(memchr(start.session->version, 0, sizeof(start.session->version)) != NULL);
    start.session->reaped = true; /* it has no process that could be killed */
    undo_start(&start);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    signal(SIGPIPE, SIG_IGN); /* as .NET and Python do */
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const zcb_channel_options options = {.frame_bytes = FRAME_BYTES, .window_bytes = WINDOW_BYTES};
    struct input input = {data, size};
    zcb_channel *channel;
    if (zcbi_channel_open(&options, PLAT_NO_HANDLE, &channel))
        abort();
    spoil_header(&input, channel);
    if (input_bit(&input))
        agent_meets_program(&input, channel);
    else
        program_meets_engine(&input, channel);
    zcb_channel_free(channel);
    return 0;
}
