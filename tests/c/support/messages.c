#include "messages.h"
#include "channel/block.h"

zcb_message message_of(uint64_t id, uint64_t bytes)
{
    return (zcb_message){ZCB_KIND_BYTES, (uint32_t)(id * 3), id, bytes};
}

zcb_error send_filled(zcb_channel *channel, uint64_t id, uint64_t bytes, const zcb_wait *wait)
{
    unsigned char *payload = malloc((size_t)bytes + 1);
    zcb_message message = message_of(id, bytes);
    fill(payload, (size_t)bytes, id);
    zcb_error error = zcb_send(channel, &message, payload, wait);
    free(payload);
    return error;
}

bool is_message(const zcb_message *message, const void *payload)
{
    return message->kind == ZCB_KIND_BYTES && message->flags == (uint32_t)(message->id * 3) &&
           is_filled(payload, (size_t)message->bytes, message->id);
}

bool finish_by_copy(zcb_channel *channel, const zcb_message *message, const zcb_wait *wait)
{
    unsigned char *payload = malloc((size_t)message->bytes + 1);
    zcb_error error = zcb_receive_read(channel, payload, (size_t)message->bytes, NULL, wait);
    bool right = !error && is_message(message, payload);
    free(payload);
    if (error)
        zcb_receive_drop(channel);
    return right && zcb_receive_end(channel) == ZCB_OK;
}

bool receive_right(zcb_channel *channel, zcb_wish wish, zcb_message *message, const zcb_wait *wait)
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

void assert_received(zcb_channel *channel, uint64_t id, uint64_t bytes)
{
    zcb_wait wait = patience();
    zcb_message message;
    assert_true(receive_right(channel, ZCB_WISH_COPY, &message, &wait));
    assert_int_equal(message.id, id);
    assert_int_equal(message.bytes, bytes);
}

void assert_empty(zcb_channel *channel)
{
    zcb_message message;
    zcb_wait wait = {0};
    assert_int_equal(zcb_receive_begin(channel, ZCB_WISH_COPY, &message, &wait), ZCB_ERR_TIMEOUT);
}

void assert_works(struct pair *pair)
{
    zcb_wait wait = patience();
    assert_ok(send_filled(pair->a, 4711, 1000, &wait));
    assert_received(pair->b, 4711, 1000);
    assert_ok(send_filled(pair->b, 4712, 1000, &wait));
    assert_received(pair->a, 4712, 1000);
    assert_empty(pair->a);
    assert_empty(pair->b);
}

void assert_frame_is_free(struct pair *pair)
{
    zcb_wait at_once = {0};
    assert_ok(send_filled(pair->a, 1, FRAME, &at_once));
    assert_received(pair->b, 1, FRAME);
}

zcb_lease *take_lease(zcb_channel *channel, zcb_message *message)
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

void *run_send(void *arg)
{
    struct call *call = arg;
    call->error = send_filled(call->channel, call->id, call->bytes, &call->wait);
    return NULL;
}

void *run_begin(void *arg)
{
    struct call *call = arg;
    call->error = zcb_receive_begin(call->channel, ZCB_WISH_COPY, &call->message, &call->wait);
    return NULL;
}

void await_in_line(struct ticket_lock *lock)
{
    bool waits = false;
    while (!waits) {
        zcbi_plat_mutex_lock(&lock->mutex);
        waits = lock->first && atomic_load(&lock->first->asleep);
        zcbi_plat_mutex_unlock(&lock->mutex);
        sched_yield();
    }
}

void send_a_part(struct pair *pair, uint64_t id, const unsigned char *payload, size_t part)
{
    zcb_message message = message_of(id, FRAME);
    size_t written = 0;
    zcbi_rx_expect(pair->b, ZCB_WISH_LEASE);
    assert_ok(zcbi_ticket_lock_acquire(&pair->a->tx.lock, NULL));
    assert_ok(zcbi_tx_begin(pair->a, &message, 0, NULL));
    assert_ok(zcbi_tx_write(pair->a, payload, part, &written, NULL));
}

pthread_t start_stuck_sender(struct pair *pair, struct call *call, size_t taken)
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

void *read_rest(void *arg)
{
    struct rest *rest = arg;
    rest->error = zcb_receive_read(rest->channel, rest->payload + rest->done,
                                   rest->bytes - rest->done, &rest->done, &rest->wait);
    return NULL;
}

void *write_rest(void *arg)
{
    struct rest *rest = arg;
    rest->error = zcb_send_write(rest->channel, rest->payload + rest->done,
                                 rest->bytes - rest->done, &rest->done, &rest->wait);
    return NULL;
}

struct two make_two(uint64_t frame_bytes)
{
    struct two two = {.used = make_pair(frame_bytes, WINDOW),
                      .watched = make_pair(frame_bytes, WINDOW)};
    two.call.wait = patience();
    two.call.wait.watch = two.watched.b;
    return two;
}

void free_two(struct two *two)
{
    free_pair(&two->used);
    free_pair(&two->watched);
}
