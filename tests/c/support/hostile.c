#include "hostile.h"
#include "channel/block.h"

struct pair make_hostile_pair(void)
{
    struct pair pair = make_pair(SMALL_FRAME, WINDOW);
    size_t ring_at = (size_t)pair.a->region->geometry.ring_at[1];
    assert_ok(zcbi_plat_memory_commit(&pair.a->region->memory, ring_at, RING_BYTES));
    return pair;
}

void publish(struct pair *pair, const struct descriptor *descriptor)
{
    struct producer *tx = &pair->b->tx;
    tx->ring[pair->head++ % RING_ENTRIES] = *descriptor;
    atomic_store(&tx->control->head, pair->head);
}

zcb_error begin_at_once(struct pair *pair, zcb_message *message)
{
    zcb_wait at_once = {0};
    return zcb_receive_begin(pair->a, ZCB_WISH_COPY, message, &at_once);
}

zcb_error send_at_once(struct pair *pair, uint64_t bytes)
{
    static unsigned char payload[SMALL_FRAME];
    zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = bytes};
    zcb_wait at_once = {0};
    return zcb_send(pair->a, &message, payload, &at_once);
}

void assert_channel_failed(struct pair *pair)
{
    zcb_message message;
    zcb_wait at_once = {0};
    assert_int_equal(begin_at_once(pair, &message), ZCB_ERR_PROTOCOL);
    assert_int_equal(send_at_once(pair, 1), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcb_send(pair->b, &(zcb_message){.kind = 1}, NULL, &at_once),
                     ZCB_ERR_PEER_CLOSED);
    zcb_channel_close(pair->a);
}
