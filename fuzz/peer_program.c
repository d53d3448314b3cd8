/* The starting process: works with a hostile engine, or attacks an agent that works. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/block.h"
#include "peer.h"
#include "wire.h"

#define ROUND_MS 300
#define BRIDGES 4u
#define BRIEFLY_MS 10
#define END_MS 30000
#define GRACE_MS 5000 /* the engine of this test obeys no stop */
#define PAYLOAD_BYTES (UINT64_C(1) << 20)
/* One of so many steps of an attack is a misdeed, by the seed: soon the agent gives up, or it gets far. */
#define STEPS_A_MISDEED(seed) (UINT64_C(8) << ((seed) % 8))

static const char text[] = "$some text";

static zcb_wait briefly(void)
{
    return (zcb_wait){.deadline_ns = zcb_deadline_ns(BRIEFLY_MS)};
}

static void require_documented(zcb_error error)
{
    require(error >= ZCB_OK && error <= ZCB_ERR_WATCHED);
    require(error != ZCB_ERR_SYSTEM && error != ZCB_ERR_FORKED && error != ZCB_ERR_INTERRUPTED);
}

static zcb_session *start(const char *self, const char *role, uint64_t seed)
{
    char seed_variable[64];
    const char *environment[] = {role, seed_variable, "ASAN_OPTIONS=log_path=hostile_peer.report",
                                 NULL};
    zcb_session_options options = {
        .engine = self, .module = "/nowhere", .environment = environment, .grace_ms = GRACE_MS};
    zcb_wait wait = {.deadline_ns = zcb_deadline_ns(END_MS)};
    zcb_session *session = NULL;
    zcb_detail why;
    snprintf(seed_variable, sizeof(seed_variable), SEED_VARIABLE "=%llu", (unsigned long long)seed);
    zcb_error error = zcb_session_start(&options, &session, &why, &wait);
    if (error)
        fprintf(stderr, "starting: %s: %s\n", zcb_error_name(error), why.text);
    return error ? NULL : session;
}

/* ---------------------------------------------------------------- work */

struct worker {
    zcb_session *session;
    zcb_bridge *bridges[BRIDGES];
    int64_t end_ns;
    uint64_t seed;
};

static void take_result(zcb_error error, zcb_result *result)
{
    require_documented(error);
    if (error)
        return;
    for (int i = 0; i < ZCB_STREAMS; i++) {
        size_t bytes = 0;
        const char *out = zcb_result_text(result, (zcb_part_kind)(ZCB_PART_OUT + i), &bytes);
        require(out[bytes] == 0);
    }
    zcb_result_free(result);
}

static void command(struct worker *worker, struct input *input)
{
    zcb_wait wait = briefly();
    zcb_result *result = NULL;
    const zcb_part part = {.kind = ZCB_PART_TEXT, .data = text, .bytes = sizeof(text)};
    zcb_command asked = {
        .op = ZCB_OP_RUN, .flags = ZCB_COMMAND_NOTIFY, .parts = &part, .part_count = 1};
    intptr_t event;
    switch (input_pick(input, 6)) {
    case 0:
        require_documented(zcb_session_ping(worker->session, &wait));
        break;
    case 1:
        require_documented(zcb_session_submit(worker->session, &asked, 1, &wait));
        break;
    case 2:
        require_documented(zcb_session_event(worker->session, &event));
        break;
    case 3:
        take_result(zcb_session_next(worker->session, &result, &wait), result);
        break;
    default:
        take_result(
            zcb_session_run(worker->session, text, sizeof(text), 0, BRIEFLY_MS, &result, &wait),
            result);
        break;
    }
}

static void send_block(zcb_channel *channel, zcb_bridge *bridge, uint64_t bytes)
{
    zcb_wait wait = briefly();
    zcb_block *block = NULL;
    zcb_error error = zcb_block_allocate(channel, bytes + 1, &block, &wait);
    require_documented(error);
    if (error)
        return;
    memset(zcb_block_data(block), 1, (size_t)bytes);
    require_documented(
        zcb_bridge_send(bridge, ZCB_KIND_BYTES, zcb_block_data(block), bytes + 1, NULL, &wait));
    zcb_block_free(block);
}

static void receive(zcb_channel *channel, zcb_bridge *bridge, unsigned char *memory,
                    struct input *input)
{
    zcb_wait wait = briefly();
    zcb_message message;
    zcb_lease *lease = NULL;
    zcb_wish wish = input_bit(input) ? ZCB_WISH_COPY : ZCB_WISH_LEASE;
    zcb_error error = zcb_bridge_receive_begin(bridge, wish, &message, &wait);
    require_documented(error);
    if (error)
        return;
    size_t bytes = message.bytes < PAYLOAD_BYTES ? (size_t)message.bytes : PAYLOAD_BYTES;
    if (wish == ZCB_WISH_LEASE)
        require_documented(zcb_receive_lease(channel, &lease, &wait));
    else
        require_documented(zcb_receive_read(channel, memory, bytes, NULL, &wait));
    if (lease && zcb_lease_bytes(lease) <= PAYLOAD_BYTES)
        memcpy(memory, zcb_lease_data(lease), (size_t)zcb_lease_bytes(lease));
    if (zcb_receive_end(channel))
        zcb_receive_drop(channel);
    zcb_lease_free(lease);
}

static void transfer(zcb_bridge *bridge, unsigned char *memory, struct input *input)
{
    zcb_wait wait = briefly();
    zcb_channel *channel = zcb_bridge_channel(bridge);
    uint64_t id = 0, bytes = input_take(input, 3) % PAYLOAD_BYTES;
    uint32_t flags = input_pick(input, 16);
    switch (input_pick(input, 6)) {
    case 0:
        send_block(channel, bridge, bytes);
        break;
    case 1:
        require_documented(zcb_bridge_post_receive(bridge, text, 5, flags, BRIEFLY_MS, &id, &wait));
        break;
    case 2:
        require_documented(zcb_bridge_post_send(bridge, text, 5, 2, flags, BRIEFLY_MS, &id, &wait));
        if (input_bit(input))
            require_documented(zcb_bridge_withdraw(bridge, id));
        break;
    case 3:
        receive(channel, bridge, memory, input);
        break;
    default:
        require_documented(zcb_bridge_send(bridge, ZCB_KIND_BYTES, memory, bytes, NULL, &wait));
        break;
    }
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct random random = {.state = worker->seed};
    unsigned char *memory = calloc(1, PAYLOAD_BYTES);
    require(memory != NULL);
    while (zcb_now_ns() < worker->end_ns && zcb_session_alive(worker->session, NULL)) {
        struct input input = random_input(&random);
        zcb_bridge *bridge = worker->bridges[input_pick(&input, BRIDGES)];
        if (bridge && input_bit(&input))
            transfer(bridge, memory, &input);
        else
            command(worker, &input);
    }
    free(memory);
    return NULL;
}

void meet_hostile_engine(const char *self, uint64_t seed)
{
    zcb_session *session = start(self, ROLE_VARIABLE "=" ROLE_HOSTILE_ENGINE, seed);
    struct worker first = {.end_ns = zcb_deadline_ns(ROUND_MS), .session = session, .seed = seed};
    pthread_t other;
    if (!session) /* it was not well enough to start */
        return;
    const zcb_channel_options options = {.frame_bytes = PAYLOAD_BYTES,
                                         .window_bytes = ZCB_MIN_WINDOW_BYTES};
    for (unsigned i = 0; i < BRIDGES; i++)
        require_documented(zcb_bridge_open(session, &options, &first.bridges[i], NULL));
    struct worker second = first;
    second.seed = ~seed;
    require(pthread_create(&other, NULL, work, &second) == 0);
    (void)work(&first);
    pthread_join(other, NULL);
    for (unsigned i = 0; i < BRIDGES; i++)
        zcb_bridge_free(first.bridges[i]);
    zcb_session_close(session, BRIEFLY_MS);
    zcb_session_free(session);
}

/* ---------------------------------------------------------------- attack */

static void ask(struct vandal *commands, struct vandal *urgent, struct input *input)
{
    static const char text[8];
    const struct command_wire head = {.op = 1 + input_pick(input, 4),
                                      .channel = input_pick(input, 4)};
    unsigned char asked[128];
    size_t whole = write_command(asked, head, text, input_pick(input, sizeof(text)));
    zcb_message message = {.kind = ZCB_KIND_CONTROL,
                           .id = input_pick(input, 8),
                           .bytes =
                               input_pick(input, 8) ? whole : input_pick(input, (unsigned)whole)};
    zcb_message request = {.kind = ZCB_KIND_CONTROL, .flags = input_pick(input, 32)};
    if (vandal_has_room(commands))
        vandal_send(commands, &message, asked, 1 + input_pick(input, 2));
    if (vandal_has_room(urgent))
        vandal_send(urgent, &request, NULL, 1);
    vandal_consume(commands, true);
    vandal_consume(urgent, true);
}

/* Without a word of the library, which would end a session that has become nonsense. */
static void attack(zcb_session *session, uint64_t seed)
{
    struct random random = {.state = seed};
    struct vandal vandals[2];
    const zcb_channel *channels[2] = {session->commands, session->urgent};
    unsigned ready;
    int64_t end = zcb_deadline_ns(ROUND_MS);
    for (int i = 0; i < 2; i++) {
        vandal_init(&vandals[i], channels[i]);
        vandals[i].sends = 0; /* it plays the opener, whose memory this is */
    }
    while (zcb_now_ns() < end &&
           zcbi_plat_wait(&session->process, 1, 0, &ready) == ZCB_ERR_TIMEOUT) {
        struct input input = random_input(&random);
        int which = (int)input_pick(&input, 2);
        if (input_take(&input, 2) % STEPS_A_MISDEED(seed) == 0)
            misbehave(&vandals[which], channels[which]->region, &input);
        else
            ask(&vandals[0], &vandals[1], &input);
        for (int i = 0; i < BELLS; i++)
            zcbi_plat_event_set(channels[which]->region->bells[i]);
    }
}

/* The agent is told that the session ends, and how it ended is looked at. */
static void judge(zcb_session *session)
{
    const zcb_channel *channels[2] = {session->commands, session->urgent};
    int code = 0;
    unsigned ready;
    for (int i = 0; i < 2; i++) {
        atomic_store(&channels[i]->tx.control->producer_closed, 1);
        atomic_store(&channels[i]->rx.control->consumer_closed, 1);
        for (int j = 0; j < BELLS; j++)
            zcbi_plat_event_set(channels[i]->region->bells[j]);
    }
    require(zcbi_plat_wait(&session->process, 1, zcb_deadline_ns(END_MS), &ready) == ZCB_OK);
    session->reaped = zcbi_plat_process_ended(&session->child, &code);
    if (code != 0)
        fprintf(stderr, "the agent ended with %d\n", code);
    require(session->reaped && code == 0);
}

void attack_agent(const char *self, uint64_t seed)
{
    zcb_session *session = start(self, ROLE_VARIABLE "=" ROLE_AGENT, seed);
    require(session != NULL);
    attack(session, seed);
    judge(session);
    zcb_session_free(session);
}
