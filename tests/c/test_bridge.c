/* Bridges: pairing, refusal, withdrawal, closing, with an engine that is no PowerShell. */
#include "fake_engine.h"

#define FRAME (UINT64_C(1) << 20)
#define WINDOW (UINT64_C(256) << 10)
#define LONG (3 * FRAME + 5)

struct fixture {
    zcb_session *session;
    zcb_bridge *bridge;
};

static zcb_bridge *open_bridge(zcb_session *session)
{
    zcb_channel_options options = {.frame_bytes = FRAME, .window_bytes = WINDOW};
    zcb_bridge *bridge;
    zcb_detail why;
    if (zcb_bridge_open(session, &options, &bridge, &why))
        fail_msg("%s", why.text);
    return bridge;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    zcb_session_options options = fake_options();
    fixture.session = start_session(&options);
    fixture.bridge = open_bridge(fixture.session);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    zcb_bridge_free(f->bridge);
    zcb_session_free(f->session);
    assert_no_children();
    return 0;
}

static uint64_t post(struct fixture *f, const char *target, int64_t timeout_ms)
{
    zcb_wait wait = patience();
    uint64_t id = 0;
    assert_ok(
        zcb_bridge_post_receive(f->bridge, target, strlen(target), 0, timeout_ms, &id, &wait));
    return id;
}

static uint64_t post_send(struct fixture *f, const char *expression)
{
    zcb_wait wait = patience();
    uint64_t id = 0;
    assert_ok(zcb_bridge_post_send(f->bridge, expression, strlen(expression), 0, 0, ZCB_FOREVER,
                                   &id, &wait));
    return id;
}

/* Content and length are one, so that it can be recognized. */
static zcb_error send_bytes(zcb_bridge *bridge, uint64_t bytes, uint64_t *refused_by,
                            const zcb_wait *wait)
{
    unsigned char *data = malloc((size_t)bytes + 1);
    fill(data, (size_t)bytes, bytes);
    zcb_error error = zcb_bridge_send(bridge, ZCB_KIND_BYTES, data, bytes, refused_by, wait);
    free(data);
    return error;
}

static void assert_sent(struct fixture *f, uint64_t bytes)
{
    zcb_wait wait = patience();
    assert_ok(send_bytes(f->bridge, bytes, NULL, &wait));
}

static void assert_arrived(struct fixture *f, uint64_t id, const char *target, uint64_t bytes)
{
    char text[64], out[64];
    zcb_result *result = wait_for(f->session, id);
    assert_int_equal(result->status, ZCB_STATUS_DONE);
    assert_int_equal(result->op, ZCB_OP_RECEIVE);
    assert_true(result->success);
    zcb_result_free(result);
    snprintf(text, sizeof(text), "check %s", target);
    snprintf(out, sizeof(out), "%llu right", (unsigned long long)bytes);
    assert_true(says(f->session, text, out));
}

static void assert_failed(struct fixture *f, uint64_t id, bool refused)
{
    zcb_result *result = wait_for(f->session, id);
    assert_false(result->success);
    assert_int_equal(result->refused, refused);
    zcb_result_free(result);
}

static void assert_works(struct fixture *f)
{
    uint64_t id = post(f, "$works", ZCB_FOREVER);
    assert_sent(f, 1234);
    assert_arrived(f, id, "$works", 1234);
    assert_sent(f, 4321);
    assert_arrived(f, post(f, "$works", ZCB_FOREVER), "$works", 4321);
}

/* Safe on any thread. */
static bool receive_right(zcb_bridge *bridge, zcb_message *message)
{
    zcb_wait wait = patience();
    zcb_channel *channel = zcb_bridge_channel(bridge);
    if (zcb_bridge_receive_begin(bridge, ZCB_WISH_COPY, message, &wait))
        return false;
    unsigned char *bytes = malloc((size_t)message->bytes + 1);
    bool right = zcb_receive_read(channel, bytes, (size_t)message->bytes, NULL, &wait) == ZCB_OK &&
                 is_filled(bytes, (size_t)message->bytes, message->bytes);
    free(bytes);
    if (!right)
        zcb_receive_drop(channel);
    return right && zcb_receive_end(channel) == ZCB_OK;
}

/* ---------------------------------------------------------------- into the engine */

static const uint64_t sizes[] = {0, 1, 65536, FRAME - 1, FRAME, FRAME + 1, LONG};
#define SIZES (sizeof(sizes) / sizeof(*sizes))

static void a_receive_is_posted_before_or_after_the_send(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < SIZES; i++) {
        uint64_t id = post(f, "$x", ZCB_FOREVER);
        assert_sent(f, sizes[i]);
        assert_arrived(f, id, "$x", sizes[i]);
        if (sizes[i] > FRAME)
            continue; /* nobody receives: there is no room */
        assert_sent(f, sizes[i]);
        assert_arrived(f, post(f, "$x", ZCB_FOREVER), "$x", sizes[i]);
    }
}

static void messages_go_to_the_receives_in_order_whichever_came_first(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 1, ids[400];
    unsigned posted = 0, sent = 0;
    while (posted < 400 || sent < 400) {
        if (posted < 400 && next_random(&seed) % 2) {
            char target[16];
            snprintf(target, sizeof(target), "$v%u", posted);
            ids[posted++] = post(f, target, ZCB_FOREVER);
        } else if (sent < 400 && sent < posted + 20) {
            assert_sent(f, 1 + sent++);
        }
    }
    for (unsigned i = 0; i < 400; i++) {
        char target[16];
        snprintf(target, sizeof(target), "$v%u", i);
        assert_arrived(f, ids[i], target, 1 + i);
    }
}

static void a_posted_receive_stops_no_command(void **state)
{
    struct fixture *f = *state;
    uint64_t id = post(f, "$x", ZCB_FOREVER);
    assert_serves(f->session);
    assert_sent(f, 10);
    assert_arrived(f, id, "$x", 10);
}

static void senseless_arguments_are_refused(void **state)
{
    struct fixture *f = *state;
    uint64_t id;
    const struct {
        const char *text;
        size_t bytes;
    } targets[] = {{"", 0}, {"x", 1}, {"  ", 2}, {"$a\0b", 4}, {"(1)", 3}, {"$x", 0}};
    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++)
        assert_int_equal(
            zcb_bridge_post_receive(f->bridge, targets[i].text, targets[i].bytes, 0, -1, &id, NULL),
            ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_post_receive(f->bridge, NULL, 0, 0, -1, &id, NULL),
                     ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_post_send(f->bridge, "", 0, 0, 0, -1, &id, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_post_send(f->bridge, "1", 1, 101, 0, -1, &id, NULL),
                     ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_send(f->bridge, ZCB_KIND_ERROR, "x", 1, NULL, NULL),
                     ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_send(f->bridge, ZCB_KIND_BYTES, NULL, 1, NULL, NULL),
                     ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_send(NULL, ZCB_KIND_BYTES, "x", 1, NULL, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_withdraw(f->bridge, 4711), ZCB_ERR_NOT_FOUND);
    zcb_bridge_seen(f->bridge, 4711);
    zcb_bridge_seen(NULL, 1);
    zcb_bridge_free(NULL);
    zcb_bridge_close(NULL);
    zcb_channel_options options = {.frame_bytes = 1, .window_bytes = 0};
    zcb_bridge *bridge;
    zcb_detail why;
    assert_int_equal(zcb_bridge_open(f->session, &options, &bridge, &why), ZCB_ERR_INVALID);
    assert_non_null(strstr(why.text, "frame_bytes 1 "));
    assert_works(f);
}

/* ---------------------------------------------------------------- refusal */

static void a_send_to_a_receive_that_failed_is_refused_once(void **state)
{
    struct fixture *f = *state;
    uint64_t bad = post(f, "$readonly", ZCB_FOREVER), good = post(f, "$x", ZCB_FOREVER),
             refused_by = 0;
    assert_failed(f, bad, true);
    assert_int_equal(send_bytes(f->bridge, 10, &refused_by, NULL), ZCB_ERR_REFUSED);
    assert_int_equal(refused_by, bad);
    assert_sent(f, 20);
    assert_arrived(f, good, "$x", 20);
    assert_works(f);
}

static void a_failure_that_was_seen_refuses_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t bad = post(f, "$readonly", ZCB_FOREVER), good = post(f, "$x", ZCB_FOREVER);
    assert_failed(f, bad, true);
    zcb_bridge_seen(f->bridge, bad);
    assert_sent(f, 20);
    assert_arrived(f, good, "$x", 20);
    assert_works(f);
}

static void what_was_sent_to_a_receive_that_fails_meanwhile_is_lost_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    uint64_t bad = post(f, "$readonly", ZCB_FOREVER), good = post(f, "$x", ZCB_FOREVER);
    assert_sent(f, 10); /* its failure has not been read yet */
    assert_sent(f, 20);
    assert_failed(f, bad, true);
    assert_arrived(f, good, "$x", 20);
    assert_works(f);
}

static void a_queued_message_outlives_the_receive_that_refused_it(void **state)
{
    struct fixture *f = *state;
    assert_sent(f, 10);
    assert_sent(f, 20);
    assert_failed(f, post(f, "$readonly", ZCB_FOREVER), true);
    assert_arrived(f, post(f, "$x", ZCB_FOREVER), "$x", 10);
    assert_arrived(f, post(f, "$x", ZCB_FOREVER), "$x", 20);
    assert_works(f);
}

struct sender {
    zcb_bridge *bridge;
    uint64_t bytes, refused_by;
    zcb_wait wait;
    zcb_error error;
    bool untold;
};

static void *send_here(void *arg)
{
    struct sender *sender = arg;
    sender->error = send_bytes(sender->bridge, sender->bytes,
                               sender->untold ? NULL : &sender->refused_by, &sender->wait);
    return NULL;
}

static void a_sender_learns_who_dropped_its_message_half_way(void **state)
{
    struct fixture *f = *state;
    for (int untold = 0; untold < 2; untold++) {
        struct sender sender = {
            .bridge = f->bridge, .bytes = LONG, .wait = patience(), .untold = untold};
        uint64_t id = post(f, "$drop", ZCB_FOREVER);
        (void)send_here(&sender);
        assert_int_equal(sender.error, ZCB_ERR_REFUSED);
        assert_int_equal(sender.refused_by, untold ? 0 : id);
        assert_failed(f, id, false);
        assert_works(f);
    }
}

static void a_sender_that_came_first_learns_who_dropped_its_message(void **state)
{
    struct fixture *f = *state;
    struct sender sender = {.bridge = f->bridge, .bytes = LONG, .wait = patience()};
    pthread_t thread = start_thread(send_here, &sender);
    await_asleep(&zcb_bridge_channel(f->bridge)->tx.control->producer_asleep);
    uint64_t id = post(f, "$drop", ZCB_FOREVER);
    join_thread(thread);
    assert_int_equal(sender.error, ZCB_ERR_REFUSED);
    assert_int_equal(sender.refused_by, id);
    assert_failed(f, id, false);
    assert_works(f);
}

static void a_sender_that_came_first_waits_for_its_receive(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 10; i++) {
        struct sender sender = {.bridge = f->bridge, .bytes = LONG, .wait = patience()};
        pthread_t thread = start_thread(send_here, &sender);
        await_asleep(&zcb_bridge_channel(f->bridge)->tx.control->producer_asleep);
        assert_arrived(f, post(f, "$x", ZCB_FOREVER), "$x", LONG);
        join_thread(thread);
        assert_int_equal(sender.error, ZCB_OK);
    }
    assert_works(f);
}

/* ---------------------------------------------------------------- withdrawal and timeouts */

static void a_withdrawn_receive_takes_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t first = post(f, "$a", ZCB_FOREVER), second = post(f, "$b", ZCB_FOREVER);
    assert_ok(zcb_bridge_withdraw(f->bridge, first));
    assert_int_equal(zcb_bridge_withdraw(f->bridge, first), ZCB_ERR_TOO_LATE);
    assert_int_equal(status_of(f->session, first), ZCB_STATUS_STOPPED);
    assert_int_equal(zcb_bridge_withdraw(f->bridge, first), ZCB_ERR_NOT_FOUND);
    assert_sent(f, 20);
    assert_arrived(f, second, "$b", 20);
    assert_works(f);
}

static void a_receive_whose_message_was_sent_cannot_be_withdrawn(void **state)
{
    struct fixture *f = *state;
    uint64_t id = post(f, "$x", ZCB_FOREVER);
    assert_sent(f, 10);
    zcb_error error = zcb_bridge_withdraw(f->bridge, id);
    assert_int_equal(error, ZCB_ERR_TOO_LATE);
    assert_arrived(f, id, "$x", 10);
}

static void a_receive_that_times_out_refuses_the_next_send(void **state)
{
    struct fixture *f = *state;
    uint64_t refused_by = 0, id = post(f, "$x", 10);
    assert_int_equal(status_of(f->session, id), ZCB_STATUS_TIMED_OUT);
    assert_int_equal(send_bytes(f->bridge, 10, &refused_by, NULL), ZCB_ERR_REFUSED);
    assert_int_equal(refused_by, id);
    assert_works(f);
}

static void a_send_that_gives_up_leaves_its_receive_waiting(void **state)
{
    struct fixture *f = *state;
    zcb_wait at_once = {0};
    assert_sent(f, FRAME); /* queued: the frame is full */
    assert_int_equal(send_bytes(f->bridge, 10, NULL, &at_once), ZCB_ERR_TIMEOUT);
    uint64_t first = post(f, "$a", ZCB_FOREVER), second = post(f, "$b", ZCB_FOREVER);
    assert_sent(f, 30);
    assert_arrived(f, first, "$a", FRAME);
    assert_arrived(f, second, "$b", 30);
    assert_works(f);
}

static void a_withdrawn_message_leaves_its_taker_to_the_next_one(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        struct sender sender = {.bridge = f->bridge, .bytes = LONG, .wait = patience()};
        assert_ok(zcb_cancel_create(&sender.wait.cancel));
        uint64_t blocked =
            submit(f->session, "wait", 0, ZCB_FOREVER); /* the post is not seen meanwhile */
        pthread_t thread = start_thread(send_here, &sender);
        await_asleep(&zcb_bridge_channel(f->bridge)->tx.control->producer_asleep);
        uint64_t id = post(f, "$x", ZCB_FOREVER);
        zcb_cancel_set(sender.wait.cancel);
        join_thread(thread);
        assert_int_equal(sender.error, ZCB_ERR_CANCELLED);
        zcb_cancel_free(sender.wait.cancel);
        assert_ok(zcb_session_stop(f->session, blocked));
        assert_int_equal(status_of(f->session, blocked), ZCB_STATUS_STOPPED);
        assert_sent(f, 77);
        assert_arrived(f, id, "$x", 77);
    }
    assert_works(f);
}

/* ---------------------------------------------------------------- out of the engine */

static void a_value_comes_with_the_id_of_its_send(void **state)
{
    struct fixture *f = *state;
    char text[32];
    for (size_t i = 0; i < SIZES; i++) {
        snprintf(text, sizeof(text), "%llu", (unsigned long long)sizes[i]);
        uint64_t id = post_send(f, text);
        zcb_message message;
        assert_true(receive_right(f->bridge, &message));
        assert_int_equal(message.id, id);
        assert_int_equal(message.bytes, sizes[i]);
        assert_int_equal(status_of(f->session, id), ZCB_STATUS_DONE);
    }
}

static void an_unread_value_stops_no_command(void **state)
{
    struct fixture *f = *state;
    uint64_t ids[4];
    for (int i = 0; i < 4; i++)
        ids[i] = post_send(f, "3000000");
    assert_serves(f->session);
    for (int i = 0; i < 4; i++) {
        zcb_message message;
        assert_true(receive_right(f->bridge, &message));
        assert_int_equal(message.id, ids[i]);
        assert_int_equal(status_of(f->session, ids[i]), ZCB_STATUS_DONE);
    }
}

static void a_failure_comes_as_a_message_unless_it_was_seen(void **state)
{
    struct fixture *f = *state;
    zcb_message message;
    zcb_wait wait = patience();
    uint64_t bad = post_send(f, "$nosuch");
    assert_ok(zcb_bridge_receive_begin(f->bridge, ZCB_WISH_COPY, &message, &wait));
    assert_int_equal(message.kind, ZCB_KIND_ERROR);
    assert_int_equal(message.id, bad);
    zcb_receive_drop(zcb_bridge_channel(f->bridge));
    assert_failed(f, bad, false);
    zcb_bridge_seen(f->bridge, bad); /* too late: forgotten at once */
    for (int i = 0; i < 10; i++) {
        uint64_t seen = post_send(f, "$nosuch"), good = post_send(f, "5");
        assert_failed(f, seen, false);
        zcb_bridge_seen(f->bridge, seen);
        assert_true(receive_right(f->bridge, &message));
        assert_int_equal(message.id, good);
        assert_int_equal(status_of(f->session, good), ZCB_STATUS_DONE);
    }
    assert_int_equal(f->session->pending_count, 0);
}

static void a_withdrawn_value_does_not_come(void **state)
{
    struct fixture *f = *state;
    zcb_message message;
    uint64_t blocked = submit(f->session, "wait", 0, ZCB_FOREVER);
    uint64_t first = post_send(f, "3000000"), second = post_send(f, "2000000");
    assert_ok(zcb_session_stop(f->session, blocked));
    assert_int_equal(status_of(f->session, blocked), ZCB_STATUS_STOPPED);
    assert_serves(f->session); /* both are queued for sending now */
    assert_ok(zcb_bridge_withdraw(f->bridge, first));
    assert_int_equal(status_of(f->session, first), ZCB_STATUS_STOPPED);
    zcb_bridge_seen(f->bridge, first); /* otherwise its reader is told */
    assert_true(receive_right(f->bridge, &message));
    assert_int_equal(message.id, second);
    assert_int_equal(status_of(f->session, second), ZCB_STATUS_DONE);
}

static void a_lease_outlives_bridge_and_session(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    struct fixture f = {.session = start_session(&options)};
    f.bridge = open_bridge(f.session);
    zcb_message message;
    zcb_lease *lease;
    zcb_wait wait = patience();
    uint64_t id = post_send(&f, "100000");
    assert_int_equal(status_of(f.session, id), ZCB_STATUS_DONE);
    assert_ok(zcb_bridge_receive_begin(f.bridge, ZCB_WISH_LEASE, &message, &wait));
    assert_ok(zcb_receive_lease(zcb_bridge_channel(f.bridge), &lease, &wait));
    assert_ok(zcb_receive_end(zcb_bridge_channel(f.bridge)));
    zcb_session_free(f.session);
    assert_true(is_filled(zcb_lease_data(lease), 100000, 100000));
    zcb_bridge_free(f.bridge);
    assert_true(is_filled(zcb_lease_data(lease), 100000, 100000));
    zcb_lease_free(lease);
    assert_no_children();
}

/* ---------------------------------------------------------------- closing */

struct receiver {
    zcb_bridge *bridge;
    zcb_message message;
    zcb_error error;
};

static void *begin_here(void *arg)
{
    struct receiver *receiver = arg;
    zcb_wait wait = patience();
    receiver->error =
        zcb_bridge_receive_begin(receiver->bridge, ZCB_WISH_COPY, &receiver->message, &wait);
    return NULL;
}

static void end_bridge(struct fixture *f, int how)
{
    if (how == 0)
        zcb_bridge_close(f->bridge);
    else if (how == 1)
        zcb_session_close(f->session, 100);
    else
        kill_its_engine(f->session);
}

static void the_end_of_a_bridge_ends_its_waits_and_transfers(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        zcb_session_options options = fake_options();
        struct fixture f = {.session = start_session(&options)};
        f.bridge = open_bridge(f.session);
        zcb_channel *channel = zcb_bridge_channel(f.bridge);
        uint64_t running = submit(f.session, "wait", 0, ZCB_FOREVER);
        struct receiver receiver = {.bridge = f.bridge};
        struct sender sender = {.bridge = f.bridge, .bytes = LONG, .wait = patience()};
        pthread_t receives = start_thread(begin_here, &receiver),
                  sends = start_thread(send_here, &sender);
        await_asleep(&channel->rx.control->consumer_asleep);
        await_asleep(&channel->tx.control->producer_asleep);
        uint64_t posts[] = {post(&f, "$a", ZCB_FOREVER), post(&f, "$b", ZCB_FOREVER),
                            post_send(&f, "5")};
        end_bridge(&f, how);
        join_thread(receives);
        join_thread(sends);
        zcb_error expected = how == 2 ? ZCB_ERR_PEER_GONE : ZCB_ERR_CLOSED;
        assert_int_equal(receiver.error, expected);
        assert_int_equal(sender.error, expected);
        for (int i = 0; i < 3; i++)
            assert_int_equal(status_of(f.session, posts[i]),
                             how == 0 ? ZCB_STATUS_STOPPED : ZCB_STATUS_LOST);
        if (how == 0) {
            uint64_t id;
            assert_int_equal(zcb_bridge_post_receive(f.bridge, "$x", 2, 0, -1, &id, NULL),
                             ZCB_ERR_CLOSED);
            assert_ok(zcb_session_stop(f.session, running));
            assert_int_equal(status_of(f.session, running), ZCB_STATUS_STOPPED);
            assert_serves(f.session);
        }
        zcb_error later = send_bytes(f.bridge, 1, NULL, NULL);
        assert_int_equal(later, expected);
        zcb_bridge_free(f.bridge);
        zcb_session_free(f.session);
    }
    assert_no_children();
}

static void what_was_sent_before_the_engine_died_can_be_received(void **state)
{
    struct fixture *f = *state;
    zcb_message message;
    uint64_t id = post_send(f, "100");
    assert_int_equal(status_of(f->session, id), ZCB_STATUS_DONE);
    kill_its_engine(f->session);
    await_end_of(zcb_session_pid(f->session));
    assert_true(receive_right(f->bridge, &message));
    zcb_wait wait = patience();
    assert_int_equal(zcb_bridge_receive_begin(f->bridge, ZCB_WISH_COPY, &message, &wait),
                     ZCB_ERR_PEER_GONE);
}

static void a_session_can_have_a_hundred_bridges(void **state)
{
    struct fixture *f = *state;
    struct fixture all[100];
    uint64_t ids[100];
    for (int i = 0; i < 100; i++)
        all[i] = (struct fixture){f->session, open_bridge(f->session)};
    for (int i = 0; i < 100; i++)
        ids[i] = post(&all[i], "$x", ZCB_FOREVER);
    for (uint64_t i = 0; i < 100; i++)
        assert_sent(&all[99 - i], 1000);
    for (int i = 0; i < 100; i++)
        assert_int_equal(status_of(f->session, ids[i]), ZCB_STATUS_DONE);
    for (int i = 0; i < 100; i++)
        zcb_bridge_free(all[(i * 37) % 100].bridge);
    assert_works(f);
}

static void bridges_open_beyond_what_the_link_holds(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 400 };
    static struct fixture all[COUNT];
    allow_descriptors(4 * COUNT * (1 + BELLS));
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options); /* with that limit */
    for (int i = 0; i < COUNT; i++)
        all[i] = (struct fixture){session, open_bridge(session)};
    for (int i = COUNT; i-- > 0;)
        zcb_bridge_free(all[i].bridge);
    zcb_session_free(session);
    assert_works(f);
}

static void bridges_that_come_and_go_leave_nothing_behind(void **state)
{
    struct fixture *f = *state;
    assert_works(f);
    unsigned ours = open_descriptors();
    int64_t engines = number_of(f->session, "descriptors");
    for (int i = 0; i < 300; i++) {
        zcb_channel_options options = {.frame_bytes = 0, .window_bytes = 0};
        zcb_bridge *bridge;
        uint64_t id;
        zcb_wait wait = patience();
        assert_ok(zcb_bridge_open(f->session, &options, &bridge, NULL));
        if (i % 100 == 0) {
            assert_ok(zcb_bridge_post_receive(bridge, "$x", 2, 0, -1, &id, &wait));
            assert_ok(send_bytes(bridge, 10, NULL, &wait));
            assert_int_equal(status_of(f->session, id), ZCB_STATUS_DONE);
        }
        zcb_bridge_free(bridge);
    }
    assert_int_equal(open_descriptors(), ours);
    assert_ok(zcb_session_ping(f->session, NULL)); /* it has heard of the last close */
    /* The fake engine keeps the channels that it has used. */
    int64_t left = number_of(f->session, "descriptors");
    assert_true(left <= engines + 3 * 8);
}

static void a_bridge_of_an_ended_session_does_not_open(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options);
    zcb_bridge *bridge;
    zcb_detail why;
    unsigned before = open_descriptors();
    zcb_session_close(session, 1000);
    assert_int_equal(zcb_bridge_open(session, NULL, &bridge, &why), ZCB_ERR_CLOSED);
    assert_true(why.text[0] != 0);
    assert_int_equal(open_descriptors(), before);
    zcb_session_free(session);
}

/* ---------------------------------------------------------------- many threads */

struct crowd {
    struct fixture *f;
    _Atomic unsigned wrong;
};

static void *send_some(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;
    zcb_wait wait = patience();
    for (int i = 0; i < 100; i++)
        if (send_bytes(crowd->f->bridge, next_random(&seed) % 40000, NULL, &wait))
            atomic_fetch_add(&crowd->wrong, 1);
    return NULL;
}

static void *post_some(void *arg)
{
    struct crowd *crowd = arg;
    zcb_wait wait = patience();
    for (int i = 0; i < 100; i++) {
        uint64_t id;
        zcb_result *result = NULL;
        bool right =
            zcb_bridge_post_receive(crowd->f->bridge, "$x", 2, 0, -1, &id, &wait) == ZCB_OK &&
            zcb_session_wait(crowd->f->session, id, &result, &wait) == ZCB_OK && result->success;
        if (!right)
            atomic_fetch_add(&crowd->wrong, 1);
        zcb_result_free(result);
    }
    return NULL;
}

static void *fetch_some(void *arg)
{
    struct crowd *crowd = arg;
    zcb_wait wait = patience();
    for (int i = 0; i < 100; i++) {
        uint64_t id;
        zcb_message message;
        zcb_result *result = NULL;
        bool right =
            zcb_bridge_post_send(crowd->f->bridge, "5000", 4, 0, 0, -1, &id, &wait) == ZCB_OK &&
            receive_right(crowd->f->bridge, &message) &&
            zcb_session_wait(crowd->f->session, id, &result, &wait) == ZCB_OK && result->success;
        if (!right)
            atomic_fetch_add(&crowd->wrong, 1);
        zcb_result_free(result);
    }
    return NULL;
}

static void many_threads_use_one_bridge(void **state)
{
    struct crowd crowd = {.f = *state};
    void *(*const work[])(void *) = {send_some, send_some,  post_some,
                                     post_some, fetch_some, fetch_some};
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        threads[i] = start_thread(work[i], &crowd);
    for (int i = 0; i < 6; i++)
        join_thread(threads[i]);
    assert_int_equal(crowd.wrong, 0);
    assert_works(*state);
}

/* ---------------------------------------------------------------- held in place */

static uint64_t post_lease(struct fixture *f, const char *target)
{
    zcb_wait wait = patience();
    uint64_t id = 0;
    assert_ok(zcb_bridge_post_receive(f->bridge, target, strlen(target), ZCB_COMMAND_LEASE,
                                      ZCB_FOREVER, &id, &wait));
    return id;
}

/* The engine waits there for a message. */
static void await_engine(struct fixture *f)
{
    const struct stream_control *control = zcb_bridge_channel(f->bridge)->tx.control;
    while (atomic_load(&control->wish) == 0)
        sched_yield();
}

static void a_receive_that_holds_its_message_gets_it_in_one_piece(void **state)
{
    struct fixture *f = *state;
    const struct sending *now = &zcb_bridge_channel(f->bridge)->tx.now;
    for (int lease = 0; lease < 2; lease++) {
        uint64_t id = lease ? post_lease(f, "$x") : post(f, "$x", ZCB_FOREVER);
        await_engine(f);
        assert_sent(f, FRAME);
        assert_int_equal(now->streaming, !lease);
        assert_arrived(f, id, "$x", FRAME);
    }
    uint64_t id = post(f, "$x", ZCB_FOREVER); /* the one after it streams as before */
    await_engine(f);
    assert_sent(f, FRAME);
    assert_true(now->streaming);
    assert_arrived(f, id, "$x", FRAME);
}

static void where_the_frame_has_no_room_it_comes_all_the_same(void **state)
{
    struct fixture *f = *state;
    zcb_channel *channel = zcb_bridge_channel(f->bridge);
    zcb_block *block;
    assert_ok(zcb_block_allocate(channel, FRAME, &block, NULL));
    uint64_t id = post_lease(f, "$x");
    assert_sent(f, 1000);
    assert_true(channel->tx.now.streaming);
    assert_arrived(f, id, "$x", 1000);
    zcb_block_free(block);
    assert_works(f);
}

static void what_cannot_be_held_is_refused_and_the_receive_waits_on(void **state)
{
    struct fixture *f = *state;
    zcb_wait wait = patience();
    uint64_t id = post_lease(f, "$x"), refused_by = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send_bytes(f->bridge, FRAME + 1, &refused_by, &wait), ZCB_ERR_TOO_LARGE);
        assert_int_equal(refused_by, id);
    }
    assert_sent(f, 77);
    assert_arrived(f, id, "$x", 77);
    id = post_lease(f, "$x"); /* of another kind than bytes it is never held in place */
    unsigned char *text = malloc(LONG);
    fill(text, LONG, LONG);
    assert_ok(zcb_bridge_send(f->bridge, ZCB_KIND_CLIXML, text, LONG, NULL, &wait));
    assert_arrived(f, id, "$x", LONG);
    free(text);
    assert_works(f);
}

static void a_receive_that_holds_and_waits_again_still_holds(void **state)
{
    struct fixture *f = *state;
    zcb_wait at_once = {0};
    assert_sent(f, FRAME); /* so that the next one finds no room */
    uint64_t takes = post(f, "$first", ZCB_FOREVER);
    assert_arrived(f, takes, "$first", FRAME);
    uint64_t id = post_lease(f, "$x");
    zcb_block *block;
    assert_ok(zcb_block_allocate(zcb_bridge_channel(f->bridge), FRAME, &block, NULL));
    zcb_error error = send_bytes(f->bridge, FRAME, NULL, &at_once); /* gone, or given up half-way */
    zcb_block_free(block);
    if (error) {
        assert_int_equal(error, ZCB_ERR_TIMEOUT);
        await_engine(f);
        assert_sent(f, FRAME);
        assert_false(zcb_bridge_channel(f->bridge)->tx.now.streaming);
    }
    assert_arrived(f, id, "$x", FRAME);
    assert_works(f);
}

static void a_block_is_sent_by_its_bridge_without_a_copy(void **state)
{
    struct fixture *f = *state;
    zcb_channel *channel = zcb_bridge_channel(f->bridge);
    zcb_wait wait = patience();
    zcb_block *block;
    assert_ok(zcb_block_allocate(channel, 5000, &block, &wait));
    fill(zcb_block_data(block), 5000, 5000);
    uint64_t id = post_lease(f, "$x");
    assert_ok(zcb_bridge_send(f->bridge, ZCB_KIND_BYTES, zcb_block_data(block), 5000, NULL, &wait));
    assert_true(block->sent);
    assert_arrived(f, id, "$x", 5000);
    zcb_bridge_close(f->bridge);
    fill(zcb_block_data(block), 5000, 1); /* it outlives the bridge */
    zcb_block_free(block);
}

static void labels_are_as_long_as_they_may_be(void **state)
{
    struct fixture *f = *state;
    char label[ZCB_MAX_LABEL_BYTES + 2] = {0};
    zcb_channel_options options = {.frame_bytes = FRAME, .label = label};
    zcb_bridge *bridge;
    zcb_detail why;
    memset(label, 'x', ZCB_MAX_LABEL_BYTES);
    assert_ok(zcb_bridge_open(f->session, &options, &bridge, &why));
    zcb_bridge_free(bridge);
    label[ZCB_MAX_LABEL_BYTES] = 'x';
    assert_int_equal(zcb_bridge_open(f->session, &options, &bridge, &why), ZCB_ERR_INVALID);
    assert_non_null(strstr(why.text, "label"));
}

#if !defined(_WIN32)

static bool child_is_kept_out(struct fixture *f, uint64_t id)
{
    uint64_t other;
    zcb_message message;
    bool out =
        zcb_bridge_post_receive(f->bridge, "$x", 2, 0, -1, &other, NULL) == ZCB_ERR_FORKED &&
        zcb_bridge_send(f->bridge, ZCB_KIND_BYTES, "x", 1, NULL, NULL) == ZCB_ERR_FORKED &&
        zcb_bridge_receive_begin(f->bridge, ZCB_WISH_COPY, &message, NULL) == ZCB_ERR_FORKED &&
        zcb_bridge_withdraw(f->bridge, id) == ZCB_ERR_FORKED;
    zcb_bridge_seen(f->bridge, id);
    zcb_bridge_close(f->bridge);
    zcb_bridge_free(f->bridge);
    zcb_session_free(f->session);
    return out;
}

static void a_forked_child_is_kept_out_and_the_parent_goes_on(void **state)
{
    struct fixture *f = *state;
    uint64_t id = post(f, "$x", ZCB_FOREVER);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_is_kept_out(f, id) ? 0 : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_sent(f, 10);
    assert_arrived(f, id, "$x", 10);
    assert_works(f);
}

#endif

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_receive_is_posted_before_or_after_the_send),
        TEST(messages_go_to_the_receives_in_order_whichever_came_first),
        TEST(a_posted_receive_stops_no_command),
        TEST(senseless_arguments_are_refused),
        TEST(a_send_to_a_receive_that_failed_is_refused_once),
        TEST(a_failure_that_was_seen_refuses_nothing),
        TEST(what_was_sent_to_a_receive_that_fails_meanwhile_is_lost_and_nothing_else),
        TEST(a_queued_message_outlives_the_receive_that_refused_it),
        TEST(a_sender_learns_who_dropped_its_message_half_way),
        TEST(a_sender_that_came_first_learns_who_dropped_its_message),
        TEST(a_sender_that_came_first_waits_for_its_receive),
        TEST(a_withdrawn_receive_takes_nothing),
        TEST(a_receive_whose_message_was_sent_cannot_be_withdrawn),
        TEST(a_receive_that_times_out_refuses_the_next_send),
        TEST(a_send_that_gives_up_leaves_its_receive_waiting),
        TEST(a_withdrawn_message_leaves_its_taker_to_the_next_one),
        TEST(a_value_comes_with_the_id_of_its_send),
        TEST(an_unread_value_stops_no_command),
        TEST(a_failure_comes_as_a_message_unless_it_was_seen),
        TEST(a_withdrawn_value_does_not_come),
        cmocka_unit_test(a_lease_outlives_bridge_and_session),
        cmocka_unit_test(the_end_of_a_bridge_ends_its_waits_and_transfers),
        TEST(what_was_sent_before_the_engine_died_can_be_received),
        TEST(a_session_can_have_a_hundred_bridges),
        TEST(bridges_open_beyond_what_the_link_holds),
        TEST(bridges_that_come_and_go_leave_nothing_behind),
        cmocka_unit_test(a_bridge_of_an_ended_session_does_not_open),
        TEST(many_threads_use_one_bridge),
        TEST(a_receive_that_holds_its_message_gets_it_in_one_piece),
        TEST(where_the_frame_has_no_room_it_comes_all_the_same),
        TEST(what_cannot_be_held_is_refused_and_the_receive_waits_on),
        TEST(a_receive_that_holds_and_waits_again_still_holds),
        TEST(a_block_is_sent_by_its_bridge_without_a_copy),
        TEST(labels_are_as_long_as_they_may_be),
        TEST_ON_POSIX(a_forked_child_is_kept_out_and_the_parent_goes_on, NO_FORK),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
