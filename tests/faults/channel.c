/* Both ends of a channel in this process: every way that a message can go. */
#include "channel/block.h"
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "support.h"

#define FRAME_BYTES (256 * KIB)
#define WINDOW_BYTES (64 * KIB)
#define LONG_BYTES (1200 * KIB) /* longer than frame and window */

struct pair {
    zcb_channel *a, *b;
    unsigned char *from, *to; /* LONG_BYTES each */
};

static zcb_message message_of(uint64_t bytes)
{
    return (zcb_message){.kind = ZCB_KIND_BYTES, .bytes = bytes};
}

/* Sends a message whose contents its receiver can check. */
static zcb_error send(struct pair *pair, uint64_t bytes)
{
    zcb_wait wait = in_time();
    zcb_message message = message_of(bytes);
    fill(pair->from, (size_t)bytes, bytes);
    return CALL(zcb_send, pair->a, &message, pair->from, &wait);
}

static zcb_error receive(struct pair *pair, uint64_t bytes)
{
    zcb_wait wait = in_time();
    zcb_message message;
    zcb_error error = CALL(zcb_receive_begin, pair->b, ZCB_WISH_COPY, &message, &wait);
    if (error)
        return error;
    always(message.bytes == bytes, "the length of a message");
    error = CALL(zcb_receive_read, pair->b, pair->to, (size_t)message.bytes, NULL, &wait);
    if (error)
        return zcb_receive_drop(pair->b), error;
    always(is_filled(pair->to, (size_t)bytes, bytes), "a message's contents");
    return CALL(zcb_receive_end, pair->b);
}

static void drop_all(struct pair *pair)
{
    static const zcb_wait at_once = {0};
    zcb_message message;
    while (zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &at_once) == ZCB_OK)
        zcb_receive_drop(pair->b);
}

/* ---------------------------------------------------------------- the steps */

static void copies_queue(struct pair *pair)
{
    static const uint64_t sizes[] = {0, 1000, 100 * KIB};
    unsigned sent = 0;
    while (sent < 3 && !send(pair, sizes[sent]))
        sent++;
    for (unsigned i = 0; i < sent && !receive(pair, sizes[i]); i++)
        continue;
}

/* Who fails tries again, so that the other one does not wait for ever. */
static void *receive_long(void *arg)
{
    struct pair *pair = arg;
    while (receive(pair, LONG_BYTES))
        continue;
    return NULL;
}

static void long_messages_stream(struct pair *pair)
{
    pthread_t receiver = start_thread(receive_long, pair);
    while (send(pair, LONG_BYTES))
        continue;
    join_thread(receiver);
}

/* In steps, the length not told. Whatever fails, it is withdrawn. */
static zcb_error send_open_ended(struct pair *pair, size_t bytes)
{
    enum { STEP = 50000 };
    zcb_wait wait = in_time();
    zcb_message message = message_of(ZCB_OPEN_ENDED);
    zcb_error error = CALL(zcb_send_begin, pair->a, &message, &wait);
    size_t done = 0;
    if (error)
        return error;
    fill(pair->from, bytes, bytes);
    for (unsigned i = 0; !error && done < bytes; i++) {
        size_t step = bytes - done < STEP ? bytes - done : STEP;
        error = CALL(zcb_send_write, pair->a, pair->from + done, step, &done, &wait);
        if (!error && i % 3 == 1)
            error = CALL(zcb_send_flush, pair->a);
    }
    if (!error)
        error = CALL(zcb_send_end, pair->a);
    if (error)
        zcb_send_drop(pair->a);
    return error;
}

static zcb_error receive_open_ended(struct pair *pair, size_t bytes)
{
    zcb_wait wait = in_time();
    zcb_message message;
    size_t done = 0;
    zcb_error error = CALL(zcb_receive_begin, pair->b, ZCB_WISH_COPY, &message, &wait);
    if (error)
        return error;
    always(message.bytes == bytes || message.bytes == ZCB_OPEN_ENDED, "the length of a message");
    size_t most = message.bytes == ZCB_OPEN_ENDED ? LONG_BYTES : bytes;
    error = CALL(zcb_receive_read, pair->b, pair->to, most, &done, &wait);
    if (error)
        return zcb_receive_drop(pair->b), error;
    always(done == bytes && is_filled(pair->to, bytes, bytes), "an open-ended message's contents");
    return CALL(zcb_receive_end, pair->b);
}

static void short_ones_need_no_length(struct pair *pair)
{
    static const size_t sizes[] = {0, 1000, 60 * KIB, 150 * KIB};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        if (!send_open_ended(pair, sizes[i]))
            (void)receive_open_ended(pair, sizes[i]);
}

#define OPEN_BYTES (LONG_BYTES - 1) /* so that a read meets the end */

static void *receive_long_open_ended(void *arg)
{
    while (receive_open_ended(arg, OPEN_BYTES))
        continue;
    return NULL;
}

static void long_ones_need_no_length(struct pair *pair)
{
    pthread_t receiver = start_thread(receive_long_open_ended, pair);
    while (send_open_ended(pair, OPEN_BYTES))
        continue;
    join_thread(receiver);
}

static void leases_come_back_in_any_order(struct pair *pair)
{
    enum { LEASES = 3 };
    zcb_lease *leases[LEASES] = {0};
    for (unsigned i = 0; i < LEASES; i++) {
        uint64_t bytes = 30 * KIB + i;
        zcb_wait wait = in_time();
        zcb_message message;
        if (send(pair, bytes) || CALL(zcb_receive_begin, pair->b, ZCB_WISH_LEASE, &message, &wait))
            break;
        if (CALL(zcb_receive_lease, pair->b, &leases[i], &wait)) {
            zcb_receive_drop(pair->b);
            break;
        }
        (void)CALL(zcb_receive_end, pair->b);
        always(is_filled(zcb_lease_data(leases[i]), (size_t)bytes, bytes), "a lease's contents");
    }
    for (unsigned i = 0; i < LEASES; i++)
        zcb_lease_free(leases[(i + 1) % LEASES]);
}

static void blocks_go_as_they_are(struct pair *pair)
{
    zcb_wait wait = in_time();
    zcb_block *block = NULL;
    zcb_block *unsent = NULL;
    uint64_t bytes = 100 * KIB; /* the second one is the first to need this part of the frame */
    zcb_message message = message_of(bytes);
    (void)CALL(zcb_block_allocate, pair->a, bytes, &unsent, &wait);
    if (!CALL(zcb_block_allocate, pair->a, bytes, &block, &wait)) {
        fill(zcb_block_data(block), (size_t)bytes, bytes);
        if (!CALL(zcb_send, pair->a, &message, zcb_block_data(block), &wait))
            (void)receive(pair, bytes);
    }
    zcb_block_free(block);
    zcb_block_free(unsent);
    (void)CALL_FOR(ZCB_ERR_TOO_LARGE, zcb_block_allocate, pair->a, FRAME_BYTES + 1, &block, &wait);
}

static void either_side_drops(struct pair *pair)
{
    zcb_wait wait = in_time();
    zcb_message message = message_of(100 * KIB);
    size_t done = 0;
    fill(pair->from, 100 * KIB, 1);
    if (!CALL(zcb_send_begin, pair->a, &message, &wait)) {
        (void)CALL(zcb_send_write, pair->a, pair->from, 50 * KIB, &done, &wait);
        zcb_send_drop(pair->a);
    }
    if (!send(pair, 1000) && !CALL(zcb_receive_begin, pair->b, ZCB_WISH_COPY, &message, &wait)) {
        always(message.bytes == 1000, "a dropped message is not seen");
        zcb_receive_drop(pair->b);
    }
}

static void a_full_frame_times_out(struct pair *pair)
{
    zcb_wait wait = {.deadline_ns = zcb_deadline_ns(1)};
    zcb_message message = message_of(FRAME_BYTES);
    if (send(pair, FRAME_BYTES))
        return;
    (void)CALL_FOR(ZCB_ERR_TIMEOUT, zcb_send, pair->a, &message, pair->from, &wait);
    (void)receive(pair, FRAME_BYTES);
}

struct helper {
    struct pair *pair;
    zcb_cancel *cancel;
    _Atomic bool over; /* whom it helps has returned */
};

static void *cancel_who_sleeps(void *arg)
{
    struct helper *helper = arg;
    while (!atomic_load(&helper->pair->b->rx.control->consumer_asleep) &&
           !atomic_load(&helper->over))
        sched_yield();
    zcb_cancel_set(helper->cancel);
    return NULL;
}

static void a_wait_is_cancelled(struct pair *pair)
{
    struct helper helper = {.pair = pair};
    if (CALL(zcb_cancel_create, &helper.cancel))
        return;
    zcb_wait wait = in_time();
    wait.cancel = helper.cancel;
    zcb_message message;
    pthread_t thread = start_thread(cancel_who_sleeps, &helper);
    (void)CALL_FOR(ZCB_ERR_CANCELLED, zcb_receive_begin, pair->b, ZCB_WISH_COPY, &message, &wait);
    atomic_store(&helper.over, true);
    join_thread(thread);
    zcb_cancel_reset(helper.cancel);
    zcb_cancel_free(helper.cancel);
}

static void *send_in_turn(void *arg)
{
    struct helper *helper = arg;
    unsigned char bytes[100] = {0};
    zcb_wait wait = in_time();
    zcb_message message = message_of(sizeof(bytes));
    (void)CALL(zcb_send, helper->pair->a, &message, bytes, &wait);
    atomic_store(&helper->over, true);
    return NULL;
}

static bool stands_in_line(zcb_channel *channel)
{
    struct ticket_lock *lock = &channel->tx.lock;
    zcbi_plat_mutex_lock(&lock->mutex);
    bool somebody = lock->first != NULL;
    zcbi_plat_mutex_unlock(&lock->mutex);
    return somebody;
}

static void senders_take_turns(struct pair *pair)
{
    struct helper helper = {.pair = pair};
    zcb_wait wait = in_time();
    zcb_message message = message_of(100);
    size_t done = 0;
    if (CALL(zcb_send_begin, pair->a, &message, &wait))
        return;
    pthread_t thread = start_thread(send_in_turn, &helper);
    while (!stands_in_line(pair->a) && !atomic_load(&helper.over))
        sched_yield();
    if (CALL(zcb_send_write, pair->a, pair->from, 100, &done, &wait))
        zcb_send_drop(pair->a);
    else
        (void)CALL(zcb_send_end, pair->a);
    join_thread(thread);
    drop_all(pair);
}

/* ---------------------------------------------------------------- the scenario */

static void (*const steps[])(struct pair *) = {
    copies_queue,
    long_messages_stream,
    leases_come_back_in_any_order,
    blocks_go_as_they_are,
    either_side_drops,
    a_full_frame_times_out,
    a_wait_is_cancelled,
    senders_take_turns,
    short_ones_need_no_length,
    long_ones_need_no_length,
};

static void go_through(struct pair *pair)
{
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        next_step();
        steps[i](pair);
        suspend_faults();
        drop_all(pair);
        resume_faults();
    }
    next_step();
    zcb_channel_close(pair->a);
    zcb_message message;
    (void)CALL_FOR(ZCB_ERR_PEER_CLOSED, zcb_receive_begin, pair->b, ZCB_WISH_COPY, &message, NULL);
}

void run_channel(void)
{
    static unsigned char from[LONG_BYTES];
    static unsigned char to[LONG_BYTES];
    struct pair pair = {.from = from, .to = to};
    zcb_channel_options options = {.frame_bytes = FRAME_BYTES, .window_bytes = WINDOW_BYTES};
    if (CALL(zcb_channel_pair, &options, &pair.a, &pair.b))
        return;
    go_through(&pair);
    zcb_channel_free(pair.a);
    zcb_channel_free(pair.b);
    conclude(false);
}
