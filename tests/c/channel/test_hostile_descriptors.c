/* A peer whose descriptors make no sense. */
#include "hostile.h"

#define FIRST_PART                                                                                 \
    {                                                                                              \
        .kind = ZCB_KIND_BYTES, .message_bytes = 1000, .offset = 64, .bytes = 100, .chunk = 20,    \
        .marks = MARK_FIRST                                                                        \
    }
#define FIRST_OF_WHOLE                                                                             \
    {                                                                                              \
        .kind = ZCB_KIND_BYTES, .message_bytes = 1000, .offset = 64, .bytes = 100, .chunk = 20,    \
        .marks = MARK_FIRST | MARK_WHOLE                                                           \
    }

#define FIRST_OF_OPEN                                                                              \
    {                                                                                              \
        .kind = ZCB_KIND_BYTES, .message_bytes = ZCB_OPEN_ENDED, .offset = 64, .bytes = 100,       \
        .chunk = 20, .marks = MARK_FIRST                                                           \
    }

static const struct descriptor senseless_first[] = {
    {.kind = 1, .message_bytes = ZCB_OPEN_ENDED, .chunk = NO_CHUNK, .marks = MARK_FIRST},
    {.kind = 1,
     .message_bytes = ZCB_OPEN_ENDED,
     .bytes = 1,
     .chunk = 20,
     .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = ZCB_OPEN_ENDED,
     .bytes = 1,
     .chunk = 20,
     .marks = MARK_FIRST | MARK_WHOLE},
    {.kind = 0, .message_bytes = 1, .bytes = 1, .chunk = 20, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1, .message_bytes = 1, .bytes = 1, .chunk = 20, .marks = MARK_LAST},
    {.kind = 1, .message_bytes = 1, .bytes = 1, .chunk = 20, .marks = 0},
    {.kind = 1, .message_bytes = 1, .bytes = 1, .chunk = 20, .marks = MARK_FIRST},
    {.kind = 1, .message_bytes = 2, .bytes = 1, .chunk = 20, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1, .message_bytes = 1, .bytes = 2, .chunk = 20, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1, .message_bytes = 0, .bytes = 1, .chunk = 20, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1, .message_bytes = 9, .bytes = 1, .chunk = 20, .marks = MARK_FIRST | MARK_ABORT},
    {.kind = 1, .chunk = NO_CHUNK, .marks = MARK_ABORT},
    {.kind = 1, .chunk = 20, .marks = MARK_FIRST | MARK_LAST | MARK_WHOLE},
    {.kind = 1, .offset = 1, .chunk = NO_CHUNK, .marks = MARK_FIRST | MARK_LAST | MARK_WHOLE},
    {.kind = 1, .chunk = NO_CHUNK, .marks = MARK_FIRST},
    {.kind = 1, .message_bytes = 1, .bytes = 1, .chunk = CHUNKS, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1, .message_bytes = 1, .bytes = 1, .chunk = NO_CHUNK, .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = 1,
     .bytes = 1,
     .offset = DATA,
     .chunk = 20,
     .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = 2,
     .bytes = 2,
     .offset = DATA - 1,
     .chunk = 20,
     .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = 1,
     .bytes = 1,
     .offset = UINT64_MAX,
     .chunk = 20,
     .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = UINT64_MAX,
     .bytes = UINT64_MAX,
     .chunk = 20,
     .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = UINT64_MAX - 1,
     .bytes = UINT64_MAX - 1,
     .offset = 2,
     .chunk = 20,
     .marks = MARK_FIRST | MARK_LAST},
    {.kind = 1,
     .message_bytes = DATA + 1,
     .bytes = DATA + 1,
     .chunk = 20,
     .marks = MARK_FIRST | MARK_LAST},
};

static void a_senseless_first_descriptor_ends_the_channel(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(senseless_first) / sizeof(*senseless_first); i++) {
        struct pair pair = make_hostile_pair();
        zcb_message message;
        publish(&pair, &senseless_first[i]);
        assert_int_equal(begin_at_once(&pair, &message), ZCB_ERR_PROTOCOL);
        assert_channel_failed(&pair);
        free_pair(&pair);
    }
}

static const struct {
    struct descriptor first, next;
} senseless_next[] = {
    {FIRST_PART,
     {.kind = 1, .message_bytes = 1, .bytes = 1, .chunk = 20, .marks = MARK_FIRST | MARK_LAST}},
    {FIRST_PART, {.chunk = NO_CHUNK}},
    {FIRST_PART, {.chunk = NO_CHUNK, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = 901, .chunk = 21, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = 900, .chunk = 21}},
    {FIRST_PART, {.bytes = 899, .chunk = 21, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = 900, .chunk = 21, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_PART, {.bytes = 900, .chunk = CHUNKS, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = 900, .offset = DATA - 899, .chunk = 21, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = UINT64_MAX, .chunk = 21, .marks = MARK_LAST}},
    {FIRST_PART, {.bytes = 5, .chunk = 21, .marks = MARK_ABORT | MARK_FIRST, .offset = UINT64_MAX}},
    {FIRST_OF_OPEN, {.bytes = 1, .chunk = 21, .marks = MARK_FIRST}},
    {FIRST_OF_OPEN, {.bytes = 1, .offset = 164, .chunk = 20, .marks = MARK_WHOLE}},
    {FIRST_OF_OPEN, {.bytes = 1, .offset = 164, .chunk = 20, .marks = MARK_WHOLE | MARK_LAST}},
    {FIRST_OF_OPEN, {.chunk = NO_CHUNK}},
    {FIRST_OF_OPEN, {.offset = 1, .chunk = NO_CHUNK, .marks = MARK_LAST}},
    {FIRST_OF_OPEN, {.bytes = UINT64_MAX - 100, .chunk = 21, .marks = MARK_LAST}},
    {FIRST_OF_OPEN, {.bytes = 1, .chunk = CHUNKS}},
    {FIRST_OF_WHOLE, {.bytes = 900, .offset = 164, .chunk = 20, .marks = MARK_LAST}},
    {FIRST_OF_WHOLE, {.bytes = 900, .offset = 164, .chunk = 21, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_OF_WHOLE, {.bytes = 900, .offset = 163, .chunk = 20, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_OF_WHOLE, {.bytes = 900, .offset = 64, .chunk = 20, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_OF_WHOLE, {.bytes = 900, .offset = 165, .chunk = 20, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_OF_WHOLE, {.bytes = 901, .offset = 164, .chunk = 20, .marks = MARK_LAST | MARK_WHOLE}},
    {FIRST_OF_WHOLE,
     {.bytes = 900, .offset = 164, .chunk = 20, .marks = MARK_LAST | MARK_WHOLE | MARK_FIRST}},
};

enum way { BY_READ, BY_LEASE, BY_DROP, WAYS };

static zcb_error go_on(zcb_channel *channel, enum way way)
{
    zcb_wait at_once = {0};
    unsigned char bytes[1000];
    zcb_lease *lease;
    zcb_error error = ZCB_ERR_TOO_LARGE;
    if (way == BY_LEASE)
        error = zcb_receive_lease(channel, &lease, &at_once);
    if (way == BY_READ || error == ZCB_ERR_TOO_LARGE)
        error =
            zcb_receive_read(channel, bytes, way == BY_DROP ? 0 : sizeof(bytes), NULL, &at_once);
    zcb_receive_drop(channel);
    return error;
}

static void a_senseless_next_descriptor_ends_the_channel(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS * sizeof(senseless_next) / sizeof(*senseless_next); i++) {
        struct pair pair = make_hostile_pair();
        zcb_message message;
        publish(&pair, &senseless_next[i / WAYS].first);
        publish(&pair, &senseless_next[i / WAYS].next);
        assert_ok(begin_at_once(&pair, &message));
        enum way way = (enum way)(i % WAYS);
        assert_int_equal(go_on(pair.a, way), way == BY_DROP ? ZCB_OK : ZCB_ERR_PROTOCOL);
        assert_channel_failed(&pair);
        free_pair(&pair);
    }
}

static void a_message_that_never_ends_can_be_dropped(void **state)
{
    (void)state;
    struct pair pair = make_hostile_pair();
    zcb_message message;
    struct descriptor part = {
        .kind = 1, .message_bytes = UINT64_MAX - 1, .bytes = DATA, .chunk = 1, .marks = MARK_FIRST};
    publish(&pair, &part);
    part.marks = 0;
    for (int i = 0; i < 100; i++)
        publish(&pair, &part);
    assert_ok(begin_at_once(&pair, &message));
    assert_true(message.bytes == UINT64_MAX - 1);
    zcb_receive_drop(pair.a);
    assert_int_equal(begin_at_once(&pair, &message), ZCB_ERR_TIMEOUT);
    free_pair(&pair);
}

static void a_whole_message_longer_than_its_memory_cannot_be_leased(void **state)
{
    (void)state;
    struct pair pair = make_hostile_pair();
    zcb_message message;
    struct descriptor part = {.kind = 1,
                              .message_bytes = UINT64_MAX - 1,
                              .bytes = DATA,
                              .chunk = 20,
                              .marks = MARK_FIRST | MARK_WHOLE};
    publish(&pair, &part);
    part.marks = MARK_WHOLE;
    part.offset = DATA;
    part.bytes = 1;
    publish(&pair, &part);
    assert_ok(begin_at_once(&pair, &message));
    assert_int_equal(go_on(pair.a, BY_LEASE), ZCB_ERR_PROTOCOL);
    free_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_senseless_first_descriptor_ends_the_channel),
        cmocka_unit_test(a_senseless_next_descriptor_ends_the_channel),
        cmocka_unit_test(a_message_that_never_ends_can_be_dropped),
        cmocka_unit_test(a_whole_message_longer_than_its_memory_cannot_be_leased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
