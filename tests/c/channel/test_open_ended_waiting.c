/* Open-ended messages: what ends the waits of their sender and receiver. */
#include "messages.h"

#define AHEAD (FRAME + WINDOW) /* as far as the sender runs */

static void begin_open_ended(zcb_channel *channel)
{
    zcb_wait wait = patience();
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = 1, .bytes = ZCB_OPEN_ENDED};
    assert_ok(zcb_send_begin(channel, &message, &wait));
}

static void begin_receiving(zcb_channel *channel)
{
    zcb_wait wait = patience();
    zcb_message message;
    assert_ok(zcb_receive_begin(channel, ZCB_WISH_COPY, &message, &wait));
    assert_int_equal(message.bytes, ZCB_OPEN_ENDED);
}

static pthread_t start_stuck_writer(struct pair *pair, struct rest *rest)
{
    begin_open_ended(pair->a);
    *rest = (struct rest){.channel = pair->a, .bytes = LONGEST, .wait = patience()};
    rest->payload = calloc(1, LONGEST);
    pthread_t thread = start_thread(write_rest, rest);
    await_asleep(sender_asleep(pair->a));
    return thread;
}

static void assert_writer_ends(pthread_t thread, struct rest *rest, zcb_error error)
{
    join_thread(thread);
    assert_int_equal(rest->error, error);
    assert_int_equal(rest->done, AHEAD);
    zcb_send_drop(rest->channel);
    free(rest->payload);
}

static void a_close_of_either_side_ends_the_senders_wait(void **state)
{
    (void)state;
    for (int ours = 0; ours < 2; ours++) {
        struct pair pair = make_pair(FRAME, WINDOW);
        struct rest rest;
        pthread_t thread = start_stuck_writer(&pair, &rest);
        zcb_channel_close(ours ? pair.a : pair.b);
        assert_writer_ends(thread, &rest, ours ? ZCB_ERR_CLOSED : ZCB_ERR_PEER_CLOSED);
        free_pair(&pair);
    }
}

static void a_drop_ends_the_senders_wait(void **state)
{
    struct pair *pair = *state;
    struct rest rest;
    pthread_t thread = start_stuck_writer(pair, &rest);
    begin_receiving(pair->b);
    atomic_store(&pair->b->rx.control->dropped, 1); /* and takes nothing, as one that is slow */
    doorbell_ring(sender_asleep(pair->a), pair->b->rx.room_bell);
    assert_writer_ends(thread, &rest, ZCB_ERR_REFUSED);
    zcb_receive_drop(pair->b);
    assert_works(pair);
    assert_frame_is_free(pair);
}

static void what_is_watched_ends_the_waits_of_both_sides(void **state)
{
    (void)state;
    struct two two = make_two(FRAME);
    unsigned char *bytes = calloc(1, LONGEST);
    zcb_wait wait = patience();
    size_t done = 0;
    wait.watch = two.watched.b;
    begin_open_ended(two.used.a);
    assert_ok(send_filled(two.watched.a, 1, 10, NULL));
    assert_int_equal(zcb_send_write(two.used.a, bytes, LONGEST, &done, &wait), ZCB_ERR_WATCHED);
    size_t written = done;
    assert_in_range(written, 1, AHEAD);
    begin_receiving(two.used.b);
    done = 0;
    zcb_error error = ZCB_OK;
    while (!error || (error == ZCB_ERR_WATCHED && done < written / PIECE * PIECE))
        error = zcb_receive_read(two.used.b, bytes, LONGEST - done, &done, &wait);
    assert_int_equal(error, ZCB_ERR_WATCHED); /* nothing is left to be read */
    assert_received(two.watched.b, 1, 10);
    done = 0; /* and both go on */
    assert_ok(zcb_send_write(two.used.a, bytes, PIECE, &done, &wait));
    assert_ok(zcb_send_end(two.used.a));
    zcb_receive_drop(two.used.b);
    assert_works(&two.used);
    free(bytes);
    free_two(&two);
}

struct trickle {
    zcb_channel *channel;
    _Atomic bool stop;
    zcb_error error;
};

/* Byte by byte, each at once. */
static void *send_a_trickle(void *arg)
{
    struct trickle *trickle = arg;
    zcb_wait wait = patience();
    while (!atomic_load(&trickle->stop) && !trickle->error) {
        size_t done = 0;
        trickle->error = zcb_send_write(trickle->channel, "x", 1, &done, &wait);
        if (!trickle->error)
            trickle->error = zcb_send_flush(trickle->channel);
    }
    return NULL;
}

static void a_trickle_without_end_does_not_hold_a_read_beyond_its_deadline(void **state)
{
    struct pair *pair = *state;
    struct trickle trickle = {.channel = pair->a};
    unsigned char *bytes = malloc(LONGEST);
    zcb_wait brief = within_ms(50);
    size_t done = 0;
    begin_open_ended(pair->a);
    pthread_t thread = start_thread(send_a_trickle, &trickle);
    begin_receiving(pair->b);
    assert_int_equal(zcb_receive_read(pair->b, bytes, LONGEST, &done, &brief), ZCB_ERR_TIMEOUT);
    assert_in_range(done, 1, LONGEST - 1);
    atomic_store(&trickle.stop, true);
    zcb_receive_drop(pair->b);
    join_thread(thread);
    assert_true(trickle.error == ZCB_OK || trickle.error == ZCB_ERR_REFUSED);
    zcb_send_drop(pair->a);
    assert_works(pair);
    assert_frame_is_free(pair);
    free(bytes);
}

static void *write_to_the_end(void *arg)
{
    struct rest *rest = arg;
    (void)write_rest(rest);
    if (!rest->error)
        rest->error = zcb_send_end(rest->channel);
    return NULL;
}

/* Sender and receiver sleep and wake each other at every piece. */
static void two_that_hurry_lose_nothing(void **state)
{
    struct pair *pair = *state;
    zcb_wait wait = patience();
    for (uint64_t i = 0; i < 20; i++) {
        struct rest rest = {.channel = pair->a, .bytes = LONGEST, .wait = patience()};
        rest.payload = malloc(LONGEST);
        fill(rest.payload, LONGEST, i);
        begin_open_ended(pair->a);
        pthread_t thread = start_thread(write_to_the_end, &rest);
        unsigned char *got = malloc(LONGEST + 1);
        size_t done = 0;
        begin_receiving(pair->b);
        assert_ok(zcb_receive_read(pair->b, got, LONGEST + 1, &done, &wait));
        join_thread(thread);
        assert_ok(rest.error);
        assert_int_equal(done, LONGEST);
        assert_memory_equal(got, rest.payload, LONGEST);
        assert_ok(zcb_receive_end(pair->b));
        free(rest.payload);
        free(got);
    }
    assert_frame_is_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_close_of_either_side_ends_the_senders_wait),
        TEST(a_drop_ends_the_senders_wait),
        cmocka_unit_test(what_is_watched_ends_the_waits_of_both_sides),
        TEST(a_trickle_without_end_does_not_hold_a_read_beyond_its_deadline),
        TEST(two_that_hurry_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
