/* Messages: all sizes, whole and in parts, and their counts. */
#include "channel/block.h"
#include "messages.h"

static const uint64_t sizes[] = {
    0,          1,         63,         64,         65,        4095,          4096,
    4097,       PIECE - 1, PIECE,      PIECE + 1,  2 * PIECE, 2 * PIECE + 1, 3 * PIECE,
    WINDOW - 1, WINDOW,    WINDOW + 1, FRAME - 64, FRAME - 1, FRAME,         FRAME + 1,
    2 * FRAME,  LONGEST,   0,
};
#define SIZES (sizeof(sizes) / sizeof(*sizes))

static void *send_all_sizes(void *arg)
{
    struct call *call = arg;
    for (uint64_t i = 0; i < 4 * SIZES && !call->error; i++)
        call->error = send_filled(call->channel, i + 1, sizes[i % SIZES], &call->wait);
    return NULL;
}

static void exchange_all_sizes(zcb_channel *from, zcb_channel *to, zcb_wish wish)
{
    struct call call = {.channel = from, .wait = patience()};
    pthread_t sender = start_thread(send_all_sizes, &call);
    for (uint64_t i = 0; i < 4 * SIZES; i++) {
        zcb_message message;
        assert_true(receive_right(to, wish, &message, &call.wait));
        assert_int_equal(message.id, i + 1);
        assert_int_equal(message.bytes, sizes[i % SIZES]);
    }
    join_thread(sender);
    assert_int_equal(call.error, ZCB_OK);
}

static void messages_of_every_size_arrive_in_order(void **state)
{
    struct pair *pair = *state;
    exchange_all_sizes(pair->a, pair->b, ZCB_WISH_COPY);
    exchange_all_sizes(pair->b, pair->a, ZCB_WISH_COPY);
    assert_frame_is_free(pair);
}

static void messages_of_every_size_can_be_held_or_read(void **state)
{
    struct pair *pair = *state;
    exchange_all_sizes(pair->a, pair->b, ZCB_WISH_LEASE);
    exchange_all_sizes(pair->b, pair->a, ZCB_WISH_LEASE);
    assert_frame_is_free(pair);
}

static void a_message_can_be_read_in_parts_of_any_length(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 5, .bytes = LONGEST};
    pthread_t sender = start_thread(run_send, &call);
    unsigned char *payload = malloc(LONGEST);
    zcb_message message;
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &call.wait));
    uint64_t seed = 1, at = 0;
    while (at < LONGEST) {
        uint64_t part = next_random(&seed) % (2 * PIECE);
        part = part < LONGEST - at ? part : LONGEST - at;
        assert_ok(zcb_receive_read(pair->b, payload + at, (size_t)part, NULL, &call.wait));
        at += part;
    }
    assert_true(is_message(&message, payload));
    assert_int_equal(zcb_receive_read(pair->b, payload, 1, NULL, NULL), ZCB_ERR_INVALID);
    assert_ok(zcb_receive_end(pair->b));
    join_thread(sender);
    free(payload);
}

static void bytes_that_were_not_read_keep_the_turn(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    unsigned char byte;
    assert_ok(send_filled(pair->a, 1, 2, NULL));
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
    assert_ok(zcb_receive_read(pair->b, &byte, 1, NULL, NULL));
    assert_int_equal(zcb_receive_end(pair->b), ZCB_ERR_INVALID);
    assert_int_equal(zcb_receive_read(pair->b, &byte, 2, NULL, NULL), ZCB_ERR_INVALID);
    assert_ok(zcb_receive_read(pair->b, &byte, 1, NULL, NULL));
    assert_ok(zcb_receive_end(pair->b));
    assert_int_equal(zcb_receive_end(pair->b), ZCB_ERR_INVALID);
}

static void nonsense_arguments_are_refused(void **state)
{
    struct pair *pair = *state;
    zcb_channel *a, *b;
    zcb_channel_options options = {.frame_bytes = ZCB_MIN_FRAME_BYTES - 1, .window_bytes = 0};
    assert_int_equal(zcb_channel_pair(&options, &a, &b), ZCB_ERR_INVALID);
    options = (zcb_channel_options){.frame_bytes = 0, .window_bytes = ZCB_MAX_WINDOW_BYTES + 1};
    assert_int_equal(zcb_channel_pair(&options, &a, &b), ZCB_ERR_INVALID);
    assert_int_equal(zcb_channel_pair(NULL, NULL, &b), ZCB_ERR_INVALID);
    zcb_message message = {.kind = 0};
    assert_int_equal(zcb_send(pair->a, &message, NULL, NULL), ZCB_ERR_INVALID);
    message = message_of(1, 1);
    assert_int_equal(zcb_send(pair->a, &message, NULL, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_send(NULL, &message, "x", NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_receive_begin(pair->a, (zcb_wish)0, &message, NULL), ZCB_ERR_INVALID);
    zcb_channel_free(NULL);
    zcb_channel_close(NULL);
    zcb_lease_free(NULL);
    zcb_cancel_free(NULL);
    assert_works(pair);
}

static void a_read_counts_what_it_has_copied(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = malloc(LONGEST), *got = malloc(LONGEST);
    zcb_message message = message_of(1, LONGEST);
    struct call call = {.channel = pair->b, .wait = patience()};
    size_t written = 0, read = 0;
    zcb_wait at_once = {0};
    fill(payload, LONGEST, 1);
    pthread_t reader = start_thread(run_begin, &call);
    await_asleep(receiver_asleep(pair->b));
    assert_ok(zcb_send_begin(pair->a, &message, NULL));
    assert_ok(zcb_send_write(pair->a, payload, PIECE + 5, &written, NULL));
    join_thread(reader);
    assert_int_equal(zcb_receive_read(pair->b, got, LONGEST, &read, &at_once), ZCB_ERR_TIMEOUT);
    assert_int_equal(read, PIECE + 5);
    while (written < LONGEST || read < LONGEST) {
        zcb_error error =
            zcb_send_write(pair->a, payload + written, LONGEST - written, &written, &at_once);
        assert_true(error == ZCB_OK || error == ZCB_ERR_TIMEOUT);
        error = zcb_receive_read(pair->b, got + read, LONGEST - read, &read, &at_once);
        assert_true(error == ZCB_OK || error == ZCB_ERR_TIMEOUT);
    }
    assert_true(is_message(&call.message, got));
    assert_ok(zcb_send_end(pair->a));
    assert_ok(zcb_receive_end(pair->b));
    free(payload);
    free(got);
    assert_works(pair);
}

static void assert_counts(zcb_channel *channel, uint64_t sent, uint64_t received)
{
    uint64_t s, r;
    zcb_channel_counts(channel, &s, &r);
    assert_int_equal(s, sent);
    assert_int_equal(r, received);
}

static void counts_say_what_is_there_to_be_received(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    unsigned char *payload = calloc(1, FRAME);
    assert_counts(pair->b, 0, 0);
    assert_ok(send_filled(pair->a, 1, 100, NULL));
    assert_ok(send_filled(pair->a, 2, 0, NULL));
    assert_counts(pair->b, 2, 0);
    assert_counts(pair->a, 0, 0);
    assert_received(pair->b, 1, 100);
    assert_counts(pair->b, 2, 1);
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
    zcb_receive_drop(pair->b);
    assert_counts(pair->b, 2, 2);
    send_a_part(pair, 3, payload, FRAME / 2);
    assert_counts(pair->b, 2, 2);
    zcbi_tx_abort(pair->a);
    zcbi_ticket_lock_release(&pair->a->tx.lock);
    assert_counts(pair->b, 2, 2); /* a message that was given up is none */
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
    assert_int_equal(zcb_receive_read(pair->b, payload, FRAME, NULL, NULL), ZCB_ERR_ABORTED);
    zcb_receive_drop(pair->b);
    assert_counts(pair->b, 2, 2);
    free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_of_every_size_arrive_in_order),
        TEST(messages_of_every_size_can_be_held_or_read),
        TEST(a_message_can_be_read_in_parts_of_any_length),
        TEST(bytes_that_were_not_read_keep_the_turn),
        TEST(nonsense_arguments_are_refused),
        TEST(a_read_counts_what_it_has_copied),
        TEST(counts_say_what_is_there_to_be_received),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
