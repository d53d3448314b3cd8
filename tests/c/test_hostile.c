/* A peer that writes nonsense into what is shared: an error, never a crash. Here `b` is the peer, whose
 * fields are written by hand, and `a` is ours. */
#include "fake_engine.h"

#if !defined(_WIN32)
#include <sys/eventfd.h>
#include <sys/mman.h>
#endif

#define FRAME (UINT64_C(1) << 18)
#define WINDOW (UINT64_C(256) << 10)
#define DATA (FRAME + WINDOW)

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

struct pair {
    zcb_channel *a, *b;
    uint64_t head; /* descriptors that the peer has published by hand */
};

static struct pair make_pair(void)
{
    struct pair pair = {0};
    zcb_channel_options options = {.frame_bytes = FRAME, .window_bytes = WINDOW};
    assert_ok(zcb_channel_pair(&options, &pair.a, &pair.b));
    size_t ring_at = (size_t)pair.a->region->geometry.ring_at[1];
    assert_ok(zcbi_plat_memory_commit(&pair.a->region->memory, ring_at, RING_BYTES));
    return pair;
}

static void free_pair(struct pair *pair)
{
    zcb_channel_free(pair->a);
    zcb_channel_free(pair->b);
}

static void publish(struct pair *pair, const struct descriptor *descriptor)
{
    struct producer *tx = &pair->b->tx;
    tx->ring[pair->head++ % RING_ENTRIES] = *descriptor;
    atomic_store(&tx->control->head, pair->head);
}

static zcb_error begin(struct pair *pair, zcb_message *message)
{
    zcb_wait at_once = {0};
    return zcb_receive_begin(pair->a, ZCB_WISH_COPY, message, &at_once);
}

static zcb_error send_bytes(struct pair *pair, uint64_t bytes)
{
    static unsigned char payload[FRAME];
    zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = bytes};
    zcb_wait at_once = {0};
    return zcb_send(pair->a, &message, payload, &at_once);
}

/* Nothing goes any more on our side, and the peer is told. */
static void assert_failed(struct pair *pair)
{
    zcb_message message;
    zcb_wait at_once = {0};
    assert_int_equal(begin(pair, &message), ZCB_ERR_PROTOCOL);
    assert_int_equal(send_bytes(pair, 1), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcb_send(pair->b, &(zcb_message){.kind = 1}, NULL, &at_once),
                     ZCB_ERR_PEER_CLOSED);
    zcb_channel_close(pair->a);
}

/* ---------------------------------------------------------------- descriptors */

#define FIRST_PART                                                                                 \
    {                                                                                              \
        .kind = ZCB_KIND_BYTES, .message_bytes = 1000, .offset = 64, .bytes = 100, .block = 20,    \
        .marks = MARK_FIRST                                                                        \
    }
#define FIRST_OF_WHOLE                                                                             \
    {                                                                                              \
        .kind = ZCB_KIND_BYTES, .message_bytes = 1000, .offset = 64, .bytes = 100, .block = 20,    \
        .marks = MARK_FIRST | MARK_WHOLE                                                           \
    }

static const struct descriptor senseless_first[] = {
    {.kind = 0, .message_bytes = 1, .bytes = 1, .block = 20, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1, .message_bytes = 1, .bytes = 1, .block = 20, .marks = MARK_LAST},
    {.kind = 1, .message_bytes = 1, .bytes = 1, .block = 20, .marks = 0},
    {.kind = 1, .message_bytes = 1, .bytes = 1, .block = 20, .marks = MARK_FIRST},
    {.kind = 1, .message_bytes = 2, .bytes = 1, .block = 20, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1, .message_bytes = 1, .bytes = 2, .block = 20, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1, .message_bytes = 0, .bytes = 1, .block = 20, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1, .message_bytes = 9, .bytes = 1, .block = 20, .marks = MARK_FIRST | MARK_ABORT},
    {.kind = 1, .block = NO_BLOCK, .marks = MARK_ABORT},
    {.kind = 1, .block = 20, .marks = MARK_FIRST | MARK_LAST | MARK_WHOLE},
    {.kind = 1, .offset = 1, .block = NO_BLOCK, .marks = MARK_FIRST | MARK_LAST | MARK_WHOLE},
    {.kind = 1, .block = NO_BLOCK, .marks = MARK_FIRST},
    {.kind = 1, .message_bytes = 1, .bytes = 1, .block = BLOCKS, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1, .message_bytes = 1, .bytes = 1, .block = NO_BLOCK, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = 1,
     .bytes = 1,
     .offset = DATA,
     .block = 20,
     .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = 2,
     .bytes = 2,
     .offset = DATA - 1,
     .block = 20,
     .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = 1,
     .bytes = 1,
     .offset = UINT64_MAX,
     .block = 20,
     .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = UINT64_MAX,
     .bytes = UINT64_MAX,
     .block = 20,
     .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = UINT64_MAX - 1,
     .bytes = UINT64_MAX - 1,
     .offset = 2,
     .block = 20,
     .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = DATA + 1,
     .bytes = DATA + 1,
     .block = 20,
     .marks = MARK_FIRST | MARK_LAST},
};

static void a_senseless_first_descriptor_ends_the_channel(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(senseless_first) / sizeof(*senseless_first); i++) {
        struct pair pair = make_pair();
        zcb_message message;
        publish(&pair, &senseless_first[i]);
        assert_int_equal(begin(&pair, &message), ZCB_ERR_PROTOCOL);
        assert_failed(&pair);
        free_pair(&pair);
    }
}

static const struct {
    struct descriptor first, next;
} senseless_next[] = {
    {FIRST_PART,
     {.kind = 1, .message_bytes = 1, .bytes = 1, .block = 20, .marks = MARK_FIRST | MARK_LAST}},
    {FIRST_PART, {.block = NO_BLOCK}},
    {FIRST_PART, {.block = NO_BLOCK, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = 901, .block = 21, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = 900, .block = 21}},
    {FIRST_PART, {.bytes = 899, .block = 21, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = 900, .block = 21, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_PART, {.bytes = 900, .block = BLOCKS, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = 900, .offset = DATA - 899, .block = 21, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = UINT64_MAX, .block = 21, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = 5, .block = 21, .marks = MARK_ABORT | MARK_FIRST, .offset = UINT64_MAX}},
    {FIRST_OF_WHOLE, {.bytes = 900, .offset = 164, .block = 20, .marks = MARK_LAST}},
    {FIRST_OF_WHOLE, {.bytes = 900, .offset = 164, .block = 21, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_OF_WHOLE, {.bytes = 900, .offset = 163, .block = 20, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_OF_WHOLE, {.bytes = 900, .offset = 64, .block = 20, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_OF_WHOLE, {.bytes = 900, .offset = 165, .block = 20, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_OF_WHOLE, {.bytes = 901, .offset = 164, .block = 20, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_OF_WHOLE,
     {.bytes = 900, .offset = 164, .block = 20, .marks = MARK_LAST | MARK_WHOLE | MARK_FIRST}},
};

enum way { BY_READ, BY_LEASE, BY_DROP, WAYS };

static zcb_error go_on(zcb_channel *channel, enum way way)
{
    zcb_wait at_once = {0};
    unsigned char bytes[1000];
    zcb_lease *lease;
    zcb_error error = ZCB_ERR_TOO_LARGE;
    if (way == BY_LEASE)
        error = zcb_receive_lease(channel, &lease, &at_once);
    if (way == BY_READ || error == ZCB_ERR_TOO_LARGE)
        error =
            zcb_receive_read(channel, bytes, way == BY_DROP ? 0 : sizeof(bytes), NULL, &at_once);
    zcb_receive_drop(channel);
    return error;
}

static void a_senseless_next_descriptor_ends_the_channel(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS * sizeof(senseless_next) / sizeof(*senseless_next); i++) {
        struct pair pair = make_pair();
        zcb_message message;
        publish(&pair, &senseless_next[i / WAYS].first);
        publish(&pair, &senseless_next[i / WAYS].next);
        assert_ok(begin(&pair, &message));
        enum way way = (enum way)(i % WAYS);
        assert_int_equal(go_on(pair.a, way), way == BY_DROP ? ZCB_OK : ZCB_ERR_PROTOCOL);
        assert_failed(&pair);
        free_pair(&pair);
    }
}

static void a_message_that_never_ends_can_be_dropped(void **state)
{
    (void)state;
    struct pair pair = make_pair();
    zcb_message message;
    struct descriptor part = {
        .kind = 1, .message_bytes = UINT64_MAX, .bytes = DATA, .block = 1, .marks = MARK_FIRST};
    publish(&pair, &part);
    part.marks = 0;
    for (int i = 0; i < 100; i++)
        publish(&pair, &part);
    assert_ok(begin(&pair, &message));
    assert_true(message.bytes == UINT64_MAX);
    zcb_receive_drop(pair.a);
    assert_int_equal(begin(&pair, &message), ZCB_ERR_TIMEOUT);
    free_pair(&pair);
}

static void a_whole_message_longer_than_its_memory_cannot_be_leased(void **state)
{
    (void)state;
    struct pair pair = make_pair();
    zcb_message message;
    struct descriptor part = {.kind = 1,
                              .message_bytes = UINT64_MAX,
                              .bytes = DATA,
                              .block = 20,
                              .marks = MARK_FIRST | MARK_WHOLE};
    publish(&pair, &part);
    part.marks = MARK_WHOLE;
    part.offset = DATA;
    part.bytes = 1;
    publish(&pair, &part);
    assert_ok(begin(&pair, &message));
    assert_int_equal(go_on(pair.a, BY_LEASE), ZCB_ERR_PROTOCOL);
    free_pair(&pair);
}

/* ---------------------------------------------------------------- without end */

/* Not every try meets a flood that the scheduler lets flow. */
#define TRIES 50

/* A peer that keeps the ring full of one descriptor, until it is told to stop. */
struct flood {
    zcb_channel *victim;
    struct descriptor part;
    _Atomic int stop;
    pthread_t thread;
};

static void *flow(void *arg)
{
    struct flood *flood = arg;
    struct consumer *rx = &flood->victim->rx;
    while (!atomic_load(&flood->stop))
        atomic_store(&rx->control->head, atomic_load(&rx->control->tail) + RING_ENTRIES);
    return NULL;
}

static void await_flow(struct flood *flood)
{
    struct consumer *rx = &flood->victim->rx;
    while (atomic_load(&rx->control->head) == rx->tail)
        sched_yield();
}

static void start_flood(struct flood *flood)
{
    struct consumer *rx = &flood->victim->rx;
    struct descriptor *ring = (struct descriptor *)(uintptr_t)rx->ring;
    for (unsigned i = 0; i < RING_ENTRIES; i++)
        ring[i] = flood->part;
    flood->thread = start_thread(flow, flood);
    await_flow(flood);
}

static void stop_flood(struct flood *flood)
{
    atomic_store(&flood->stop, 1);
    join_thread(flood->thread);
}

/* The message's first part is taken; all others are there as fast as they are taken. */
static void begin_message_without_end(struct pair *pair, struct flood *flood)
{
    zcb_message message;
    struct descriptor first = {
        .kind = 1, .message_bytes = UINT64_MAX, .bytes = 1, .marks = MARK_FIRST};
    *flood = (struct flood){.victim = pair->a, .part = {.bytes = 1}};
    publish(pair, &first);
    assert_ok(begin(pair, &message));
}

static void a_message_without_end_holds_no_call_beyond_its_deadline(void **state)
{
    (void)state;
    struct pair pair = make_pair();
    struct flood flood;
    zcb_message message;
    zcb_wait at_once = {0};
    static unsigned char destination[64 * RING_ENTRIES];
    begin_message_without_end(&pair, &flood);
    start_flood(&flood);
    for (int i = 0; i < TRIES; i++) {
        size_t done = 0;
        await_flow(&flood);
        assert_int_equal(
            zcb_receive_read(pair.a, destination, sizeof(destination), &done, &at_once),
            ZCB_ERR_TIMEOUT);
        assert_in_range(done, 0, 1 + RING_ENTRIES);
    }
    uint64_t tail = pair.a->rx.tail;
    zcb_receive_drop(pair.a);
    assert_true(pair.a->rx.tail - tail <= RING_ENTRIES);
    tail = pair.a->rx.tail;
    assert_int_equal(begin(&pair, &message), ZCB_ERR_TIMEOUT);
    assert_true(pair.a->rx.tail - tail <= RING_ENTRIES);
    stop_flood(&flood);
    free_pair(&pair);
}

static void a_cancel_ends_the_discarding_of_a_message_without_end(void **state)
{
    (void)state;
    struct pair pair = make_pair();
    struct flood flood;
    zcb_message message;
    zcb_wait wait = patience();
    begin_message_without_end(&pair, &flood);
    zcb_receive_drop(pair.a);
    start_flood(&flood);
    assert_ok(zcb_cancel_create(&wait.cancel));
    zcb_cancel_set(wait.cancel);
    uint64_t tail = pair.a->rx.tail;
    assert_int_equal(zcb_receive_begin(pair.a, ZCB_WISH_COPY, &message, &wait), ZCB_ERR_CANCELLED);
    assert_int_equal(pair.a->rx.tail, tail);
    stop_flood(&flood);
    zcb_cancel_free(wait.cancel);
    free_pair(&pair);
}

static void a_sender_times_out_when_the_window_is_never_given_back(void **state)
{
    (void)state;
    struct pair pair = make_pair();
    zcbi_rx_expect(pair.b, ZCB_WISH_COPY);
    assert_ok(send_bytes(&pair, WINDOW));
    atomic_store(&pair.b->rx.control->tail, pair.a->tx.head); /* taken, and kept */
    assert_int_equal(send_bytes(&pair, WINDOW), ZCB_ERR_TIMEOUT);
    free_pair(&pair);
}

#if !defined(_WIN32)

static void a_bell_that_was_made_to_block_is_cleared_without_waiting(void **state)
{
    (void)state;
    struct pair pair = make_pair();
    plat_handle bell = pair.a->rx.data_bell;
    assert_int_equal(fcntl((int)bell, F_SETFL, 0), 0);
    zcbi_plat_event_clear(bell); /* nothing is in it */
    zcbi_plat_event_set(bell);
    zcbi_plat_event_clear(bell);
    unsigned ready;
    assert_int_equal(zcbi_plat_wait(&bell, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    free_pair(&pair);
}

static void *send_once(void *arg)
{
    struct pair *pair = arg;
    zcb_wait wait = patience();
    static zcb_error error;
    error = zcb_send(pair->a, &(zcb_message){.kind = ZCB_KIND_BYTES}, NULL, &wait);
    return &error;
}

static void closing_frees_a_thread_that_a_full_bell_blocks(void **state)
{
    (void)state;
    struct pair pair = make_pair();
    for (int i = 0; i < BELLS; i++) {
        int bell = (int)pair.a->region->bells[i];
        uint64_t most = UINT64_MAX - 1;
        assert_int_equal(write(bell, &most, sizeof(most)), sizeof(most));
        assert_int_equal(fcntl(bell, F_SETFL, 0), 0);
    }
    atomic_store(&pair.b->rx.control->consumer_asleep, SLEEP_BELL); /* so it rings */
    pthread_t thread = start_thread(send_once, &pair);
    zcb_channel_close(pair.a);
    void *error;
    pthread_join(thread, &error);
    assert_true(*(zcb_error *)error == ZCB_OK || *(zcb_error *)error == ZCB_ERR_CLOSED);
    free_pair(&pair);
}

#endif

/* ---------------------------------------------------------------- engines */

static zcb_session *start_engine(void)
{
    zcb_session_options options = fake_options();
    return start_session(&options);
}

/* All zeroes are a reply that makes sense, to a command that nobody gave. */
#define REPLY_BYTES (sizeof(struct reply_wire) + ZCB_FIELDS)
#define REPLY                                                                                      \
    {                                                                                              \
        .kind = ZCB_KIND_CONTROL, .message_bytes = REPLY_BYTES, .bytes = REPLY_BYTES, .block = 20, \
        .flags = REPLY_COMPLETION, .marks = MARK_FIRST | MARK_LAST | MARK_WHOLE                    \
    }

static void an_engine_that_has_ended_but_goes_on_answering_is_gone(void **state)
{
    (void)state;
    zcb_session *session = start_engine();
    struct flood flood = {.victim = session->commands, .part = REPLY};
    zcb_detail why;
    kill_its_engine(session);
    await_end_of(zcb_session_pid(session));
    start_flood(&flood); /* as a process that it left behind could */
    uint64_t tail = session->commands->rx.tail;
    assert_false(zcb_session_alive(session, &why));
    assert_non_null(strstr(why.text, KILLED));
    assert_true(session->commands->rx.tail - tail <= RING_ENTRIES + 1);
    stop_flood(&flood);
    zcb_session_free(session);
    assert_no_children();
}

#define PONG_OF_NO_PING                                                                            \
    {                                                                                              \
        .kind = ZCB_KIND_CONTROL, .flags = URGENT_PONG, .block = NO_BLOCK,                         \
        .marks = MARK_FIRST | MARK_LAST | MARK_WHOLE                                               \
    }

static void wrong_answers_without_end_do_not_put_off_the_end_of_a_ping(void **state)
{
    (void)state;
    zcb_session *session = start_engine();
    struct flood flood = {.victim = session->urgent, .part = PONG_OF_NO_PING};
    halt(session);
    start_flood(&flood);
    zcb_wait wait = within_ms(50);
    assert_int_equal(zcb_session_ping(session, &wait), ZCB_ERR_TIMEOUT);
    wait = patience();
    assert_ok(zcb_cancel_create(&wait.cancel));
    zcb_cancel_set(wait.cancel);
    for (int i = 0; i < TRIES; i++) {
        await_flow(&flood);
        uint64_t tail = session->urgent->rx.tail;
        assert_int_equal(zcb_session_ping(session, &wait), ZCB_ERR_CANCELLED);
        assert_in_range(session->urgent->rx.tail - tail, 0, 1);
    }
    stop_flood(&flood);
    zcb_cancel_free(wait.cancel);
    zcb_session_free(session);
    assert_no_children();
}

#if !defined(_WIN32)

static void a_bell_that_rings_without_end_does_not_hold_who_stands_by(void **state)
{
    (void)state;
    zcb_session *session = start_engine();
    int bell = (int)session->commands->rx.standby_bell;
    int endless = eventfd(1000000000, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(dup2(endless, bell), bell); /* faster than anybody can clear it */
    (void)submit(session, "wait", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    zcb_result *result;
    zcb_wait wait = within_ms(50);
    assert_int_equal(zcb_session_next(session, &result, &wait), ZCB_ERR_TIMEOUT);
    wait = patience();
    assert_ok(zcb_cancel_create(&wait.cancel));
    zcb_cancel_set(wait.cancel);
    assert_int_equal(zcb_session_next(session, &result, &wait), ZCB_ERR_CANCELLED);
    zcb_cancel_free(wait.cancel);
    close(endless);
    zcb_session_free(session);
    assert_no_children();
}

#endif

static void many_requests_to_an_engine_that_does_not_listen_wait_but_once(void **state)
{
    (void)state;
    enum { TRANSFERS = 200 }; /* 20 s when each of them waits */
    zcb_session *session = start_engine();
    zcb_bridge *bridge;
    zcb_wait wait = patience(), at_once = {0};
    uint64_t id;
    zcb_message stop = {.kind = ZCB_KIND_CONTROL, .flags = URGENT_STOP, .id = UINT64_MAX};
    assert_ok(zcb_bridge_open(session, NULL, &bridge, NULL));
    halt(session);
    for (int i = 0; i < TRANSFERS; i++)
        assert_ok(zcb_bridge_post_receive(bridge, "$x", 2, 0, ZCB_FOREVER, &id, &wait));
    while (zcb_send(session->urgent, &stop, NULL, &at_once) == ZCB_OK)
        continue;
    int64_t begin = zcb_now_ns();
    zcb_bridge_close(bridge);
    assert_true(zcb_now_ns() - begin < 5000 * MS);
    zcb_bridge_free(bridge);
    zcb_session_free(session);
    assert_no_children();
}

static void nobody_can_wait_for_a_command_that_was_given_up(void **state)
{
    (void)state;
    zcb_session *session = start_engine();
    zcb_result *result;
    zcb_wait at_once = {0}, wait = patience();
    assert_int_equal(zcb_session_run(session, "wait", 4, 0, ZCB_FOREVER, &result, &at_once),
                     ZCB_ERR_TIMEOUT);
    assert_int_equal(zcb_session_wait(session, 1, &result, &wait), ZCB_ERR_NOT_FOUND);
    zcb_session_free(session);
    assert_no_children();
}

/* ---------------------------------------------------------------- counters */

static void a_senseless_head_ends_the_channel(void **state)
{
    (void)state;
    const uint64_t heads[] = {RING_ENTRIES + 2, UINT64_MAX, UINT64_C(1) << 63, 0};
    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        struct pair pair = make_pair();
        zcb_message message;
        publish(&pair, &(struct descriptor){
                           .kind = 1, .block = NO_BLOCK, .marks = MARK_FIRST | MARK_LAST});
        assert_ok(begin(&pair, &message));
        assert_ok(zcb_receive_end(pair.a));
        atomic_store(&pair.b->tx.control->head, heads[i]);
        assert_int_equal(begin(&pair, &message), ZCB_ERR_PROTOCOL);
        assert_failed(&pair);
        free_pair(&pair);
    }
}

static void a_senseless_tail_ends_the_channel(void **state)
{
    (void)state;
    const uint64_t tails[] = {2, UINT64_MAX, UINT64_C(1) << 63, UINT64_MAX - RING_ENTRIES};
    for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
        struct pair pair = make_pair();
        assert_ok(send_bytes(&pair, 1));
        atomic_store(&pair.b->rx.control->tail, tails[i]);
        assert_int_equal(send_bytes(&pair, 1), ZCB_ERR_PROTOCOL);
        assert_failed(&pair);
        free_pair(&pair);
    }
}

static void returning_what_is_not_out_ends_the_channel(void **state)
{
    (void)state;
    struct pair probe = make_pair();
    uint32_t pieces = probe.a->region->geometry.pieces;
    free_pair(&probe);
    const uint32_t blocks[] = {0, pieces + 1, BLOCKS - 1, BLOCKS, NO_BLOCK, UINT32_C(1) << 31};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
        struct pair pair = make_pair();
        assert_ok(send_bytes(&pair, 1)); /* block `pieces` is out */
        zcbi_rx_give_back(pair.b, blocks[i]);
        assert_int_equal(send_bytes(&pair, 1), ZCB_ERR_PROTOCOL);
        assert_failed(&pair);
        free_pair(&pair);
    }
}

static void returning_a_block_twice_ends_the_channel(void **state)
{
    (void)state;
    struct pair pair = make_pair();
    uint32_t pieces = pair.a->region->geometry.pieces;
    assert_ok(send_bytes(&pair, 1));
    zcbi_rx_give_back(pair.b, pieces);
    zcbi_rx_give_back(pair.b, pieces);
    assert_int_equal(send_bytes(&pair, 1), ZCB_ERR_PROTOCOL);
    assert_failed(&pair);
    free_pair(&pair);
}

static void a_senseless_count_of_returns_ends_the_channel(void **state)
{
    (void)state;
    const uint64_t counts[] = {BLOCKS + 2, UINT64_MAX, 0, 2};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        struct pair pair = make_pair();
        assert_ok(send_bytes(&pair, 1));
        zcbi_rx_give_back(pair.b, pair.a->region->geometry.pieces);
        assert_ok(send_bytes(&pair, 1));
        atomic_store(&pair.b->rx.control->returned, counts[i]);
        assert_int_equal(send_bytes(&pair, 1), ZCB_ERR_PROTOCOL);
        assert_failed(&pair);
        free_pair(&pair);
    }
}

static void a_block_that_is_returned_while_it_is_written_hurts_only_the_peer(void **state)
{
    (void)state;
    struct pair pair = make_pair();
    zcb_message message = {.kind = 1, .bytes = FRAME};
    unsigned char *payload = calloc(1, FRAME);
    size_t written = 0;
    zcbi_rx_expect(pair.b, ZCB_WISH_LEASE);
    assert_ok(zcbi_tx_begin(pair.a, &message, NULL));
    assert_ok(zcbi_tx_write(pair.a, payload, FRAME / 2, &written, NULL));
    zcbi_rx_give_back(pair.b, pair.a->tx.now.block);
    assert_ok(zcbi_tx_write(pair.a, payload, FRAME / 2, &written, NULL));
    zcbi_tx_abort(pair.a);
    free(payload);
    free_pair(&pair);
}

/* ---------------------------------------------------------------- joining */

static zcb_error join_with_bell(const struct region *region, plat_handle memory,
                                uint64_t frame_bytes, uint64_t window_bytes, plat_handle bell)
{
    plat_handle bells[BELLS];
    zcb_channel *joined = NULL;
    for (int i = 0; i < BELLS; i++)
        bells[i] = copy_of(i == 0 ? bell : region->bells[i]);
    zcb_error error =
        zcbi_channel_join(memory, bells, frame_bytes, window_bytes, PLAT_NO_HANDLE, &joined);
    if (!error)
        zcb_channel_free(joined);
    return error;
}

static zcb_error join(const struct region *region, plat_handle memory, uint64_t frame_bytes,
                      uint64_t window_bytes)
{
    return join_with_bell(region, memory, frame_bytes, window_bytes, region->bells[0]);
}

#define OTHERS 4

/* What is no bell. */
#if defined(_WIN32)

static void open_others(plat_handle others[OTHERS])
{
    others[0] = (plat_handle)CreateMutexW(NULL, FALSE, NULL);
    others[1] = (plat_handle)CreateSemaphoreW(NULL, 1, 1, NULL);
    others[2] = (plat_handle)OpenProcess(SYNCHRONIZE, FALSE, GetCurrentProcessId());
    assert_ok(zcbi_plat_file_create(&others[3]));
}

#else

static void open_others(plat_handle others[OTHERS])
{
    int ends[2];
    plat_handle b;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_ok(zcbi_plat_link_pair(&others[0], &b));
    zcbi_plat_close(b);
    others[1] = ends[0];
    others[2] = ends[1];
    others[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

#endif

static void joining_refuses_bells_that_are_none(void **state)
{
    (void)state;
    struct pair pair = make_pair();
    const struct region *region = pair.a->region;
    plat_handle wrong[OTHERS + 1] = {region->memory.handle};
    open_others(&wrong[1]);
    unsigned before = open_descriptors();
    for (int i = 0; i <= OTHERS; i++)
        assert_int_equal(
            join_with_bell(region, copy_of(region->memory.handle), FRAME, WINDOW, wrong[i]),
            ZCB_ERR_PROTOCOL);
    assert_int_equal(open_descriptors(), before);
    for (int i = 1; i <= OTHERS; i++)
        zcbi_plat_close(wrong[i]);
    free_pair(&pair);
}

/* Memory of this size that its maker could take away again. */
#if defined(_WIN32)

static plat_handle make_unsafe_memory(size_t bytes)
{
    plat_handle file;
    assert_ok(zcbi_plat_file_create(&file));
    HANDLE grown = ReOpenFile(windows_handle(file), FILE_READ_DATA | FILE_WRITE_DATA,
                              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, 0);
    assert_ptr_not_equal(grown, INVALID_HANDLE_VALUE);
    HANDLE section = CreateFileMappingW(grown, NULL, PAGE_READWRITE, 0, (DWORD)bytes, NULL);
    assert_non_null(section);
    CloseHandle(grown);
    zcbi_plat_close(file);
    return (plat_handle)section;
}

#else

static plat_handle make_unsafe_memory(size_t bytes)
{
    int unsealed = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(unsealed, (off_t)bytes), 0);
    return unsealed;
}

#endif

static void joining_checks_the_header_and_the_sizes(void **state)
{
    (void)state;
    struct pair pair = make_pair();
    struct region *region = pair.a->region;
    struct region_header *header = (struct region_header *)(void *)region->memory.base;
    const struct region_header good = *header;
    unsigned before = open_descriptors();
    plat_handle memory = region->memory.handle;
    assert_int_equal(join(region, copy_of(memory), 0, 0), ZCB_ERR_PROTOCOL);
    assert_int_equal(join(region, copy_of(memory), UINT64_MAX, UINT64_MAX), ZCB_ERR_PROTOCOL);
    assert_int_equal(join(region, copy_of(memory), FRAME + COMMIT_BYTES, WINDOW), ZCB_ERR_PROTOCOL);
    assert_int_equal(join(region, copy_of(memory), FRAME - COMMIT_BYTES, WINDOW), ZCB_ERR_PROTOCOL);
    assert_int_equal(join(region, copy_of(memory), FRAME + COMMIT_BYTES, WINDOW - COMMIT_BYTES),
                     ZCB_ERR_PROTOCOL);
    header->magic++;
    assert_int_equal(join(region, copy_of(memory), FRAME, WINDOW), ZCB_ERR_PROTOCOL);
    *header = good;
    header->version++;
    assert_int_equal(join(region, copy_of(memory), FRAME, WINDOW), ZCB_ERR_VERSION);
    *header = good;
    header->header_bytes++;
    assert_int_equal(join(region, copy_of(memory), FRAME, WINDOW), ZCB_ERR_PROTOCOL);
    *header = good;
    header->window_bytes++;
    assert_int_equal(join(region, copy_of(memory), FRAME, WINDOW), ZCB_ERR_PROTOCOL);
    *header = good;
    assert_int_equal(join(region, copy_of(region->bells[0]), FRAME, WINDOW), ZCB_ERR_PROTOCOL);
    plat_handle unsafe = make_unsafe_memory(region->memory.bytes);
    assert_int_equal(join(region, unsafe, FRAME, WINDOW), ZCB_ERR_PROTOCOL);
    assert_ok(join(region, copy_of(memory), FRAME, WINDOW));
    assert_int_equal(open_descriptors(), before);
    free_pair(&pair);
}

/* ---------------------------------------------------------------- at random */

static bool is_documented(zcb_error error)
{
    switch (error) {
    case ZCB_OK:
    case ZCB_ERR_TIMEOUT:
    case ZCB_ERR_PEER_CLOSED:
    case ZCB_ERR_PROTOCOL:
    case ZCB_ERR_ABORTED:
    case ZCB_ERR_REFUSED:
    case ZCB_ERR_TOO_LARGE:
    case ZCB_ERR_INVALID:
        return true;
    default:
        return false;
    }
}

/* Values that are likely to matter. */
static uint64_t odd_value(uint64_t *seed)
{
    const uint64_t values[] = {0,          1,
                               2,          3,
                               19,         20,
                               21,         BLOCKS - 1,
                               BLOCKS,     RING_ENTRIES,
                               UINT32_MAX, UINT64_MAX,
                               FRAME,      FRAME - 1,
                               DATA,       DATA - 1,
                               DATA + 1,   UINT64_C(1) << 63};
    uint64_t value = values[next_random(seed) % (sizeof(values) / sizeof(*values))];
    return next_random(seed) % 4 == 0 ? next_random(seed) : value;
}

static void scribble(struct pair *pair, uint64_t *seed)
{
    struct stream_control *ours = pair->b->rx.control, *theirs = pair->b->tx.control;
    uint64_t value = odd_value(seed);
    _Atomic uint64_t *counters[] = {&ours->tail,   &ours->returned,  &ours->dropped,
                                    &ours->head,   &theirs->head,    &theirs->sent,
                                    &theirs->tail, &theirs->returned};
    _Atomic uint32_t *flags[] = {&ours->wish, &ours->consumer_asleep, &ours->producer_asleep,
                                 &theirs->producer_asleep, &theirs->consumer_asleep};
    switch (next_random(seed) % 4) {
    case 0:
        atomic_store(counters[next_random(seed) % 8], value);
        break;
    case 1: /* nearly right */
        atomic_fetch_add(counters[next_random(seed) % 8], next_random(seed) % 3 - 1);
        break;
    case 2:
        atomic_store(flags[next_random(seed) % 5], (uint32_t)value);
        break;
    default:
        atomic_store(&pair->b->rx.returns[next_random(seed) % BLOCKS], (uint32_t)value);
        break;
    }
}

/* A descriptor that is right but for a field or two. */
static void publish_odd(struct pair *pair, uint64_t *seed)
{
    struct descriptor d = {.kind = 1, .bytes = next_random(seed) % 200, .block = 20, .offset = 64};
    bool last = next_random(seed) % 2;
    d.message_bytes = last ? d.bytes : d.bytes + next_random(seed) % 300;
    d.block = d.bytes ? (uint32_t)(next_random(seed) % 40) : NO_BLOCK;
    d.marks = (d.bytes == d.message_bytes ? MARK_LAST : 0u) |
              (next_random(seed) % 3 ? MARK_FIRST : 0u) | (next_random(seed) % 2 ? MARK_WHOLE : 0u);
    uint64_t value = odd_value(seed);
    switch (next_random(seed) % 12) {
    case 0:
        d.offset = value;
        break;
    case 1:
        d.bytes = value;
        break;
    case 2:
        d.message_bytes = value;
        break;
    case 3:
        d.block = (uint32_t)value;
        break;
    case 4:
        d.marks = (uint32_t)value;
        break;
    case 5:
        d.kind = (uint32_t)value;
        break;
    case 6:
        d = (struct descriptor){.block = NO_BLOCK, .marks = MARK_ABORT};
        break;
    default:
        break;
    }
    publish(pair, &d);
}

static void receive_somehow(struct pair *pair, uint64_t *seed)
{
    zcb_wait at_once = {0};
    zcb_message message;
    unsigned char bytes[400];
    zcb_wish wish = next_random(seed) % 2 ? ZCB_WISH_COPY : ZCB_WISH_LEASE;
    zcb_error error = zcb_receive_begin(pair->a, wish, &message, &at_once);
    assert_true(is_documented(error));
    if (error)
        return;
    zcb_lease *lease = NULL;
    if (wish == ZCB_WISH_LEASE)
        assert_true(is_documented(zcb_receive_lease(pair->a, &lease, &at_once)));
    if (lease) {
        const unsigned char *data = zcb_lease_data(lease);
        assert_true(data >= pair->a->rx.data);
        assert_true(zcb_lease_bytes(lease) <= DATA - (uint64_t)(data - pair->a->rx.data));
    }
    size_t some = (size_t)(next_random(seed) % sizeof(bytes));
    assert_true(is_documented(zcb_receive_read(pair->a, bytes, some, NULL, &at_once)));
    if (next_random(seed) % 2 || zcb_receive_end(pair->a) != ZCB_OK)
        zcb_receive_drop(pair->a);
    zcb_lease_free(lease);
}

static void random_nonsense_never_crashes(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 4000; round++) {
        uint64_t seed = round;
        struct pair pair = make_pair();
        for (int step = 0; step < 40; step++) {
            switch (next_random(&seed) % 4) {
            case 0:
                scribble(&pair, &seed);
                break;
            case 1:
                publish_odd(&pair, &seed);
                break;
            case 2:
                receive_somehow(&pair, &seed);
                break;
            default:
                assert_true(is_documented(send_bytes(&pair, next_random(&seed) % FRAME)));
                break;
            }
        }
        free_pair(&pair);
    }
}

struct vandal {
    struct pair *pair;
    _Atomic int began, stop;
};

static void *vandalize(void *arg)
{
    struct vandal *vandal = arg;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;
    while (!atomic_load(&vandal->stop)) {
        unsigned char *ring = (unsigned char *)vandal->pair->b->tx.ring;
        atomic_store(&vandal->began, 1);
        if (next_random(&seed) % 64 == 0)
            scribble(vandal->pair, &seed);
        else
            ring[next_random(&seed) % (64 * sizeof(struct descriptor))] =
                (unsigned char)next_random(&seed);
    }
    return NULL;
}

static void nonsense_at_the_very_moment_never_crashes(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip(); /* the vandal's writes are races, on purpose */
#endif
    for (uint64_t round = 0; round < 300; round++) {
        struct pair pair = make_pair();
        struct vandal vandal = {.pair = &pair};
        uint64_t seed = round;
        pthread_t thread = start_thread(vandalize, &vandal);
        while (!atomic_load(&vandal.began))
            sched_yield();
        for (int step = 0; step < 50; step++) {
            receive_somehow(&pair, &seed);
            publish_odd(&pair, &seed);
            assert_true(is_documented(send_bytes(&pair, next_random(&seed) % FRAME)));
        }
        atomic_store(&vandal.stop, 1);
        join_thread(thread);
        free_pair(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_senseless_first_descriptor_ends_the_channel),
        cmocka_unit_test(a_senseless_next_descriptor_ends_the_channel),
        cmocka_unit_test(a_message_that_never_ends_can_be_dropped),
        cmocka_unit_test(a_whole_message_longer_than_its_memory_cannot_be_leased),
        cmocka_unit_test(a_message_without_end_holds_no_call_beyond_its_deadline),
        cmocka_unit_test(a_cancel_ends_the_discarding_of_a_message_without_end),
        cmocka_unit_test(a_sender_times_out_when_the_window_is_never_given_back),
        ON_POSIX(a_bell_that_was_made_to_block_is_cleared_without_waiting, NO_DESCRIPTOR_FLAGS),
        ON_POSIX(closing_frees_a_thread_that_a_full_bell_blocks, NO_DESCRIPTOR_FLAGS),
        cmocka_unit_test(an_engine_that_has_ended_but_goes_on_answering_is_gone),
        cmocka_unit_test(wrong_answers_without_end_do_not_put_off_the_end_of_a_ping),
        ON_POSIX(a_bell_that_rings_without_end_does_not_hold_who_stands_by,
                 "no event sets itself again"),
        cmocka_unit_test(many_requests_to_an_engine_that_does_not_listen_wait_but_once),
        cmocka_unit_test(nobody_can_wait_for_a_command_that_was_given_up),
        cmocka_unit_test(a_senseless_head_ends_the_channel),
        cmocka_unit_test(a_senseless_tail_ends_the_channel),
        cmocka_unit_test(returning_what_is_not_out_ends_the_channel),
        cmocka_unit_test(returning_a_block_twice_ends_the_channel),
        cmocka_unit_test(a_senseless_count_of_returns_ends_the_channel),
        cmocka_unit_test(a_block_that_is_returned_while_it_is_written_hurts_only_the_peer),
        cmocka_unit_test(joining_checks_the_header_and_the_sizes),
        cmocka_unit_test(joining_refuses_bells_that_are_none),
        cmocka_unit_test(random_nonsense_never_crashes),
        cmocka_unit_test(nonsense_at_the_very_moment_never_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
