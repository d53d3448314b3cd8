/* Channels by their public calls: both ends in this process. */
#include "support.h"

#define FRAME (UINT64_C(1) << 20)
#define WINDOW (UINT64_C(256) << 10)
#define PIECE (UINT64_C(64) << 10)
#define LONGEST (3 * FRAME + 17)

struct pair {
    zcb_channel *a, *b;
};

static int set_up(void **state)
{
    static struct pair pair;
    zcb_channel_options options = {.frame_bytes = FRAME, .window_bytes = WINDOW};
    assert_ok(zcb_channel_pair(&options, &pair.a, &pair.b));
    assert_int_equal(pair.a->region->geometry.piece_bytes, PIECE);
    *state = &pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;
    zcb_channel_free(pair->a);
    zcb_channel_free(pair->b);
    return 0;
}

/* ---- sending and receiving what can be checked ---- */

static zcb_message message_of(uint64_t id, uint64_t bytes)
{
    return (zcb_message){ZCB_KIND_BYTES, (uint32_t)(id * 3), id, bytes};
}

/* Its content follows from its id. */
static zcb_error send_filled(zcb_channel *channel, uint64_t id, uint64_t bytes,
                             const zcb_wait *wait)
{
    unsigned char *payload = malloc((size_t)bytes + 1);
    zcb_message message = message_of(id, bytes);
    fill(payload, (size_t)bytes, id);
    zcb_error error = zcb_send(channel, &message, payload, wait);
    free(payload);
    return error;
}

static bool is_message(const zcb_message *message, const void *payload)
{
    return message->kind == ZCB_KIND_BYTES && message->flags == (uint32_t)(message->id * 3) &&
           is_filled(payload, (size_t)message->bytes, message->id);
}

/* Reads the rest of the turn: true when the message is whole and right. */
static bool finish_by_copy(zcb_channel *channel, const zcb_message *message, const zcb_wait *wait)
{
    unsigned char *payload = malloc((size_t)message->bytes + 1);
    zcb_error error = zcb_receive_read(channel, payload, (size_t)message->bytes, NULL, wait);
    bool right = !error && is_message(message, payload);
    free(payload);
    if (error)
        zcb_receive_drop(channel);
    return right && zcb_receive_end(channel) == ZCB_OK;
}

static bool receive_right(zcb_channel *channel, zcb_wish wish, zcb_message *message,
                          const zcb_wait *wait)
{
    if (zcb_receive_begin(channel, wish, message, wait))
        return false;
    zcb_lease *lease = NULL;
    if (wish == ZCB_WISH_COPY || zcb_receive_lease(channel, &lease, wait) == ZCB_ERR_TOO_LARGE)
        return finish_by_copy(channel, message, wait);
    bool right = lease && zcb_lease_bytes(lease) == message->bytes &&
                 is_message(message, zcb_lease_data(lease));
    right = zcb_receive_end(channel) == ZCB_OK && right;
    zcb_lease_free(lease);
    return right;
}

static void assert_received(zcb_channel *channel, uint64_t id, uint64_t bytes)
{
    zcb_wait wait = patience();
    zcb_message message;
    assert_true(receive_right(channel, ZCB_WISH_COPY, &message, &wait));
    assert_int_equal(message.id, id);
    assert_int_equal(message.bytes, bytes);
}

static void assert_empty(zcb_channel *channel)
{
    zcb_message message;
    zcb_wait wait = {0};
    assert_int_equal(zcb_receive_begin(channel, ZCB_WISH_COPY, &message, &wait), ZCB_ERR_TIMEOUT);
}

static void assert_works(struct pair *pair)
{
    zcb_wait wait = patience();
    assert_ok(send_filled(pair->a, 4711, 1000, &wait));
    assert_received(pair->b, 4711, 1000);
    assert_ok(send_filled(pair->b, 4712, 1000, &wait));
    assert_received(pair->a, 4712, 1000);
    assert_empty(pair->a);
    assert_empty(pair->b);
}

/* A whole frame's worth, so that nothing is leaked of it. */
static void assert_frame_is_free(struct pair *pair)
{
    zcb_wait at_once = {0};
    assert_ok(send_filled(pair->a, 1, FRAME, &at_once));
    assert_received(pair->b, 1, FRAME);
}

static zcb_lease *take_lease(zcb_channel *channel, zcb_message *message)
{
    zcb_lease *lease = NULL;
    zcb_wait wait = patience();
    assert_ok(zcb_receive_begin(channel, ZCB_WISH_LEASE, message, &wait));
    assert_ok(zcb_receive_lease(channel, &lease, &wait));
    assert_ok(zcb_receive_end(channel));
    assert_int_equal(zcb_lease_bytes(lease), message->bytes);
    assert_true(is_message(message, zcb_lease_data(lease)));
    return lease;
}

/* ---- a call on a thread of its own ---- */

struct call {
    zcb_channel *channel;
    zcb_wait wait;
    uint64_t id, bytes;
    zcb_error error;
    zcb_message message;
};

static void *run_send(void *arg)
{
    struct call *call = arg;
    call->error = send_filled(call->channel, call->id, call->bytes, &call->wait);
    return NULL;
}

static void *run_begin(void *arg)
{
    struct call *call = arg;
    call->error = zcb_receive_begin(call->channel, ZCB_WISH_COPY, &call->message, &call->wait);
    return NULL;
}

static _Atomic uint32_t *sender_asleep(zcb_channel *channel)
{
    return &channel->tx.control->producer_asleep;
}

static _Atomic uint32_t *receiver_asleep(zcb_channel *channel)
{
    return &channel->rx.control->consumer_asleep;
}

static void await_in_line(struct turn *turn)
{
    bool waits = false;
    while (!waits) {
        zcbi_plat_mutex_lock(&turn->lock);
        waits = turn->first && atomic_load(&turn->first->asleep);
        zcbi_plat_mutex_unlock(&turn->lock);
        sched_yield();
    }
}

/* ---------------------------------------------------------------- messages */

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

/* ---------------------------------------------------------------- queueing */

static void the_frame_queues_what_fits_and_refuses_the_rest_without_a_trace(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    uint64_t seed = 3, sent = 0, count = 0, lengths[4096];
    zcb_error error = ZCB_OK;
    while (!error) {
        lengths[count] = 1 + next_random(&seed) % (FRAME / 10);
        error = send_filled(pair->a, count + 1, lengths[count], &at_once);
        if (!error)
            sent += lengths[count++];
    }
    assert_int_equal(error, ZCB_ERR_TIMEOUT);
    assert_true(sent > FRAME - FRAME / 10 - count * 64);
    assert_ok(send_filled(pair->a, ++count, 1, &at_once));
    lengths[count - 1] = 1;
    for (uint64_t i = 0; i < count; i++)
        assert_received(pair->b, i + 1, lengths[i]);
    assert_empty(pair->b);
    assert_frame_is_free(pair);
}

static void one_message_of_the_frames_size_queues(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    assert_ok(send_filled(pair->a, 1, FRAME, &at_once));
    assert_int_equal(send_filled(pair->a, 2, 1, &at_once), ZCB_ERR_TIMEOUT);
    assert_ok(send_filled(pair->a, 3, 0, &at_once));
    assert_received(pair->b, 1, FRAME);
    assert_received(pair->b, 3, 0);
    assert_int_equal(send_filled(pair->a, 4, FRAME + 1, &at_once), ZCB_ERR_TIMEOUT);
    assert_empty(pair->b);
    assert_works(pair);
}

static void thousands_of_small_messages_queue(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    for (int round = 0; round < 3; round++) {
        uint64_t count = 0;
        uint64_t bytes = round == 0 ? 0 : 8;
        while (send_filled(pair->a, count + 1, bytes, &at_once) == ZCB_OK)
            count++;
        assert_true(count >= 4000);
        for (uint64_t i = 0; i < count; i++)
            assert_received(pair->b, i + 1, bytes);
        assert_empty(pair->b);
    }
    assert_frame_is_free(pair);
}

static void a_sender_that_waits_goes_on_when_there_is_room(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 3, .bytes = FRAME / 2 + 1};
    assert_ok(send_filled(pair->a, 1, FRAME / 2, NULL));
    assert_ok(send_filled(pair->a, 2, FRAME / 2, NULL));
    pthread_t sender = start_thread(run_send, &call);
    await_asleep(sender_asleep(pair->a));
    assert_received(pair->b, 1, FRAME / 2);
    assert_received(pair->b, 2, FRAME / 2);
    assert_received(pair->b, 3, FRAME / 2 + 1);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_OK);
}

static void a_sender_that_waits_goes_on_when_a_lease_comes_back(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 2, .bytes = 100};
    zcb_message message;
    assert_ok(send_filled(pair->a, 1, FRAME, NULL));
    zcb_lease *lease = take_lease(pair->b, &message);
    pthread_t sender = start_thread(run_send, &call);
    await_asleep(sender_asleep(pair->a));
    zcb_lease_free(lease);
    join_thread(sender); /* nobody receives */
    assert_int_equal(call.error, ZCB_OK);
    assert_received(pair->b, 2, 100);
}

static void a_sender_that_waits_is_withdrawn_without_a_trace(void **state)
{
    struct pair *pair = *state;
    zcb_cancel *cancel;
    assert_ok(zcb_cancel_create(&cancel));
    struct call call = {.channel = pair->a, .wait = patience(), .id = 2, .bytes = LONGEST};
    call.wait.cancel = cancel;
    assert_ok(send_filled(pair->a, 1, FRAME, NULL));
    pthread_t sender = start_thread(run_send, &call);
    await_asleep(sender_asleep(pair->a));
    zcb_cancel_set(cancel);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_ERR_CANCELLED);
    assert_received(pair->b, 1, FRAME);
    assert_empty(pair->b);
    assert_works(pair);
    zcb_cancel_free(cancel);
}

/* ---------------------------------------------------------------- leases */

static void leases_come_back_in_any_order(void **state)
{
    struct pair *pair = *state;
    zcb_lease *leases[32] = {NULL};
    zcb_message messages[32];
    uint64_t seed = 5;
    for (uint64_t i = 1; i <= 3000; i++) {
        unsigned slot = (unsigned)(next_random(&seed) % 32);
        if (leases[slot]) {
            assert_true(is_message(&messages[slot], zcb_lease_data(leases[slot])));
            zcb_lease_free(leases[slot]);
        }
        assert_ok(send_filled(pair->a, i, next_random(&seed) % (FRAME / 64), NULL));
        leases[slot] = take_lease(pair->b, &messages[slot]);
    }
    for (int slot = 31; slot >= 0; slot--) {
        if (leases[slot])
            assert_true(is_message(&messages[slot], zcb_lease_data(leases[slot])));
        zcb_lease_free(leases[slot]);
    }
    assert_frame_is_free(pair);
}

static void *receive_many(void *arg)
{
    struct call *call = arg;
    for (uint64_t i = 0; i < call->id; i++)
        if (!receive_right(call->channel, ZCB_WISH_COPY, &call->message, &call->wait))
            call->error = ZCB_ERR_INVALID;
    return NULL;
}

static void a_lease_is_held_while_a_thousand_messages_pass(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    zcb_wait wait = patience();
    assert_ok(send_filled(pair->a, 9, FRAME, NULL)); /* all of the frame: the rest must stream */
    zcb_lease *lease = take_lease(pair->b, &message);
    struct call call = {.channel = pair->b, .wait = wait, .id = 1000};
    pthread_t receiver = start_thread(receive_many, &call);
    uint64_t seed = 8;
    for (uint64_t i = 0; i < 1000; i++)
        assert_ok(
            send_filled(pair->a, i, next_random(&seed) % (i % 100 ? 3000 : FRAME + 5), &wait));
    join_thread(receiver);
    assert_int_equal(call.error, ZCB_OK);
    assert_true(is_message(&message, zcb_lease_data(lease)));
    zcb_lease_free(lease);
    assert_frame_is_free(pair);
}

static void a_message_beyond_the_frame_cannot_be_held_but_read(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = FRAME + 1};
    pthread_t sender = start_thread(run_send, &call);
    zcb_message message;
    zcb_lease *lease = NULL;
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, &call.wait));
    assert_int_equal(zcb_receive_lease(pair->b, &lease, &call.wait), ZCB_ERR_TOO_LARGE);
    assert_null(lease);
    assert_true(finish_by_copy(pair->b, &message, &call.wait));
    join_thread(sender);
    assert_int_equal(call.error, ZCB_OK);
}

static void a_message_is_held_while_its_sender_still_writes_it(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = FRAME};
    for (int i = 0; i < 20; i++) {
        pthread_t sender = start_thread(run_send, &call);
        zcb_message message;
        zcb_lease_free(take_lease(pair->b, &message));
        join_thread(sender);
        assert_int_equal(call.error, ZCB_OK);
    }
}

static void a_lease_is_taken_once_and_before_reading(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    zcb_lease *lease, *second;
    unsigned char byte;
    assert_ok(send_filled(pair->a, 1, 10, NULL));
    assert_ok(send_filled(pair->a, 2, 10, NULL));
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
    assert_ok(zcb_receive_lease(pair->b, &lease, NULL));
    assert_int_equal(zcb_receive_lease(pair->b, &second, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_receive_read(pair->b, &byte, 1, NULL, NULL), ZCB_ERR_INVALID);
    zcb_receive_drop(pair->b); /* the lease stays */
    assert_true(is_message(&message, zcb_lease_data(lease)));
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
    assert_ok(zcb_receive_read(pair->b, &byte, 1, NULL, NULL));
    assert_int_equal(zcb_receive_lease(pair->b, &second, NULL), ZCB_ERR_INVALID);
    zcb_receive_drop(pair->b);
    zcb_lease_free(lease);
    assert_frame_is_free(pair);
}

static void a_lease_outlives_both_ends(void **state)
{
    (void)state;
    unsigned before = open_descriptors();
    struct pair pair;
    zcb_message message, empty;
    assert_ok(zcb_channel_pair(NULL, &pair.a, &pair.b));
    assert_ok(send_filled(pair.a, 1, FRAME, NULL));
    assert_ok(send_filled(pair.a, 2, 0, NULL));
    zcb_lease *lease = take_lease(pair.b, &message);
    zcb_lease *nothing = take_lease(pair.b, &empty);
    zcb_channel_free(pair.b);
    assert_int_equal(send_filled(pair.a, 3, 1, NULL), ZCB_ERR_PEER_CLOSED);
    zcb_channel_free(pair.a);
    assert_true(is_message(&message, zcb_lease_data(lease)));
    zcb_lease_free(lease);
    zcb_lease_free(nothing);
    assert_int_equal(open_descriptors(), before);
}

static void *free_lease(void *lease)
{
    zcb_lease_free(lease);
    return NULL;
}

static void leases_come_back_from_any_thread(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    zcb_wait wait = patience();
    for (uint64_t i = 0; i < 100; i++) {
        pthread_t threads[3];
        for (int k = 0; k < 3; k++) {
            assert_ok(send_filled(pair->a, i, FRAME / 3 - 64, &wait));
            threads[k] = start_thread(free_lease, take_lease(pair->b, &message));
        }
        for (int k = 0; k < 3; k++)
            join_thread(threads[k]);
    }
    assert_frame_is_free(pair);
}

/* ---------------------------------------------------------------- giving up */

static void dropping_half_way_tells_the_sender(void **state)
{
    struct pair *pair = *state;
    for (int i = 0; i < 50; i++) {
        struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = LONGEST};
        pthread_t sender = start_thread(run_send, &call);
        zcb_message message;
        unsigned char some[100];
        assert_ok(zcb_receive_begin(pair->b, i % 2 ? ZCB_WISH_COPY : ZCB_WISH_LEASE, &message,
                                    &call.wait));
        assert_ok(zcb_receive_read(pair->b, some, (size_t)i, NULL, &call.wait));
        zcb_receive_drop(pair->b);
        join_thread(sender);
        assert_int_equal(call.error, ZCB_ERR_REFUSED);
        assert_works(pair);
    }
    assert_frame_is_free(pair);
}

/* Sends so much of a message that it shows, as a sender does that is slow. */
static void send_a_part(struct pair *pair, uint64_t id, const unsigned char *payload, size_t part)
{
    zcb_message message = message_of(id, FRAME);
    size_t written = 0;
    zcbi_rx_expect(pair->b, ZCB_WISH_LEASE);
    assert_ok(zcbi_turn_take(&pair->a->tx.turn, NULL));
    assert_ok(zcbi_tx_begin(pair->a, &message, NULL));
    assert_ok(zcbi_tx_write(pair->a, payload, part, &written, NULL));
}

static void dropping_a_whole_message_that_still_arrives_tells_the_sender(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME), some[100];
    zcb_message message;
    for (int i = 0; i < 2; i++) {
        size_t written = 0;
        send_a_part(pair, 1, payload, FRAME / 2);
        assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
        assert_ok(zcb_receive_read(pair->b, some, i == 0 ? 0 : sizeof(some), NULL, NULL));
        zcb_receive_drop(pair->b);
        zcb_error error = zcbi_tx_write(pair->a, payload + FRAME / 2, FRAME / 2, &written, NULL);
        assert_int_equal(error, ZCB_ERR_REFUSED);
        zcbi_tx_abort(pair->a);
        zcbi_turn_give(&pair->a->tx.turn);
        assert_empty(pair->b); /* which gives the block back */
        assert_works(pair);
    }
    free(payload);
    assert_frame_is_free(pair);
}

static void a_dropped_message_whose_sender_is_done_is_discarded(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME);
    zcb_message message;
    size_t written = 0;
    send_a_part(pair, 1, payload, FRAME - 1);
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
    /* The sender does not look any more between these two. */
    assert_ok(zcbi_tx_write(pair->a, payload + FRAME - 1, 1, &written, NULL));
    zcb_receive_drop(pair->b);
    zcbi_turn_give(&pair->a->tx.turn);
    assert_works(pair);
    assert_ok(send_filled(pair->a, 2, 0, NULL));
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
    zcb_receive_drop(pair->b);
    assert_works(pair);
    free(payload);
    assert_frame_is_free(pair);
}

/* The receiver takes some of a long message and no more; the sender fills the window and sleeps. */
static pthread_t start_stuck_sender(struct pair *pair, struct call *call, size_t taken)
{
    zcb_wait wait = patience();
    unsigned char *some = malloc(taken);
    pthread_t sender = start_thread(run_send, call);
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &call->message, &wait));
    assert_ok(zcb_receive_read(pair->b, some, taken, NULL, &wait));
    await_asleep(sender_asleep(pair->a));
    free(some);
    return sender;
}

static void assert_aborted(struct pair *pair)
{
    unsigned char *rest = malloc(LONGEST);
    zcb_wait wait = patience();
    assert_int_equal(zcb_receive_read(pair->b, rest, LONGEST - 100, NULL, &wait), ZCB_ERR_ABORTED);
    zcb_receive_drop(pair->b);
    free(rest);
    assert_works(pair);
    assert_frame_is_free(pair);
}

static void a_sender_that_times_out_half_way_aborts_the_message(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = within_ms(100), .id = 6, .bytes = LONGEST};
    pthread_t sender = start_stuck_sender(pair, &call, 100);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_ERR_TIMEOUT);
    assert_true(zcb_now_ns() >= call.wait.deadline_ns);
    assert_aborted(pair);
}

static void a_sender_that_is_cancelled_half_way_aborts_the_message(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = LONGEST};
    assert_ok(zcb_cancel_create(&call.wait.cancel));
    pthread_t sender = start_stuck_sender(pair, &call, 100);
    zcb_cancel_set(call.wait.cancel);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_ERR_CANCELLED);
    zcb_cancel_free(call.wait.cancel);
    assert_aborted(pair);
}

#if !defined(_WIN32)

static void on_signal(int number)
{
    (void)number;
}

struct question {
    _Atomic int is_yes, was_asked;
};

static int say_yes(void *arg)
{
    struct question *question = arg;
    if (!atomic_load(&question->is_yes))
        return 0;
    atomic_store(&question->was_asked, 1);
    return 1;
}

static void a_sender_that_is_interrupted_half_way_aborts_the_message(void **state)
{
    struct pair *pair = *state;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    struct question question = {0};
    struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = LONGEST};
    call.wait.interrupted = say_yes;
    call.wait.arg = &question;
    pthread_t sender = start_stuck_sender(pair, &call, 100);
    atomic_store(&question.is_yes, 1);
    while (!atomic_load(&question.was_asked))
        pthread_kill(sender, SIGUSR1);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_ERR_INTERRUPTED);
    assert_aborted(pair);
}

#endif

static void a_whole_message_that_is_given_up_half_way_is_aborted(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME);
    zcb_message message;
    zcb_lease *lease;
    zcb_wait wait = patience();
    for (int held = 0; held < 2; held++) {
        send_a_part(pair, 1, payload, FRAME / 2);
        assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
        zcbi_tx_abort(pair->a);
        zcbi_turn_give(&pair->a->tx.turn);
        zcb_error error = held ? zcb_receive_lease(pair->b, &lease, &wait)
                               : zcb_receive_read(pair->b, payload, FRAME, NULL, &wait);
        assert_int_equal(error, ZCB_ERR_ABORTED);
        zcb_receive_drop(pair->b);
        assert_works(pair);
    }
    free(payload);
    assert_frame_is_free(pair);
}

static void a_read_that_times_out_and_drops_leaves_the_channel_working(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME);
    zcb_message message;
    zcb_wait at_once = {0};
    send_a_part(pair, 1, payload, FRAME / 2);
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
    assert_int_equal(zcb_receive_read(pair->b, payload, FRAME, NULL, &at_once), ZCB_ERR_TIMEOUT);
    zcb_receive_drop(pair->b);
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &at_once),
                     ZCB_ERR_TIMEOUT);
    zcbi_tx_abort(pair->a);
    zcbi_turn_give(&pair->a->tx.turn);
    assert_empty(pair->b);
    assert_works(pair);
    free(payload);
}

static void an_abort_needs_no_memory(void **state)
{
    struct pair *pair = *state;
    plat_memory *memory = &pair->a->region->memory;
    plat_handle handle = memory->handle, no_file;
    unsigned char *payload = calloc(1, FRAME);
    assert_ok(zcbi_plat_event_create(&no_file));
    /* On both sides of the place where the next page of the ring is missing. */
    for (uint64_t i = 0; i < 140; i++) {
        zcb_message message;
        if (i == 35) {
            assert_ok(send_filled(pair->a, 1, 0, NULL));
            assert_received(pair->b, 1, 0);
        }
        send_a_part(pair, i, payload, FRAME / 2);
        memory->handle = no_file;
        zcbi_tx_abort(pair->a);
        memory->handle = handle;
        zcbi_turn_give(&pair->a->tx.turn);
        assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
        assert_int_equal(zcb_receive_read(pair->b, payload, FRAME, NULL, NULL), ZCB_ERR_ABORTED);
        zcb_receive_drop(pair->b);
    }
    zcbi_plat_close(no_file);
    free(payload);
    assert_works(pair);
}

static void a_full_ring_leaves_room_for_the_end_of_a_message(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME);
    zcb_wait wait = patience();
    for (int ended = 0; ended < 2; ended++) {
        zcb_message message;
        size_t written = 0;
        send_a_part(pair, 1, payload, FRAME / 2);
        for (unsigned i = 0; i < RING_ENTRIES + 10;
             i++) /* each shows by itself, while the ring has room */
            assert_ok(zcbi_tx_write(pair->a, payload, 1, &written, NULL));
        if (ended)
            assert_ok(zcbi_tx_write(pair->a, payload, FRAME / 2 - written, &written, NULL));
        else
            zcbi_tx_abort(pair->a);
        zcbi_turn_give(&pair->a->tx.turn);
        assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &wait));
        assert_int_equal(zcb_receive_read(pair->b, payload, FRAME, NULL, &wait),
                         ended ? ZCB_OK : ZCB_ERR_ABORTED);
        if (ended)
            assert_ok(zcb_receive_end(pair->b));
        else
            zcb_receive_drop(pair->b);
        assert_works(pair);
    }
    free(payload);
    assert_frame_is_free(pair);
}

static void without_memory_a_message_is_withdrawn(void **state)
{
    struct pair *pair = *state;
    plat_memory *memory = &pair->a->region->memory;
    plat_memory kept = take_memory_away(memory);
    assert_int_not_equal(send_filled(pair->a, 1, 100, NULL), ZCB_OK);
    assert_int_not_equal(send_filled(pair->a, 1, 0, NULL), ZCB_OK);
    give_memory_back(memory, kept);
    assert_empty(pair->b);
    assert_works(pair);
    assert_frame_is_free(pair);
}

/* ---------------------------------------------------------------- closing */

static void closing_ends_the_waits_of_both_sides(void **state)
{
    (void)state;
    for (int by_receiver = 0; by_receiver < 2; by_receiver++) {
        struct pair pair;
        zcb_channel_options options = {.frame_bytes = FRAME, .window_bytes = WINDOW};
        assert_ok(zcb_channel_pair(&options, &pair.a, &pair.b));
        /* a sends and b receives; b's own sending direction is full as well. */
        assert_ok(send_filled(pair.b, 1, FRAME, NULL));
        struct call receive = {.channel = pair.b, .wait = patience()};
        struct call send = {.channel = pair.b, .wait = patience(), .id = 2, .bytes = 1};
        pthread_t receiver = start_thread(run_begin, &receive);
        pthread_t sender = start_thread(run_send, &send);
        await_asleep(receiver_asleep(pair.b));
        await_asleep(sender_asleep(pair.b));
        zcb_channel_close(by_receiver ? pair.b : pair.a);
        join_thread(receiver);
        join_thread(sender);
        zcb_error expected = by_receiver ? ZCB_ERR_CLOSED : ZCB_ERR_PEER_CLOSED;
        assert_int_equal(receive.error, expected);
        assert_int_equal(send.error, expected);
        zcb_channel_close(pair.b);
        zcb_channel_close(pair.b);
        zcb_channel_free(pair.a);
        zcb_channel_free(pair.b);
    }
}

static void closing_ends_the_waits_of_those_in_line(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    assert_ok(send_filled(pair->a, 1, 10, NULL));
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL)); /* and keeps the turn */
    struct call call = {.channel = pair->b, .wait = patience()};
    pthread_t thread = start_thread(run_begin, &call);
    await_in_line(&pair->b->rx.turn);
    zcb_channel_close(pair->b);
    join_thread(thread);
    assert_int_equal(call.error, ZCB_ERR_CLOSED);
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL), ZCB_ERR_CLOSED);
    assert_true(finish_by_copy(pair->b, &message, NULL));
}

static void whoever_waits_half_way_learns_of_the_close(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = LONGEST};
    pthread_t sender = start_stuck_sender(pair, &call, 100);
    zcb_channel_close(pair->b);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_ERR_PEER_CLOSED);
    zcb_receive_drop(pair->b);
}

static void a_receiver_half_way_learns_of_the_close(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME);
    zcb_message message;
    send_a_part(pair, 1, payload, FRAME / 2);
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
    zcb_channel_close(pair->a);
    assert_int_equal(zcb_receive_read(pair->b, payload, FRAME, NULL, NULL), ZCB_ERR_PEER_CLOSED);
    zcb_receive_drop(pair->b);
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL),
                     ZCB_ERR_PEER_CLOSED);
    zcbi_tx_abort(pair->a);
    zcbi_turn_give(&pair->a->tx.turn);
    free(payload);
}

static void what_is_queued_outlives_the_close(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    for (uint64_t i = 1; i <= 10; i++)
        assert_ok(send_filled(pair->a, i, i * 1000, NULL));
    zcb_channel_close(pair->a);
    for (uint64_t i = 1; i <= 10; i++)
        assert_received(pair->b, i, i * 1000);
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL),
                     ZCB_ERR_PEER_CLOSED);
    assert_int_equal(send_filled(pair->b, 1, 1, NULL), ZCB_ERR_PEER_CLOSED);
    assert_int_equal(zcb_receive_begin(pair->a, ZCB_WISH_COPY, &message, NULL), ZCB_ERR_CLOSED);
    assert_int_equal(send_filled(pair->a, 1, 1, NULL), ZCB_ERR_CLOSED);
}

static void a_close_is_never_missed(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        struct pair pair;
        zcb_channel_options options = {.frame_bytes = ZCB_MIN_FRAME_BYTES,
                                       .window_bytes = ZCB_MIN_WINDOW_BYTES};
        assert_ok(zcb_channel_pair(&options, &pair.a, &pair.b));
        struct call receive = {.channel = pair.b, .wait = patience()};
        struct call send = {
            .channel = pair.b, .wait = patience(), .id = 1, .bytes = 2 * ZCB_MIN_FRAME_BYTES};
        pthread_t receiver = start_thread(run_begin, &receive);
        pthread_t sender = start_thread(run_send, &send);
        zcb_channel_close(i % 2 ? pair.a : pair.b);
        join_thread(receiver);
        join_thread(sender);
        assert_int_equal(receive.error, i % 2 ? ZCB_ERR_PEER_CLOSED : ZCB_ERR_CLOSED);
        assert_int_equal(send.error, receive.error);
        zcb_channel_free(pair.a);
        zcb_channel_free(pair.b);
    }
}

/* ---------------------------------------------------------------- many threads */

#define SENDERS 4
#define EACH 250

struct crowd {
    zcb_channel *channel;
    _Atomic uint64_t ids; /* their sum */
    _Atomic uint64_t next;
    _Atomic uint64_t count, wrong;
};

static void *send_many(void *arg)
{
    struct crowd *crowd = arg;
    zcb_wait wait = patience();
    for (int i = 0; i < EACH; i++) {
        uint64_t id = atomic_fetch_add(&crowd->next, 1) + 1;
        uint64_t seed = id;
        uint64_t most = next_random(&seed) % 50 == 0 ? 2 * FRAME : 20000;
        if (send_filled(crowd->channel, id, next_random(&seed) % most, &wait))
            atomic_fetch_add(&crowd->wrong, 1);
    }
    return NULL;
}

static void *receive_some(void *arg)
{
    struct crowd *crowd = arg;
    zcb_wait wait = patience();
    zcb_message message;
    while (atomic_fetch_add(&crowd->count, 1) < (uint64_t)SENDERS * EACH) {
        zcb_wish wish = atomic_load(&crowd->count) % 2 ? ZCB_WISH_COPY : ZCB_WISH_LEASE;
        if (receive_right(crowd->channel, wish, &message, &wait))
            atomic_fetch_add(&crowd->ids, message.id);
        else
            atomic_fetch_add(&crowd->wrong, 1);
    }
    return NULL;
}

static void many_threads_on_one_channel_get_whole_messages(void **state)
{
    struct pair *pair = *state;
    struct crowd senders = {.channel = pair->a}, receivers = {.channel = pair->b};
    pthread_t threads[SENDERS + 3];
    for (int i = 0; i < SENDERS + 3; i++)
        threads[i] = i < SENDERS ? start_thread(send_many, &senders)
                                 : start_thread(receive_some, &receivers);
    for (int i = 0; i < SENDERS + 3; i++)
        join_thread(threads[i]);
    uint64_t all = SENDERS * EACH;
    assert_int_equal(senders.wrong, 0);
    assert_int_equal(receivers.wrong, 0);
    assert_int_equal(receivers.ids, all * (all + 1) / 2);
    assert_frame_is_free(pair);
}

static void both_directions_go_at_once(void **state)
{
    struct pair *pair = *state;
    struct crowd there = {.channel = pair->a}, back = {.channel = pair->b};
    pthread_t threads[10];
    for (int i = 0; i < SENDERS; i++) {
        threads[2 * i] = start_thread(send_many, &there);
        threads[2 * i + 1] = start_thread(send_many, &back);
    }
    threads[8] = start_thread(receive_some, &there);
    threads[9] = start_thread(receive_some, &back);
    for (int i = 0; i < 10; i++)
        join_thread(threads[i]);
    assert_int_equal(there.wrong + back.wrong, 0);
    uint64_t all = SENDERS * EACH;
    assert_int_equal(there.ids, all * (all + 1) / 2);
    assert_int_equal(back.ids, all * (all + 1) / 2);
}

static void a_sender_that_gives_up_at_any_moment_breaks_nothing(void **state)
{
    struct pair *pair = *state;
    struct call receive = {.channel = pair->b, .wait = patience()};
    uint64_t seed = 11, sent = 0, got = 0;
    for (int i = 0; i < 300; i++) {
        struct call call = {
            .channel = pair->a, .id = (uint64_t)i, .bytes = next_random(&seed) % LONGEST};
        call.wait =
            (zcb_wait){.deadline_ns = zcb_now_ns() + (int64_t)(next_random(&seed) % 1000000)};
        pthread_t sender = start_thread(run_send, &call);
        zcb_wait wait = {.deadline_ns = zcb_now_ns() + (int64_t)(next_random(&seed) % 1000000)};
        if (zcb_receive_begin(pair->b, ZCB_WISH_COPY, &receive.message, &wait) == ZCB_OK)
            got += finish_by_copy(pair->b, &receive.message, &receive.wait);
        join_thread(sender);
        sent += call.error == ZCB_OK;
        while (zcb_receive_begin(pair->b, ZCB_WISH_COPY, &receive.message, &(zcb_wait){0}) ==
               ZCB_OK)
            got += finish_by_copy(pair->b, &receive.message, &receive.wait);
    }
    assert_int_equal(got, sent);
    assert_works(pair);
    assert_frame_is_free(pair);
}

static void a_receiver_that_drops_at_any_moment_breaks_nothing(void **state)
{
    struct pair *pair = *state;
    uint64_t seed = 12;
    unsigned char *payload = malloc(LONGEST);
    for (int i = 0; i < 300; i++) {
        struct call call = {
            .channel = pair->a, .wait = patience(), .bytes = next_random(&seed) % LONGEST};
        pthread_t sender = start_thread(run_send, &call);
        assert_ok(zcb_receive_begin(pair->b, i % 2 ? ZCB_WISH_COPY : ZCB_WISH_LEASE, &call.message,
                                    NULL));
        uint64_t some = next_random(&seed) % (call.bytes + 1);
        assert_ok(zcb_receive_read(pair->b, payload, (size_t)some, NULL, &call.wait));
        zcb_receive_drop(pair->b);
        join_thread(sender);
        assert_true(call.error == ZCB_OK || call.error == ZCB_ERR_REFUSED);
        assert_empty(pair->b);
    }
    free(payload);
    assert_works(pair);
    assert_frame_is_free(pair);
}

/* ---------------------------------------------------------------- cancel, counts, fork */

static void cancel_ends_waits_until_it_is_reset(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->b, .wait = patience()};
    zcb_message message;
    assert_ok(zcb_cancel_create(&call.wait.cancel));
    pthread_t thread = start_thread(run_begin, &call);
    await_asleep(receiver_asleep(pair->b));
    zcb_cancel_set(call.wait.cancel);
    join_thread(thread);
    assert_int_equal(call.error, ZCB_ERR_CANCELLED);
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &call.wait),
                     ZCB_ERR_CANCELLED);
    zcb_cancel_reset(call.wait.cancel);
    call.wait.deadline_ns = 0;
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &call.wait),
                     ZCB_ERR_TIMEOUT);
    zcb_cancel_free(call.wait.cancel);
    assert_works(pair);
}

static void *send_counted(void *arg)
{
    struct call *call = arg;
    for (uint64_t i = 1; i <= call->bytes && !call->error; i++)
        call->error = send_filled(call->channel, i, i % 700, &call->wait);
    return NULL;
}

/* ---------------------------------------------------------------- watching a second channel */

/* Two channels: one is used, the other is watched. */
struct two {
    struct pair used, watched;
    struct call call;
};

static struct two make_two(uint64_t frame_bytes)
{
    struct two two = {0};
    zcb_channel_options options = {.frame_bytes = frame_bytes, .window_bytes = WINDOW};
    assert_ok(zcb_channel_pair(&options, &two.used.a, &two.used.b));
    assert_ok(zcb_channel_pair(&options, &two.watched.a, &two.watched.b));
    two.call.wait = patience();
    two.call.wait.watch = two.watched.b;
    return two;
}

static void free_two(struct two *two)
{
    zcb_channel_free(two->used.a);
    zcb_channel_free(two->used.b);
    zcb_channel_free(two->watched.a);
    zcb_channel_free(two->watched.b);
}

static void a_wait_for_a_message_ends_when_the_watched_channel_has_one(void **state)
{
    (void)state;
    struct two two = make_two(FRAME);
    two.call.channel = two.used.b;
    for (uint64_t i = 1; i <= 3; i++) {
        pthread_t receiver = start_thread(run_begin, &two.call);
        await_asleep(receiver_asleep(two.used.b));
        assert_ok(send_filled(two.watched.a, i, 10, NULL));
        join_thread(receiver);
        assert_int_equal(two.call.error, ZCB_ERR_WATCHED);
        assert_received(two.watched.b, i, 10);
        assert_works(&two.used); /* the turn was given back */
    }
    free_two(&two);
}

static void what_is_there_goes_before_the_watched_channel(void **state)
{
    (void)state;
    struct two two = make_two(FRAME);
    zcb_message message;
    assert_ok(send_filled(two.watched.a, 1, 10, NULL));
    assert_int_equal(zcb_receive_begin(two.used.b, ZCB_WISH_COPY, &message, &two.call.wait),
                     ZCB_ERR_WATCHED);
    assert_ok(
        send_filled(two.used.a, 2, FRAME, NULL)); /* short enough to be read to its end, too */
    assert_true(receive_right(two.used.b, ZCB_WISH_COPY, &message, &two.call.wait));
    assert_ok(send_filled(two.used.a, 3, FRAME, &two.call.wait));
    zcb_lease *lease;
    assert_ok(zcb_receive_begin(two.used.b, ZCB_WISH_LEASE, &message, &two.call.wait));
    assert_ok(zcb_receive_lease(two.used.b, &lease, &two.call.wait));
    assert_ok(zcb_receive_end(two.used.b));
    assert_int_equal(send_filled(two.used.a, 4, 1, &two.call.wait), ZCB_ERR_WATCHED); /* no room */
    zcb_lease_free(lease);
    assert_received(two.watched.b, 1, 10);
    assert_works(&two.used);
    free_two(&two);
}

static void a_wait_for_room_ends_when_the_watched_channel_has_a_message(void **state)
{
    (void)state;
    struct two two = make_two(FRAME);
    assert_ok(send_filled(two.used.a, 1, FRAME, NULL));
    two.call.channel = two.used.a;
    two.call.id = 2;
    two.call.bytes = 10;
    pthread_t sender = start_thread(run_send, &two.call);
    await_asleep(sender_asleep(two.used.a));
    assert_ok(send_filled(two.watched.a, 3, 10, NULL));
    join_thread(sender);
    assert_int_equal(two.call.error, ZCB_ERR_WATCHED);
    assert_received(two.used.b, 1, FRAME);
    assert_empty(two.used.b);
    free_two(&two);
}

static void a_wait_in_line_ends_when_the_watched_channel_has_a_message(void **state)
{
    (void)state;
    struct two two = make_two(FRAME);
    assert_ok(
        zcbi_turn_take(&two.used.a->tx.turn, NULL)); /* by another thread, which waits for room */
    two.call.channel = two.used.a;
    two.call.id = 1;
    two.call.bytes = 10;
    pthread_t sender = start_thread(run_send, &two.call);
    await_asleep(receiver_asleep(two.watched.b));
    assert_ok(send_filled(two.watched.a, 2, 10, NULL));
    join_thread(sender);
    assert_int_equal(two.call.error, ZCB_ERR_WATCHED);
    zcbi_turn_give(&two.used.a->tx.turn);
    assert_received(two.watched.b, 2, 10);
    assert_works(&two.used);
    free_two(&two);
}

static void the_close_of_the_watched_channel_ends_it_too(void **state)
{
    (void)state;
    for (int by_peer = 0; by_peer < 2; by_peer++) {
        struct two two = make_two(FRAME);
        two.call.channel = two.used.b;
        pthread_t receiver = start_thread(run_begin, &two.call);
        await_asleep(receiver_asleep(two.used.b));
        zcb_channel_close(by_peer ? two.watched.a : two.watched.b);
        join_thread(receiver);
        assert_int_equal(two.call.error, ZCB_ERR_WATCHED);
        free_two(&two);
    }
}

/* What is left of a message, to be read on a thread of its own. */
struct rest {
    zcb_channel *channel;
    unsigned char *payload;
    size_t bytes, done;
    zcb_wait wait;
    zcb_error error;
};

static void *read_rest(void *arg)
{
    struct rest *rest = arg;
    rest->error = zcb_receive_read(rest->channel, rest->payload + rest->done,
                                   rest->bytes - rest->done, &rest->done, &rest->wait);
    return NULL;
}

static void *write_rest(void *arg)
{
    struct rest *rest = arg;
    rest->error = zcb_send_write(rest->channel, rest->payload + rest->done,
                                 rest->bytes - rest->done, &rest->done, &rest->wait);
    return NULL;
}

static void a_long_copy_ends_for_the_watched_channel_and_goes_on_elsewhere(void **state)
{
    (void)state;
    struct two two = make_two(8 * MIB);
    struct rest rest = {.channel = two.used.b, .bytes = 8 * MIB, .wait = two.call.wait};
    zcb_message message;
    rest.payload = malloc(8 * MIB);
    assert_ok(send_filled(two.used.a, 7, 8 * MIB, NULL));
    assert_ok(send_filled(two.watched.a, 1, 1, NULL));
    assert_ok(zcb_receive_begin(two.used.b, ZCB_WISH_COPY, &message, &rest.wait));
    read_rest(&rest);
    assert_int_equal(rest.error, ZCB_ERR_WATCHED);
    assert_in_range(rest.done, 1, 4 * MIB); /* soon, but not before it was worth it */
    size_t before = rest.done;
    read_rest(&rest);
    assert_int_equal(rest.error, ZCB_ERR_WATCHED);
    assert_true(rest.done > before); /* and each time some of it */
    rest.wait.watch = NULL;
    join_thread(start_thread(read_rest, &rest));
    assert_int_equal(rest.error, ZCB_OK);
    assert_true(is_message(&message, rest.payload));
    assert_ok(zcb_receive_end(two.used.b));
    free(rest.payload);
    free_two(&two);
}

static void a_long_write_ends_for_the_watched_channel_and_goes_on_elsewhere(void **state)
{
    (void)state;
    struct two two = make_two(8 * MIB);
    struct rest rest = {.channel = two.used.a, .bytes = 8 * MIB, .wait = two.call.wait};
    zcb_message message = message_of(7, 8 * MIB);
    rest.payload = malloc(8 * MIB);
    fill(rest.payload, 8 * MIB, 7);
    assert_ok(send_filled(two.watched.a, 1, 1, NULL));
    assert_ok(zcb_send_begin(two.used.a, &message, &rest.wait));
    write_rest(&rest);
    assert_int_equal(rest.error, ZCB_ERR_WATCHED);
    assert_in_range(rest.done, 1, 4 * MIB);
    assert_empty(two.used.b);
    rest.wait.watch = NULL;
    join_thread(start_thread(write_rest, &rest));
    assert_int_equal(rest.error, ZCB_OK);
    assert_ok(zcb_send_end(two.used.a));
    assert_received(two.used.b, 7, 8 * MIB);
    free(rest.payload);
    free_two(&two);
}

static void two_channels_are_served_by_one_thread_and_nothing_is_missed(void **state)
{
    (void)state;
    struct two two = make_two(FRAME);
    enum { COUNT = 3000 };
    struct call senders[2] = {{.channel = two.used.a, .wait = patience(), .bytes = COUNT},
                              {.channel = two.watched.a, .wait = patience(), .bytes = COUNT}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        threads[i] = start_thread(send_counted, &senders[i]);
    uint64_t used = 0, watched = 0;
    zcb_wait at_once = {0};
    while (used < COUNT || watched < COUNT) {
        zcb_message message;
        zcb_error error = ZCB_ERR_WATCHED;
        if (used < COUNT)
            error = zcb_receive_begin(two.used.b, ZCB_WISH_COPY, &message, &two.call.wait);
        if (!error) {
            assert_true(finish_by_copy(two.used.b, &message, &two.call.wait));
            assert_int_equal(message.id, ++used);
            continue;
        }
        assert_int_equal(error, ZCB_ERR_WATCHED);
        while (receive_right(two.watched.b, ZCB_WISH_COPY, &message,
                             used < COUNT ? &at_once : &senders[1].wait)) {
            assert_int_equal(message.id, ++watched);
            if (watched == COUNT)
                break;
        }
        if (watched == COUNT)
            two.call.wait.watch = NULL;
    }
    for (int i = 0; i < 2; i++) {
        join_thread(threads[i]);
        assert_int_equal(senders[i].error, ZCB_OK);
    }
    free_two(&two);
}

/* ---------------------------------------------------------------- sending in steps */

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

static void the_sending_turn_is_kept_from_begin_to_end(void **state)
{
    struct pair *pair = *state;
    zcb_message message = message_of(1, 10);
    unsigned char payload[10];
    size_t done = 0;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 2, .bytes = 10};
    fill(payload, 10, 1);
    assert_ok(zcb_send_begin(pair->a, &message, NULL));
    pthread_t sender = start_thread(run_send, &call);
    await_in_line(&pair->a->tx.turn);
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
    assert_works(pair); /* the turn is free */
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
    zcbi_turn_give(&pair->a->tx.turn);
    assert_counts(pair->b, 2, 2); /* a message that was given up is none */
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
    assert_int_equal(zcb_receive_read(pair->b, payload, FRAME, NULL, NULL), ZCB_ERR_ABORTED);
    zcb_receive_drop(pair->b);
    assert_counts(pair->b, 2, 2);
    free(payload);
}

#if !defined(_WIN32)

static bool child_is_kept_out(struct pair *pair, zcb_lease *lease)
{
    zcb_message message = message_of(1, 0);
    zcb_lease *second;
    unsigned char byte;
    bool out = zcb_send(pair->a, &message, NULL, NULL) == ZCB_ERR_FORKED &&
               zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL) == ZCB_ERR_FORKED &&
               zcb_receive_read(pair->b, &byte, 1, NULL, NULL) == ZCB_ERR_FORKED &&
               zcb_receive_lease(pair->b, &second, NULL) == ZCB_ERR_FORKED &&
               zcb_receive_end(pair->b) == ZCB_ERR_FORKED;
    zcb_receive_drop(pair->b);
    zcb_channel_close(pair->a);
    zcb_lease_free(lease);
    zcb_channel_free(pair->a);
    zcb_channel_free(pair->b);
    return out;
}

static void a_forked_child_is_kept_out_and_the_parent_goes_on(void **state)
{
    struct pair *pair = *state;
    zcb_message message, held;
    unsigned char bytes[10];
    assert_ok(send_filled(pair->a, 1, 10, NULL));
    assert_ok(send_filled(pair->a, 2, 10, NULL));
    zcb_lease *lease = take_lease(pair->b, &held);
    assert_ok(
        zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL)); /* and is in the middle of it */
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_is_kept_out(pair, lease) ? 0 : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_ok(send_filled(pair->a, 3, 10, NULL)); /* not where the two messages lie */
    assert_ok(zcb_receive_read(pair->b, bytes, 10, NULL, NULL));
    assert_true(is_message(&message, bytes));
    assert_ok(zcb_receive_end(pair->b));
    assert_true(is_message(&held, zcb_lease_data(lease)));
    zcb_lease_free(lease);
    assert_received(pair->b, 3, 10);
    assert_works(pair);
    assert_frame_is_free(pair);
}

#endif

static void a_channel_leaves_no_descriptor_behind(void **state)
{
    (void)state;
    unsigned before = open_descriptors();
    for (int i = 0; i < 100; i++) {
        struct pair pair;
        assert_ok(zcb_channel_pair(NULL, &pair.a, &pair.b));
        assert_int_equal(zcb_channel_frame_bytes(pair.a), 64 * MIB);
        zcb_channel_free(pair.a);
        zcb_channel_free(pair.b);
    }
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(messages_of_every_size_arrive_in_order),
        TEST(messages_of_every_size_can_be_held_or_read),
        TEST(a_message_can_be_read_in_parts_of_any_length),
        TEST(bytes_that_were_not_read_keep_the_turn),
        TEST(nonsense_arguments_are_refused),
        TEST(the_frame_queues_what_fits_and_refuses_the_rest_without_a_trace),
        TEST(one_message_of_the_frames_size_queues),
        TEST(thousands_of_small_messages_queue),
        TEST(a_sender_that_waits_goes_on_when_there_is_room),
        TEST(a_sender_that_waits_goes_on_when_a_lease_comes_back),
        TEST(a_sender_that_waits_is_withdrawn_without_a_trace),
        TEST(leases_come_back_in_any_order),
        TEST(a_lease_is_held_while_a_thousand_messages_pass),
        TEST(a_message_beyond_the_frame_cannot_be_held_but_read),
        TEST(a_message_is_held_while_its_sender_still_writes_it),
        TEST(a_lease_is_taken_once_and_before_reading),
        cmocka_unit_test(a_lease_outlives_both_ends),
        TEST(leases_come_back_from_any_thread),
        TEST(dropping_half_way_tells_the_sender),
        TEST(dropping_a_whole_message_that_still_arrives_tells_the_sender),
        TEST(a_dropped_message_whose_sender_is_done_is_discarded),
        TEST(a_sender_that_times_out_half_way_aborts_the_message),
        TEST(a_sender_that_is_cancelled_half_way_aborts_the_message),
        TEST_ON_POSIX(a_sender_that_is_interrupted_half_way_aborts_the_message, NO_SIGNALS),
        TEST(a_whole_message_that_is_given_up_half_way_is_aborted),
        TEST(a_read_that_times_out_and_drops_leaves_the_channel_working),
        TEST(an_abort_needs_no_memory),
        TEST(a_full_ring_leaves_room_for_the_end_of_a_message),
        TEST(without_memory_a_message_is_withdrawn),
        cmocka_unit_test(closing_ends_the_waits_of_both_sides),
        TEST(closing_ends_the_waits_of_those_in_line),
        TEST(whoever_waits_half_way_learns_of_the_close),
        TEST(a_receiver_half_way_learns_of_the_close),
        TEST(what_is_queued_outlives_the_close),
        cmocka_unit_test(a_close_is_never_missed),
        TEST(many_threads_on_one_channel_get_whole_messages),
        TEST(both_directions_go_at_once),
        TEST(a_sender_that_gives_up_at_any_moment_breaks_nothing),
        TEST(a_receiver_that_drops_at_any_moment_breaks_nothing),
        TEST(cancel_ends_waits_until_it_is_reset),
        cmocka_unit_test(a_wait_for_a_message_ends_when_the_watched_channel_has_one),
        cmocka_unit_test(what_is_there_goes_before_the_watched_channel),
        cmocka_unit_test(a_wait_for_room_ends_when_the_watched_channel_has_a_message),
        cmocka_unit_test(a_wait_in_line_ends_when_the_watched_channel_has_a_message),
        cmocka_unit_test(the_close_of_the_watched_channel_ends_it_too),
        cmocka_unit_test(a_long_copy_ends_for_the_watched_channel_and_goes_on_elsewhere),
        cmocka_unit_test(a_long_write_ends_for_the_watched_channel_and_goes_on_elsewhere),
        cmocka_unit_test(two_channels_are_served_by_one_thread_and_nothing_is_missed),
        TEST(a_message_can_be_written_in_parts_of_any_length),
        TEST(the_sending_turn_is_kept_from_begin_to_end),
        TEST(what_is_dropped_before_it_was_seen_leaves_no_trace),
        TEST(what_is_dropped_half_way_is_given_up_for_its_reader),
        TEST(a_begin_that_ends_without_room_has_begun_nothing),
        cmocka_unit_test(a_write_goes_on_after_every_passing_error),
        TEST(a_write_learns_that_its_reader_dropped_the_message),
        TEST(a_read_counts_what_it_has_copied),
        TEST(counts_say_what_is_there_to_be_received),
        TEST_ON_POSIX(a_forked_child_is_kept_out_and_the_parent_goes_on, NO_FORK),
        cmocka_unit_test(a_channel_leaves_no_descriptor_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
