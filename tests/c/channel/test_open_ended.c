/* Open-ended messages: their sender does not know how long they get. */
#include "pair.h"

#define SEED 42
#define LONG (5 * FRAME + 123)

/* What is sent, or a part of it. */
static unsigned char content[LONG];

static int fill_content(void **state)
{
    (void)state;
    fill(content, LONG, SEED);
    return 0;
}

static void begin(zcb_channel *channel, uint64_t id)
{
    zcb_wait wait = patience();
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = id, .bytes = ZCB_OPEN_ENDED};
    assert_ok(zcb_send_begin(channel, &message, &wait));
}

static void write_all(struct pair *pair, size_t from, size_t bytes)
{
    zcb_wait wait = patience();
    size_t done = 0;
    assert_ok(zcb_send_write(pair->a, content + from, bytes, &done, &wait));
    assert_int_equal(done, bytes);
}

static void send_short(struct pair *pair, size_t bytes)
{
    begin(pair->a, bytes);
    write_all(pair, 0, bytes);
    assert_ok(zcb_send_end(pair->a));
}

static zcb_message receive_begun(zcb_channel *channel, zcb_wish wish)
{
    zcb_wait wait = patience();
    zcb_message message;
    assert_ok(zcb_receive_begin(channel, wish, &message, &wait));
    return message;
}

/* Reads on to the message's end; true when it is all of content up to `bytes`. */
static bool reads(struct pair *pair, size_t from, size_t bytes, size_t step)
{
    zcb_wait wait = patience();
    unsigned char *got = malloc(step);
    size_t at = from, done = step;
    bool right = true;
    while (right && done == step) {
        done = 0;
        right = zcb_receive_read(pair->b, got, step, &done, &wait) == ZCB_OK &&
                at + done <= bytes && memcmp(got, content + at, done) == 0;
        at += done;
    }
    free(got);
    return right && at == bytes;
}

static void assert_works(struct pair *pair)
{
    send_short(pair, 1000);
    assert_int_equal(receive_begun(pair->b, ZCB_WISH_COPY).bytes, 1000);
    zcb_receive_drop(pair->b);
    /* A whole frame's worth, so that nothing of it is lost. */
    zcb_wait at_once = {0};
    zcb_message whole = {.kind = ZCB_KIND_BYTES, .id = 1, .bytes = FRAME};
    assert_ok(zcb_send(pair->a, &whole, content, &at_once));
    assert_int_equal(receive_begun(pair->b, ZCB_WISH_COPY).bytes, FRAME);
    zcb_receive_drop(pair->b);
}

/* ---------------------------------------------------------------- short ones */

static void a_short_one_needs_no_receiver_and_arrives_with_its_length(void **state)
{
    struct pair *pair = *state;
    static const size_t lengths[] = {0, 1, 63, 64, 1000, PIECE - 1};
    unsigned char got[PIECE];
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
        send_short(pair, lengths[i]);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        assert_int_equal(receive_begun(pair->b, ZCB_WISH_COPY).bytes, lengths[i]);
        assert_ok(zcb_receive_read(pair->b, got, lengths[i], NULL, NULL));
        assert_memory_equal(got, content, lengths[i]);
        assert_ok(zcb_receive_end(pair->b));
    }
    assert_works(pair);
}

static void as_many_short_ones_are_queued_as_their_bytes_take(void **state)
{
    struct pair *pair = *state;
    /* Each has taken a piece while it was written, and 1 KiB since. */
    const size_t most = (FRAME - PIECE) / 1024;
    zcb_wait at_once = {0};
    for (size_t i = 0; i < most; i++) {
        zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = ZCB_OPEN_ENDED};
        size_t done = 0;
        assert_ok(zcb_send_begin(pair->a, &message, &at_once));
        assert_ok(zcb_send_write(pair->a, content, 1024, &done, &at_once));
        assert_ok(zcb_send_end(pair->a));
    }
    for (size_t i = 0; i < most; i++) {
        assert_int_equal(receive_begun(pair->b, ZCB_WISH_COPY).bytes, 1024);
        zcb_receive_drop(pair->b);
    }
    assert_works(pair);
}

static void a_short_one_can_be_held_in_place(void **state)
{
    struct pair *pair = *state;
    zcb_lease *lease = NULL;
    send_short(pair, 5000);
    (void)receive_begun(pair->b, ZCB_WISH_LEASE);
    assert_ok(zcb_receive_lease(pair->b, &lease, NULL));
    assert_ok(zcb_receive_end(pair->b));
    assert_int_equal(zcb_lease_bytes(lease), 5000);
    assert_memory_equal(zcb_lease_data(lease), content, 5000);
    zcb_lease_free(lease);
    assert_works(pair);
}

/* ---------------------------------------------------------------- long ones */

static void the_longest_that_is_queued_ends_with_a_short_read(void **state)
{
    struct pair *pair = *state;
    static const size_t lengths[] = {PIECE, PIECE + 1, 3 * PIECE, 7 * PIECE + 5, FRAME};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        begin(pair->a, 1);
        write_all(pair, 0, lengths[i]);
        assert_ok(zcb_send_end(pair->a));
        assert_int_equal(receive_begun(pair->b, ZCB_WISH_COPY).bytes, ZCB_OPEN_ENDED);
        assert_true(reads(pair, 0, lengths[i], 10000));
        assert_ok(zcb_receive_end(pair->b));
    }
    assert_works(pair);
}

static void its_sender_runs_frame_and_window_ahead_and_goes_on_when_there_is_room(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    size_t done = 0;
    begin(pair->a, 1);
    assert_int_equal(zcb_send_write(pair->a, content, LONG, &done, &at_once), ZCB_ERR_TIMEOUT);
    assert_int_equal(done, FRAME + WINDOW);
    (void)receive_begun(pair->b, ZCB_WISH_COPY);
    unsigned char *got = malloc(LONG);
    size_t read = 0;
    while (done < LONG) {
        zcb_error error = zcb_receive_read(pair->b, got + read, LONG - read, &read, &at_once);
        assert_int_equal(error, ZCB_ERR_TIMEOUT);
        error = zcb_send_write(pair->a, content + done, LONG - done, &done, &at_once);
        assert_true(error == ZCB_OK || error == ZCB_ERR_TIMEOUT);
    }
    assert_ok(zcb_send_end(pair->a));
    assert_ok(zcb_receive_read(pair->b, got + read, LONG - read, &read, &at_once));
    assert_int_equal(read, LONG);
    assert_memory_equal(got, content, LONG);
    free(got);
    assert_true(reads(pair, LONG, LONG, 1));
    assert_ok(zcb_receive_end(pair->b));
    assert_works(pair);
}

static void it_cannot_be_held_in_place(void **state)
{
    struct pair *pair = *state;
    zcb_lease *lease = NULL;
    begin(pair->a, 1);
    write_all(pair, 0, 2 * PIECE);
    assert_ok(zcb_send_end(pair->a));
    (void)receive_begun(pair->b, ZCB_WISH_LEASE);
    assert_int_equal(zcb_receive_lease(pair->b, &lease, NULL), ZCB_ERR_TOO_LARGE);
    assert_true(reads(pair, 0, 2 * PIECE, 777)); /* the message goes on */
    assert_ok(zcb_receive_end(pair->b));
    assert_works(pair);
}

static void it_is_done_only_when_its_end_was_met(void **state)
{
    struct pair *pair = *state;
    unsigned char got[2 * PIECE];
    begin(pair->a, 1);
    write_all(pair, 0, 2 * PIECE);
    (void)receive_begun(pair->b, ZCB_WISH_COPY);
    assert_ok(zcb_receive_read(pair->b, got, 2 * PIECE, NULL, NULL));
    assert_int_equal(zcb_receive_end(pair->b), ZCB_ERR_INVALID);
    assert_ok(zcb_send_end(pair->a));
    assert_int_equal(zcb_receive_end(pair->b), ZCB_ERR_INVALID);
    assert_true(reads(pair, 2 * PIECE, 2 * PIECE, 10));
    assert_ok(zcb_receive_end(pair->b));
    assert_works(pair);
}

static void what_is_flushed_can_be_read_before_more_is_written(void **state)
{
    struct pair *pair = *state;
    unsigned char got[300];
    zcb_wait at_once = {0};
    begin(pair->a, 1);
    assert_ok(zcb_send_flush(pair->a)); /* nothing to show */
    write_all(pair, 0, 100);
    zcb_message message;
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &at_once),
                     ZCB_ERR_TIMEOUT);
    assert_ok(zcb_send_flush(pair->a));
    (void)receive_begun(pair->b, ZCB_WISH_COPY);
    assert_ok(zcb_receive_read(pair->b, got, 100, NULL, &at_once));
    write_all(pair, 100, 200);
    size_t done = 0;
    assert_int_equal(zcb_receive_read(pair->b, got + 100, 200, &done, &at_once), ZCB_ERR_TIMEOUT);
    assert_int_equal(done, 0);
    assert_ok(zcb_send_flush(pair->a));
    assert_ok(zcb_receive_read(pair->b, got + 100, 200, &done, &at_once));
    assert_memory_equal(got, content, 300);
    assert_ok(zcb_send_end(pair->a));
    assert_true(reads(pair, 300, 300, 10));
    assert_ok(zcb_receive_end(pair->b));
    assert_works(pair);
}

/* The descriptors run out before the memory does. */
static void flushing_without_end_loses_nothing(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    size_t done = 0;
    begin(pair->a, 1);
    zcb_error error = ZCB_OK;
    while (!error && done < 2 * RING_ENTRIES) {
        error = zcb_send_write(pair->a, content + done, 1, &done, &at_once);
        assert_ok(zcb_send_flush(pair->a));
    }
    assert_int_equal(error, ZCB_ERR_TIMEOUT);
    assert_ok(zcb_send_end(pair->a));
    (void)receive_begun(pair->b, ZCB_WISH_COPY);
    assert_true(reads(pair, 0, done, 100));
    assert_ok(zcb_receive_end(pair->b));
    assert_works(pair);
}

static void any_steps_of_writing_and_reading_give_the_same_bytes(void **state)
{
    struct pair *pair = *state;
    uint64_t random = 7;
    zcb_wait at_once = {0};
    for (int round = 0; round < 50; round++) {
        size_t length = next_random(&random) % (round % 2 ? LONG : 3 * PIECE);
        size_t written = 0, read = 0;
        unsigned char *got = malloc(length + 1);
        bool ended = false, begun = false, met = false;
        begin(pair->a, 1);
        while (!met) {
            size_t step = next_random(&random) % (4 * PIECE);
            if (!ended && written == length) {
                assert_ok(zcb_send_end(pair->a));
                ended = true;
            } else if (!ended) {
                size_t left = length - written;
                (void)zcb_send_write(pair->a, content + written, step < left ? step : left,
                                     &written, &at_once);
                if (next_random(&random) % 3 == 0)
                    assert_ok(zcb_send_flush(pair->a));
            }
            zcb_message message;
            if (!begun)
                begun = !zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &at_once);
            if (!begun)
                continue;
            step = next_random(&random) % (4 * PIECE);
            size_t left = length + 1 - read, before = read;
            if (message.bytes != ZCB_OPEN_ENDED)
                left = (size_t)message.bytes - read;
            step = step < left ? step : left;
            zcb_error error = zcb_receive_read(pair->b, got + read, step, &read, &at_once);
            assert_true(error == ZCB_OK || error == ZCB_ERR_TIMEOUT);
            met = message.bytes == ZCB_OPEN_ENDED ? !error && read - before < step
                                                  : read == message.bytes;
        }
        assert_ok(zcb_receive_end(pair->b));
        assert_int_equal(read, length);
        assert_memory_equal(got, content, length);
        free(got);
    }
    assert_works(pair);
}

/* ---------------------------------------------------------------- a gigabyte */

#define GIGABYTE (UINT64_C(1) << 30)

static void *write_a_gigabyte(void *arg)
{
    struct pair *pair = arg;
    zcb_wait wait = patience();
    zcb_error error = ZCB_OK;
    zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = ZCB_OPEN_ENDED};
    error = zcb_send_begin(pair->a, &message, &wait);
    for (uint64_t at = 0; at < GIGABYTE && !error; at += FRAME) {
        size_t done = 0;
        error = zcb_send_write(pair->a, content, FRAME, &done, &wait);
    }
    if (!error)
        error = zcb_send_end(pair->a);
    return (void *)(intptr_t)error;
}

/* Its frame and window hold 1.25 MiB: all that is ever in memory of it. */
static void a_gigabyte_streams_through_the_smallest_memory(void **state)
{
    struct pair *pair = *state;
    pthread_t writer = start_thread(write_a_gigabyte, pair);
    unsigned char *got = malloc(FRAME);
    zcb_wait wait = patience();
    uint64_t read = 0;
    bool right = true;
    assert_int_equal(receive_begun(pair->b, ZCB_WISH_COPY).bytes, ZCB_OPEN_ENDED);
    for (size_t done = FRAME; done == FRAME; read += done) {
        done = 0;
        assert_ok(zcb_receive_read(pair->b, got, FRAME, &done, &wait));
        right = right && memcmp(got, content, done) == 0;
    }
    assert_ok(zcb_receive_end(pair->b));
    void *error;
    assert_int_equal(pthread_join(writer, &error), 0);
    assert_ok((zcb_error)(intptr_t)error);
    assert_true(right);
    assert_int_equal(read, GIGABYTE);
    free(got);
    assert_works(pair);
}

/* ---------------------------------------------------------------- given up */

static void one_that_is_dropped_before_anything_is_seen_leaves_no_trace(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    zcb_message message;
    begin(pair->a, 1);
    zcb_send_drop(pair->a);
    begin(pair->a, 1);
    write_all(pair, 0, 1000);
    zcb_send_drop(pair->a);
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &at_once),
                     ZCB_ERR_TIMEOUT);
    assert_works(pair);
}

static void one_that_is_dropped_half_way_is_aborted_for_its_receiver(void **state)
{
    struct pair *pair = *state;
    unsigned char got[4 * PIECE];
    begin(pair->a, 1);
    write_all(pair, 0, 2 * PIECE + 100);
    (void)receive_begun(pair->b, ZCB_WISH_COPY);
    zcb_send_drop(pair->a);
    assert_int_equal(zcb_receive_read(pair->b, got, 4 * PIECE, NULL, NULL), ZCB_ERR_ABORTED);
    zcb_receive_drop(pair->b);
    assert_works(pair);
}

static void a_receiver_that_drops_it_stops_the_sender(void **state)
{
    struct pair *pair = *state;
    zcb_wait wait = patience();
    size_t done = 0;
    begin(pair->a, 1);
    write_all(pair, 0, 2 * PIECE);
    (void)receive_begun(pair->b, ZCB_WISH_COPY);
    zcb_receive_drop(pair->b);
    assert_int_equal(zcb_send_write(pair->a, content, LONG, &done, &wait), ZCB_ERR_REFUSED);
    zcb_send_drop(pair->a);
    assert_works(pair);
}

static void a_receiver_learns_that_the_sender_closed_half_way(void **state)
{
    struct pair *pair = *state;
    unsigned char got[2 * PIECE];
    zcb_wait wait = patience();
    begin(pair->a, 1);
    write_all(pair, 0, PIECE);
    (void)receive_begun(pair->b, ZCB_WISH_COPY);
    zcb_channel_close(pair->a);
    assert_int_equal(zcb_receive_read(pair->b, got, 2 * PIECE, NULL, &wait), ZCB_ERR_PEER_CLOSED);
    zcb_receive_drop(pair->b);
    zcb_send_drop(pair->a);
}

static void only_steps_can_send_one(void **state)
{
    struct pair *pair = *state;
    zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = ZCB_OPEN_ENDED};
    assert_int_equal(zcb_send(pair->a, &message, content, NULL), ZCB_ERR_INVALID);
    assert_works(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_short_one_needs_no_receiver_and_arrives_with_its_length),
        TEST(as_many_short_ones_are_queued_as_their_bytes_take),
        TEST(a_short_one_can_be_held_in_place),
        TEST(the_longest_that_is_queued_ends_with_a_short_read),
        TEST(its_sender_runs_frame_and_window_ahead_and_goes_on_when_there_is_room),
        TEST(it_cannot_be_held_in_place),
        TEST(it_is_done_only_when_its_end_was_met),
        TEST(what_is_flushed_can_be_read_before_more_is_written),
        TEST(flushing_without_end_loses_nothing),
        TEST(any_steps_of_writing_and_reading_give_the_same_bytes),
        TEST(a_gigabyte_streams_through_the_smallest_memory),
        TEST(one_that_is_dropped_before_anything_is_seen_leaves_no_trace),
        TEST(one_that_is_dropped_half_way_is_aborted_for_its_receiver),
        TEST(a_receiver_that_drops_it_stops_the_sender),
        TEST(a_receiver_learns_that_the_sender_closed_half_way),
        TEST(only_steps_can_send_one),
    };
#undef TEST
    return cmocka_run_group_tests(tests, fill_content, NULL);
}
