#include "bridges.h"

const uint64_t sizes[SIZES] = {0, 1, 65536, FRAME - 1, FRAME, FRAME + 1, LONG};

int set_up_bridge(void **state)
{
    static struct fixture fixture;
    zcb_session_options options = fake_options();
    fixture.session = start_session(&options);
    fixture.bridge = open_bridge(fixture.session);
    *state = &fixture;
    return 0;
}

int tear_down_bridge(void **state)
{
    struct fixture *f = *state;
    zcb_bridge_free(f->bridge);
    zcb_session_free(f->session);
    assert_no_children();
    return 0;
}

zcb_bridge *open_bridge(zcb_session *session)
{
    zcb_channel_options options = {.frame_bytes = FRAME, .window_bytes = WINDOW};
    zcb_bridge *bridge;
    zcb_detail why;
    if (zcb_bridge_open(session, &options, &bridge, &why))
        fail_msg("%s", why.text);
    return bridge;
}

uint64_t post(struct fixture *f, const char *target, int64_t timeout_ms)
{
    zcb_wait wait = patience();
    uint64_t id = 0;
    assert_ok(
        zcb_bridge_post_receive(f->bridge, target, strlen(target), 0, timeout_ms, &id, &wait));
    return id;
}

uint64_t post_send(struct fixture *f, const char *expression)
{
    zcb_wait wait = patience();
    uint64_t id = 0;
    assert_ok(zcb_bridge_post_send(f->bridge, expression, strlen(expression), 0, 0, ZCB_FOREVER,
                                   &id, &wait));
    return id;
}

zcb_error send_bytes(zcb_bridge *bridge, uint64_t bytes, uint64_t *refused_by, const zcb_wait *wait)
{
    unsigned char *data = malloc((size_t)bytes + 1);
    fill(data, (size_t)bytes, bytes);
    zcb_error error = zcb_bridge_send(bridge, ZCB_KIND_BYTES, data, bytes, refused_by, wait);
    free(data);
    return error;
}

bool receive_bytes(zcb_bridge *bridge, zcb_message *message)
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

void assert_sent(struct fixture *f, uint64_t bytes)
{
    zcb_wait wait = patience();
    assert_ok(send_bytes(f->bridge, bytes, NULL, &wait));
}

void assert_arrived(struct fixture *f, uint64_t id, const char *target, uint64_t bytes)
{
    char text[64], out[64];
    zcb_result *result = wait_for(f->session, id);
    assert_int_equal(zcb_result_status(result), ZCB_STATUS_DONE);
    assert_int_equal(zcb_result_op(result), ZCB_OP_RECEIVE);
    assert_true(zcb_result_success(result));
    zcb_result_free(result);
    snprintf(text, sizeof(text), "check %s", target);
    snprintf(out, sizeof(out), "%llu right", (unsigned long long)bytes);
    assert_true(says(f->session, text, out));
}

void assert_transfer_failed(struct fixture *f, uint64_t id, bool refused)
{
    zcb_result *result = wait_for(f->session, id);
    assert_false(zcb_result_success(result));
    assert_int_equal(zcb_result_refused(result), refused);
    zcb_result_free(result);
}

void assert_bridge_works(struct fixture *f)
{
    uint64_t id = post(f, "$works", ZCB_FOREVER);
    assert_sent(f, 1234);
    assert_arrived(f, id, "$works", 1234);
    assert_sent(f, 4321);
    assert_arrived(f, post(f, "$works", ZCB_FOREVER), "$works", 4321);
}

void *send_here(void *arg)
{
    struct sender *sender = arg;
    sender->error = send_bytes(sender->bridge, sender->bytes,
                               sender->untold ? NULL : &sender->refused_by, &sender->wait);
    return NULL;
}
