/* The started process: an agent that serves, and in the hostile role spoils what it shares while it serves. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "channel/block.h"
#include "peer.h"

#define CHANNELS 6u /* the session's own two, and bridges */
#define TEXT_BYTES 4096
#define PAYLOAD_BYTES (UINT64_C(1) << 20)
#define BRIEFLY_MS 20
/* How calm it is between two misdeeds, in steps: 64 and more, by the seed. Soon the session is over, or it has
 * time to get far. */
#define CALM_STEPS(seed) (UINT64_C(64) << ((seed) % 12))

/* Private: where internals are reached into. */
struct zcb_agent {
    plat_handle link, program;
    uint32_t width;
    zcb_channel *commands, *urgent;
};

struct engine {
    zcb_agent *agent;
    uint64_t seed;
    pthread_mutex_t lock;
    zcb_channel *channels[CHANNELS]; /* kept for good once they are known */
};

static unsigned char payload[PAYLOAD_BYTES];

static zcb_wait briefly(void)
{
    return (zcb_wait){.deadline_ns = zcb_deadline_ns(BRIEFLY_MS)};
}

static zcb_channel *channel_of(struct engine *engine, uint32_t number)
{
    pthread_mutex_lock(&engine->lock);
    zcb_channel *channel = NULL;
    if (number < CHANNELS && !engine->channels[number])
        (void)zcb_agent_channel(engine->agent, number, &engine->channels[number]);
    if (number < CHANNELS)
        channel = engine->channels[number];
    pthread_mutex_unlock(&engine->lock);
    return channel;
}

/* ---------------------------------------------------------------- serving */

static void take_message(zcb_channel *channel, struct input *input)
{
    zcb_wait wait = briefly();
    zcb_message message;
    zcb_lease *lease = NULL;
    zcb_wish wish = input_bit(input) ? ZCB_WISH_COPY : ZCB_WISH_LEASE;
    if (zcb_receive_begin(channel, wish, &message, &wait))
        return;
    size_t bytes = message.bytes < PAYLOAD_BYTES ? (size_t)message.bytes : PAYLOAD_BYTES;
    if (wish == ZCB_WISH_LEASE)
        (void)zcb_receive_lease(channel, &lease, &wait);
    else
        (void)zcb_receive_read(channel, payload, bytes, NULL, &wait);
    if (zcb_receive_end(channel))
        zcb_receive_drop(channel);
    zcb_lease_free(lease);
}

static void send_open_ended(zcb_channel *channel, zcb_message message, struct input *input)
{
    zcb_wait wait = briefly();
    size_t bytes = (size_t)message.bytes, done = 0;
    message.bytes = ZCB_OPEN_ENDED;
    if (zcb_send_begin(channel, &message, &wait))
        return;
    bool goes_on = zcb_send_write(channel, payload, bytes, &done, &wait) == ZCB_OK &&
                   zcb_send_flush(channel) == ZCB_OK && input_bit(input);
    if (!goes_on || zcb_send_end(channel))
        zcb_send_drop(channel);
}

static void send_message(zcb_channel *channel, uint64_t id, struct input *input)
{
    zcb_wait wait = briefly();
    zcb_message message = {
        .kind = ZCB_KIND_BYTES, .id = id, .bytes = input_take(input, 3) % PAYLOAD_BYTES};
    if (input_pick(input, 4) == 0)
        send_open_ended(channel, message, input);
    else
        (void)zcb_send(channel, &message, payload, &wait);
}

static void serve(struct engine *engine, const zcb_command *command, struct input *input)
{
    static const char text[TEXT_BYTES];
    const zcb_part part = {.kind = input_bit(input) ? ZCB_PART_OUT : ZCB_PART_ERR,
                           .data = text,
                           .bytes = (size_t)input_take(input, 2) % TEXT_BYTES};
    const zcb_completion completion = {.status = ZCB_STATUS_DONE, .success = true};
    zcb_channel *channel = command->op == ZCB_OP_RUN ? NULL : channel_of(engine, command->channel);
    if (channel && command->op == ZCB_OP_RECEIVE)
        take_message(channel, input);
    else if (channel)
        send_message(channel, command->id, input);
    if (input_bit(input))
        (void)zcb_agent_output(engine->agent, command->id, &part, 1);
    (void)zcb_agent_complete(engine->agent, command->id, &completion, &part, 1, input_bit(input));
}

static void *listen_to_program(void *arg)
{
    struct engine *engine = arg;
    zcb_urgent request;
    uint64_t id;
    zcb_error error;
    do
        error = zcb_agent_listen(engine->agent, &request, &id, NULL);
    while (!error);
    if (error == ZCB_ERR_PEER_GONE)
        zcb_agent_end_process(0);
    return NULL;
}

/* ---------------------------------------------------------------- misbehaving */

static void flood_link(struct engine *engine)
{
    const struct region *region = engine->channels[CHANNEL_COMMANDS]->region;
    unsigned char record[PLAT_LINK_BYTES] = {0};
    plat_handle handles[PLAT_LINK_HANDLES];
    for (unsigned i = 0; i < PLAT_LINK_HANDLES; i++)
        handles[i] = region->bells[i % BELLS];
    while (zcbi_plat_link_send(engine->agent->link, record, sizeof(record), handles,
                               PLAT_LINK_HANDLES) == ZCB_OK)
        continue;
}

static void end_somehow(struct engine *engine, struct input *input)
{
    switch (input_pick(input, 64)) {
    case 0:
        _exit(3);
    case 1:
        raise(SIGSTOP);
        break;
    case 2:
        zcb_channel_close(engine->channels[input_pick(input, 2)]);
        break;
    case 3:
        zcbi_plat_close(engine->agent->link);
        engine->agent->link = PLAT_NO_HANDLE;
        break;
    default:
        flood_link(engine);
        break;
    }
}

static void *spoil(void *arg)
{
    struct engine *engine = arg;
    struct random random = {.state = engine->seed};
    struct vandal vandals[CHANNELS] = {{0}};
    for (;;) {
        struct input input = random_input(&random);
        for (uint64_t calm = input_take(&input, 3) % CALM_STEPS(engine->seed); calm > 0; calm--)
            zcbi_plat_cpu_relax();
        uint32_t number = input_pick(&input, CHANNELS);
        const zcb_channel *channel = channel_of(engine, number);
        if (input_take(&input, 2) == 0)
            end_somehow(engine, &input);
        if (!channel)
            continue;
        if (!vandals[number].base)
            vandal_init(&vandals[number], channel);
        misbehave(&vandals[number], channel->region, &input);
    }
    return NULL;
}

int play_engine(const char *role, uint64_t seed)
{
    struct engine engine = {.seed = seed, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct random random = {.state = ~seed};
    pthread_t listener, spoiler;
    zcb_command command;
    zcb_error error;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when it has stopped itself */
    if (zcb_agent_open("7.5.0", &engine.agent, NULL))
        return 2;
    engine.channels[CHANNEL_COMMANDS] = engine.agent->commands;
    engine.channels[CHANNEL_URGENT] = engine.agent->urgent;
    pthread_create(&listener, NULL, listen_to_program, &engine);
    if (strcmp(role, ROLE_HOSTILE_ENGINE) == 0)
        pthread_create(&spoiler, NULL, spoil, &engine);
    while ((error = zcb_agent_next(engine.agent, &command, NULL)) == ZCB_OK ||
           error == ZCB_ERR_ABORTED || error == ZCB_ERR_NO_MEMORY) {
        struct input input = random_input(&random);
        if (!error)
            serve(&engine, &command, &input);
    }
    /* Its threads are still inside: the process ends with them. */
    _exit(0);
}
