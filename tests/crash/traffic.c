#include "traffic.h"
#include "chunks.h"
#include "sweep.h"

#include <stdio.h>

#define FRAME_BYTES (256 * KIB)
#define WINDOW_BYTES (64 * KIB)
#define MOST_BYTES (1 * MIB) /* more than both: it streams */
#define FUTURES 8
#define REOPEN_ONE_IN 16

/* Notes what must not be, and ends the worker. */
static zcb_error fault(struct worker *worker, const char *what)
{
    worker->fault = what;
    return ZCB_ERR_INVALID;
}

static bool is_over(zcb_error error)
{
    return error == ZCB_ERR_PEER_GONE || error == ZCB_ERR_PEER_CLOSED || error == ZCB_ERR_CLOSED;
}

/* Lengths of all orders of magnitude. */
static size_t random_bytes(struct worker *worker)
{
    uint64_t most = UINT64_C(1) << next_random(&worker->random) % 21;
    return (size_t)(next_random(&worker->random) % (most < MOST_BYTES ? most : MOST_BYTES));
}

/* ---------------------------------------------------------------- commands */

/* Takes over the result. out may be NULL. */
static zcb_error check_result(struct worker *worker, zcb_result *result, const void *out,
                              size_t bytes)
{
    zcb_error error = ZCB_OK;
    if (zcb_result_status(result) == ZCB_STATUS_LOST)
        error = ZCB_ERR_PEER_GONE;
    else if (zcb_result_status(result) != ZCB_STATUS_DONE || !zcb_result_success(result))
        error = fault(worker, "a command did not succeed");
    else if (out && (text_bytes(result, ZCB_PART_OUT) != bytes ||
                     memcmp(zcb_result_text(result, ZCB_PART_OUT, NULL), out, bytes) != 0))
        error = fault(worker, "a command's output is wrong");
    zcb_result_free(result);
    return error;
}

static zcb_error run(struct worker *worker, const char *text, const void *out, size_t bytes)
{
    zcb_result *result;
    zcb_error error =
        zcb_session_run(worker->session, text, strlen(text), 0, ZCB_FOREVER, &result, NULL);
    return error ? error : check_result(worker, result, out, bytes);
}

static zcb_error await_success(struct worker *worker, uint64_t id)
{
    zcb_result *result;
    zcb_error error = zcb_session_wait(worker->session, id, &result, NULL);
    return error ? error : check_result(worker, result, NULL, 0);
}

static zcb_error run_filled(struct worker *worker, const char *format, size_t number, size_t bytes)
{
    char text[64];
    unsigned char *out = malloc(bytes + 1);
    if (!out)
        return fault(worker, "no memory");
    snprintf(text, sizeof(text), format, number);
    fill(out, bytes, bytes);
    zcb_error error = run(worker, text, out, bytes);
    free(out);
    return error;
}

static zcb_error do_commands(struct worker *worker)
{
    size_t bytes = random_bytes(worker);
    switch (next_random(&worker->random) % 3) {
    case 0:
        return run(worker, "echo hello", "hello", 5);
    case 1:
        return run_filled(worker, "out %zu", bytes, bytes);
    default:
        return run_filled(worker, "pieces %zu", bytes % 8, bytes % 8 * 65536);
    }
}

static zcb_error do_futures(struct worker *worker)
{
    zcb_error error = ZCB_OK;
    unsigned pending = 0;
    for (int i = 0; i < FUTURES && !error; i++) {
        zcb_command command = {.op = ZCB_OP_RUN,
                               .flags = ZCB_COMMAND_NOTIFY,
                               .parts = TEXT_PART("echo x", 6),
                               .part_count = 1};
        error = zcb_session_submit(worker->session, &command, ZCB_FOREVER, NULL);
        pending += !error;
    }
    while (!error && pending-- > 0) {
        zcb_result *result;
        error = zcb_session_next(worker->session, &result, NULL);
        if (!error)
            error = check_result(worker, result, "x", 1);
    }
    return error;
}

static zcb_error do_pings(struct worker *worker)
{
    return zcb_session_ping(worker->session, NULL);
}

/* ---------------------------------------------------------------- transfers */

/* A new bridge at first, and now and then. */
static zcb_error open_bridge(struct worker *worker)
{
    zcb_channel_options options = {.frame_bytes = FRAME_BYTES, .window_bytes = WINDOW_BYTES};
    if (worker->bridge && next_random(&worker->random) % REOPEN_ONE_IN != 0)
        return ZCB_OK;
    zcb_bridge_free(worker->bridge);
    worker->bridge = NULL;
    return zcb_bridge_open(worker->session, &options, &worker->bridge, NULL);
}

static zcb_error send_copy(struct worker *worker, size_t bytes)
{
    unsigned char *data = malloc(bytes + 1);
    if (!data)
        return fault(worker, "no memory");
    fill(data, bytes, bytes);
    zcb_error error = zcb_bridge_send(worker->bridge, ZCB_KIND_BYTES, data, bytes, NULL, NULL);
    free(data);
    return error;
}

static zcb_error send_block(struct worker *worker, size_t bytes)
{
    zcb_block *block;
    zcb_error error = zcb_block_allocate(zcb_bridge_channel(worker->bridge), bytes, &block, NULL);
    if (error)
        return error;
    fill(zcb_block_data(block), bytes, bytes);
    error =
        zcb_bridge_send(worker->bridge, ZCB_KIND_BYTES, zcb_block_data(block), bytes, NULL, NULL);
    zcb_block_free(block);
    return error;
}

static zcb_error do_to_engine(struct worker *worker)
{
    char out[64];
    uint64_t id;
    size_t bytes = random_bytes(worker);
    bool in_place = bytes > 0 && bytes <= FRAME_BYTES && next_random(&worker->random) % 2 == 0;
    zcb_error error = open_bridge(worker);
    if (!error)
        error = zcb_bridge_post_receive(worker->bridge, "$sent", 5, 0, ZCB_FOREVER, &id, NULL);
    if (!error)
        error = in_place ? send_block(worker, bytes) : send_copy(worker, bytes);
    if (!error)
        error = await_success(worker, id);
    int length = snprintf(out, sizeof(out), "%zu right", bytes);
    return error ? error : run(worker, "check $sent", out, (size_t)length);
}

static zcb_error post_send(struct worker *worker, size_t bytes, uint64_t *id)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%zu", bytes);
    return zcb_bridge_post_send(worker->bridge, text, (size_t)length, 0, 0, ZCB_FOREVER, id, NULL);
}

static zcb_error begin_receive(struct worker *worker, zcb_wish wish, size_t bytes)
{
    zcb_message message;
    zcb_error error = zcb_bridge_receive_begin(worker->bridge, wish, &message, NULL);
    if (error || (message.kind == ZCB_KIND_BYTES && message.bytes == bytes))
        return error;
    zcb_receive_drop(zcb_bridge_channel(worker->bridge));
    return fault(worker, "another message was received than was sent");
}

static zcb_error read_all(struct worker *worker, size_t bytes)
{
    zcb_channel *channel = zcb_bridge_channel(worker->bridge);
    unsigned char *data = malloc(bytes + 1);
    zcb_error error = data ? ZCB_OK : fault(worker, "no memory");
    if (!error)
        error = zcb_receive_read(channel, data, bytes, NULL, NULL);
    if (error)
        zcb_receive_drop(channel);
    else
        error = zcb_receive_end(channel);
    if (!error && !is_filled(data, bytes, bytes))
        error = fault(worker, "what was received is wrong");
    free(data);
    return error;
}

/* It was not overwritten while it was held. */
static bool give_lease_back(struct worker *worker)
{
    zcb_lease *lease = worker->lease;
    bool right = !lease || is_filled(zcb_lease_data(lease), (size_t)zcb_lease_bytes(lease),
                                     worker->lease_seed);
    zcb_lease_free(lease);
    worker->lease = NULL;
    return right;
}

/* Holds it until the next one. */
static zcb_error take_lease(struct worker *worker, size_t bytes)
{
    zcb_channel *channel = zcb_bridge_channel(worker->bridge);
    zcb_lease *lease;
    zcb_error error = zcb_receive_lease(channel, &lease, NULL);
    if (error == ZCB_ERR_TOO_LARGE)
        return read_all(worker, bytes);
    if (error) {
        zcb_receive_drop(channel);
        return error;
    }
    bool kept = give_lease_back(worker);
    worker->lease = lease;
    worker->lease_seed = bytes;
    error = zcb_receive_end(channel);
    return kept ? error : fault(worker, "a lease was overwritten");
}

/* The engine sends, and `take` takes it in. */
static zcb_error do_from_engine_by(struct worker *worker, zcb_wish wish,
                                   zcb_error (*take)(struct worker *worker, size_t bytes))
{
    uint64_t id;
    size_t bytes = random_bytes(worker);
    zcb_error error = open_bridge(worker);
    if (!error)
        error = post_send(worker, bytes, &id);
    if (!error)
        error = begin_receive(worker, wish, bytes);
    if (!error)
        error = take(worker, bytes);
    return error ? error : await_success(worker, id);
}

static zcb_error do_from_engine(struct worker *worker)
{
    return do_from_engine_by(worker, ZCB_WISH_COPY, read_all);
}

static zcb_error do_leases(struct worker *worker)
{
    return do_from_engine_by(worker, ZCB_WISH_LEASE, take_lease);
}

/* The bridge has no call for it yet: the message is sent as what the receive was posted for. */
static zcb_error do_open_ended_to_engine(struct worker *worker)
{
    char out[32];
    uint64_t id;
    size_t bytes = random_bytes(worker);
    zcb_error error = open_bridge(worker);
    if (!error)
        error = zcb_bridge_post_receive(worker->bridge, "$chunks", 7, 0, ZCB_FOREVER, &id, NULL);
    if (!error)
        error = send_chunks(zcb_bridge_channel(worker->bridge), id, bytes, NULL);
    if (error)
        return error;
    zcb_result *result;
    error = zcb_session_wait(worker->session, id, &result, NULL);
    int length = snprintf(out, sizeof(out), "%zu", bytes);
    return error ? error : check_result(worker, result, out, (size_t)length);
}

static zcb_error do_open_ended_from_engine(struct worker *worker)
{
    char text[32];
    uint64_t id, received;
    zcb_message message;
    size_t bytes = random_bytes(worker);
    int length = snprintf(text, sizeof(text), "chunks %zu", bytes);
    zcb_error error = open_bridge(worker);
    if (!error)
        error = zcb_bridge_post_send(worker->bridge, text, (size_t)length, 0, 0, ZCB_FOREVER, &id,
                                     NULL);
    if (!error)
        error = zcb_bridge_receive_begin(worker->bridge, ZCB_WISH_COPY, &message, NULL);
    if (!error)
        error = receive_chunks(zcb_bridge_channel(worker->bridge), &message, &received, NULL);
    if (!error && received != bytes)
        error = fault(worker, "what was received is wrong");
    return error ? error : await_success(worker, id);
}

static zcb_error do_receive_nothing(struct worker *worker)
{
    zcb_message message;
    zcb_error error = open_bridge(worker);
    if (!error)
        error = zcb_bridge_receive_begin(worker->bridge, ZCB_WISH_COPY, &message, NULL);
    return error ? error : fault(worker, "a message came that nobody sent");
}

static zcb_error do_send_to_nobody(struct worker *worker)
{
    zcb_error error = open_bridge(worker);
    if (!error)
        error = send_copy(worker, MOST_BYTES);
    return error ? error : fault(worker, "a message went that nobody received");
}

/* ---------------------------------------------------------------- workers */

static zcb_error step(struct worker *worker)
{
    switch (worker->work) {
    case WORK_COMMANDS:
        return do_commands(worker);
    case WORK_FUTURES:
        return do_futures(worker);
    case WORK_TO_ENGINE:
        return do_to_engine(worker);
    case WORK_FROM_ENGINE:
        return do_from_engine(worker);
    case WORK_LEASES:
        return do_leases(worker);
    case WORK_OPEN_ENDED_TO_ENGINE:
        return do_open_ended_to_engine(worker);
    case WORK_OPEN_ENDED_FROM_ENGINE:
        return do_open_ended_from_engine(worker);
    case WORK_PINGS:
        return do_pings(worker);
    case WORK_RECEIVE_NOTHING:
        return do_receive_nothing(worker);
    case WORK_SEND_TO_NOBODY:
        return do_send_to_nobody(worker);
    default:
        return fault(worker, "there is no such work");
    }
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    int64_t starved = 0;
    while (worker->steps > 0 && !worker->error) {
        starved = starved_ns();
        worker->error = step(worker);
        if (!worker->error && worker->steps != FOR_EVER)
            worker->steps--;
    }
    worker->ended_ns = zcbi_plat_now_ns();
    worker->starved_ns = starved_ns() - starved;
    if (worker->error && !is_over(worker->error) && !worker->fault)
        worker->fault = zcb_error_name(worker->error);
    return NULL;
}

void traffic_start(struct traffic *traffic, zcb_session *session, unsigned works, uint64_t steps,
                   uint64_t random)
{
    *traffic = (struct traffic){0};
    for (unsigned kind = 0; kind < WORKS; kind++) {
        if (!(works >> kind & 1))
            continue;
        struct worker *worker = &traffic->workers[traffic->count++];
        *worker = (struct worker){.work = (enum work)kind,
                                  .steps = steps,
                                  .random = next_random(&random),
                                  .session = session};
        worker->thread = start_thread(work, worker);
    }
}

const char *traffic_join(struct traffic *traffic)
{
    const char *what = NULL;
    for (unsigned i = 0; i < traffic->count; i++) {
        join_thread(traffic->workers[i].thread);
        if (!what)
            what = traffic->workers[i].fault;
    }
    return what;
}

const char *traffic_free(struct traffic *traffic)
{
    const char *what = NULL;
    for (unsigned i = 0; i < traffic->count; i++) {
        struct worker *worker = &traffic->workers[i];
        if (!give_lease_back(worker))
            what = "a lease was overwritten";
        zcb_bridge_free(worker->bridge);
        worker->bridge = NULL;
    }
    return what;
}
