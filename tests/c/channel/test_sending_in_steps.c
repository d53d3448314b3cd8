/* A message that is sent in steps: begin, write, end or drop. */
#include "channel/block.h"
#include "messages.h"

static void a_message_can_be_written_in_parts_of_any_length(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = malloc(FRAME);
    uint64_t seed = 5;
    fill(payload, FRAME, 1);
    for (int i = 0; i < 20; i++) {
        zcb_message message = message_of(1, i == 0 ? 0 : next_random(&seed) % FRAME);
        size_t done = 0, part;
        assert_ok(zcb_send_begin(pair->a, &message, NULL));
        while (done < message.bytes) {
            assert_empty(pair->b); /* nothing of it is seen before its end, since nobody waits */
            part = (size_t)(next_random(&seed) % (2 * PIECE));
            part = part < message.bytes - done ? part : (size_t)message.bytes - done;
            assert_int_equal(zcb_send_end(pair->a), ZCB_ERR_INVALID);
            assert_ok(zcb_send_write(pair->a, payload + done, part, &done, NULL));
        }
        size_t none = 0;
        assert_int_equal(zcb_send_write(pair->a, payload, 1, &none, NULL), ZCB_ERR_INVALID);
        assert_int_equal(none, 0);
        assert_ok(zcb_send_end(pair->a));
        assert_received(pair->b, 1, message.bytes);
    }
    free(payload);
    assert_frame_is_free(pair);
}

static void the_sending_lock_is_kept_from_begin_to_end(void **state)
{
    struct pair *pair = *state;
    zcb_message message = message_of(1, 10);
    unsigned char payload[10];
    size_t done = 0;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 2, .bytes = 10};
    fill(payload, 10, 1);
    assert_ok(zcb_send_begin(pair->a, &message, NULL));
    pthread_t sender = start_thread(run_send, &call);
    await_in_line(&pair->a->tx.lock);
    assert_ok(zcb_send_write(pair->a, payload, 10, &done, NULL));
    assert_ok(zcb_send_end(pair->a));
    join_thread(sender);
    assert_int_equal(call.error, ZCB_OK);
    assert_received(pair->b, 1, 10);
    assert_received(pair->b, 2, 10);
}

static void what_is_dropped_before_it_was_seen_leaves_no_trace(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME);
    for (size_t part = 0; part < FRAME; part += FRAME / 4) {
        zcb_message message = message_of(1, FRAME);
        size_t done = 0;
        assert_ok(zcb_send_begin(pair->a, &message, NULL));
        assert_ok(zcb_send_write(pair->a, payload, part, &done, NULL));
        zcb_send_drop(pair->a);
        assert_empty(pair->b);
        assert_frame_is_free(pair);
    }
    free(payload);
    assert_works(pair);
}

static void what_is_dropped_half_way_is_given_up_for_its_reader(void **state)
{
    struct pair *pair = *state;
    unsigned char payload[1000] = {0}, got[1000];
    zcb_message message = message_of(1, LONGEST);
    struct call call = {.channel = pair->b, .wait = patience()};
    size_t done = 0;
    pthread_t reader = start_thread(run_begin, &call);
    await_asleep(receiver_asleep(pair->b));
    assert_ok(zcb_send_begin(pair->a, &message, NULL));
    assert_ok(zcb_send_write(pair->a, payload, 1000, &done, NULL));
    join_thread(reader);
    assert_ok(call.error);
    zcb_send_drop(pair->a);
    assert_ok(zcb_receive_read(pair->b, got, 1000, NULL, NULL));
    assert_int_equal(zcb_receive_read(pair->b, got, 1, NULL, NULL), ZCB_ERR_ABORTED);
    zcb_receive_drop(pair->b);
    assert_works(pair);
    assert_frame_is_free(pair);
}

static void a_begin_that_ends_without_room_has_begun_nothing(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    zcb_message message = message_of(2, 10);
    assert_ok(send_filled(pair->a, 1, FRAME, NULL));
    assert_int_equal(zcb_send_begin(pair->a, &message, &at_once), ZCB_ERR_TIMEOUT);
    assert_received(pair->b, 1, FRAME);
    assert_works(pair); /* the lock is free */
}

static int say_stop(void *arg)
{
    (void)arg;
    return 1;
}

/* A streaming message whose reader has not read yet: the window is full. Each kind of wait ends, and the
 * rest goes on when there is room. */
static void a_write_goes_on_after_every_passing_error(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct two two = make_two(FRAME);
        struct rest rest = {.channel = two.used.a, .bytes = LONGEST};
        struct call call = {.channel = two.used.b, .wait = patience()};
        zcb_message message = message_of(1, LONGEST);
        rest.payload = malloc(LONGEST);
        fill(rest.payload, LONGEST, 1);
        pthread_t reader = start_thread(run_begin, &call);
        await_asleep(receiver_asleep(two.used.b));
        assert_ok(zcb_send_begin(two.used.a, &message, NULL));
        write_rest(&rest); /* at once */
        assert_int_equal(rest.error, ZCB_ERR_TIMEOUT);
        assert_int_equal(rest.done, WINDOW);
        join_thread(reader);
        static const zcb_error errors[] = {ZCB_ERR_TIMEOUT, ZCB_ERR_CANCELLED, ZCB_ERR_INTERRUPTED,
                                           ZCB_ERR_WATCHED};
        rest.wait = how == 0 ? within_ms(2) : patience();
        if (how == 1) {
            assert_ok(zcb_cancel_create(&rest.wait.cancel));
            zcb_cancel_set(rest.wait.cancel);
        }
        if (how == 2)
            rest.wait.interrupted = say_stop;
        if (how == 3) {
            rest.wait.watch = two.watched.b;
            assert_ok(send_filled(two.watched.a, 9, 1, NULL));
        }
        write_rest(&rest);
        assert_int_equal(rest.error, errors[how]);
        assert_int_equal(rest.done, WINDOW); /* nothing more, and nothing lost */
        zcb_cancel_free(rest.wait.cancel);
        rest.wait = patience();
        pthread_t writer = start_thread(write_rest, &rest);
        assert_true(finish_by_copy(two.used.b, &call.message, &call.wait));
        join_thread(writer);
        assert_int_equal(rest.error, ZCB_OK);
        assert_int_equal(rest.done, LONGEST);
        assert_ok(zcb_send_end(two.used.a));
        assert_works(&two.used);
        free(rest.payload);
        free_two(&two);
    }
}

static void a_write_learns_that_its_reader_dropped_the_message(void **state)
{
    struct pair *pair = *state;
    struct rest rest = {.channel = pair->a, .bytes = LONGEST, .wait = patience()};
    struct call call = {.channel = pair->b, .wait = patience()};
    zcb_message message = message_of(1, LONGEST);
    rest.payload = calloc(1, LONGEST);
    pthread_t reader = start_thread(run_begin, &call);
    await_asleep(receiver_asleep(pair->b));
    assert_ok(zcb_send_begin(pair->a, &message, NULL));
    pthread_t writer = start_thread(write_rest, &rest);
    join_thread(reader);
    zcb_receive_drop(pair->b);
    join_thread(writer);
    assert_int_equal(rest.error, ZCB_ERR_REFUSED);
    zcb_send_drop(pair->a);
    free(rest.payload);
    assert_works(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_can_be_written_in_parts_of_any_length),
        TEST(the_sending_lock_is_kept_from_begin_to_end),
        TEST(what_is_dropped_before_it_was_seen_leaves_no_trace),
        TEST(what_is_dropped_half_way_is_given_up_for_its_reader),
        TEST(a_begin_that_ends_without_room_has_begun_nothing),
        cmocka_unit_test(a_write_goes_on_after_every_passing_error),
        TEST(a_write_learns_that_its_reader_dropped_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
