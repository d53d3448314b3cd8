#include "blocks.h"

zcb_block *allocate_filled(zcb_channel *channel, uint64_t bytes, uint64_t id)
{
    zcb_block *block = NULL;
    zcb_wait wait = patience();
    assert_ok(zcb_block_allocate(channel, bytes, &block, &wait));
    assert_int_equal(zcb_block_bytes(block), bytes);
    fill(zcb_block_data(block), (size_t)bytes, id);
    return block;
}

zcb_error allocate_at_once(zcb_channel *channel, uint64_t bytes, zcb_block **block)
{
    zcb_wait at_once = {0};
    return zcb_block_allocate(channel, bytes, block, &at_once);
}

zcb_error send_payload(zcb_channel *channel, uint64_t id, const void *payload, uint64_t bytes)
{
    zcb_wait wait = patience();
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = id, .bytes = bytes};
    return zcb_send(channel, &message, payload, &wait);
}

zcb_lease *take_lease_of(zcb_channel *channel, uint64_t id, uint64_t bytes)
{
    zcb_message message;
    zcb_lease *lease = NULL;
    zcb_wait wait = patience();
    assert_ok(zcb_receive_begin(channel, ZCB_WISH_LEASE, &message, &wait));
    assert_int_equal(message.id, id);
    assert_int_equal(message.bytes, bytes);
    assert_ok(zcb_receive_lease(channel, &lease, &wait));
    assert_ok(zcb_receive_end(channel));
    return lease;
}

bool copies(zcb_channel *channel, uint64_t id, uint64_t bytes)
{
    zcb_message message;
    zcb_wait wait = patience();
    unsigned char *copy = malloc((size_t)bytes + 1);
    bool right = zcb_receive_begin(channel, ZCB_WISH_COPY, &message, &wait) == ZCB_OK &&
                 message.id == id && message.bytes == bytes &&
                 zcb_receive_read(channel, copy, (size_t)bytes, NULL, &wait) == ZCB_OK &&
                 is_filled(copy, (size_t)bytes, id) && zcb_receive_end(channel) == ZCB_OK;
    free(copy);
    return right;
}

void assert_taken(zcb_channel *channel, uint64_t id, uint64_t bytes, const void *place,
                  bool in_place)
{
    zcb_lease *lease = take_lease_of(channel, id, bytes);
    assert_true((zcb_lease_data(lease) == place) == in_place);
    assert_true(is_filled(zcb_lease_data(lease), (size_t)bytes, id));
    zcb_lease_free(lease);
}

void assert_frame_is_whole(zcb_channel *channel)
{
    zcb_block *whole = NULL;
    assert_ok(allocate_at_once(channel, FRAME, &whole));
    zcb_block_free(whole);
}

void assert_frame_is_taken(zcb_channel *channel)
{
    zcb_block *block;
    assert_int_equal(allocate_at_once(channel, 1, &block), ZCB_ERR_TIMEOUT);
}
