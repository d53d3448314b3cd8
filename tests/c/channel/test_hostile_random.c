/* A peer that writes nonsense at random, and at any moment. */
#include "channel/block.h"
#include "hostile.h"

static bool is_documented(zcb_error error)
{
    switch (error) {
    case ZCB_OK:
    case ZCB_ERR_TIMEOUT:
    case ZCB_ERR_PEER_CLOSED:
    case ZCB_ERR_PROTOCOL:
    case ZCB_ERR_ABORTED:
    case ZCB_ERR_REFUSED:
    case ZCB_ERR_TOO_LARGE:
    case ZCB_ERR_INVALID:
        return true;
    default:
        return false;
    }
}

/* Values that are likely to matter. */
static uint64_t odd_value(uint64_t *seed)
{
    const uint64_t values[] = {0,           1,
                               2,           3,
                               19,          20,
                               21,          CHUNKS - 1,
                               CHUNKS,      RING_ENTRIES,
                               UINT32_MAX,  UINT64_MAX,
                               SMALL_FRAME, SMALL_FRAME - 1,
                               DATA,        DATA - 1,
                               DATA + 1,    UINT64_C(1) << 63};
    uint64_t value = values[next_random(seed) % (sizeof(values) / sizeof(*values))];
    return next_random(seed) % 4 == 0 ? next_random(seed) : value;
}

static void scribble(struct pair *pair, uint64_t *seed)
{
    struct stream_control *ours = pair->b->rx.control, *theirs = pair->b->tx.control;
    uint64_t value = odd_value(seed);
    _Atomic uint64_t *counters[] = {&ours->tail,   &ours->returned,  &ours->dropped,
                                    &ours->head,   &theirs->head,    &theirs->sent,
                                    &theirs->tail, &theirs->returned};
    _Atomic uint32_t *flags[] = {&ours->wish, &ours->consumer_asleep, &ours->producer_asleep,
                                 &theirs->producer_asleep, &theirs->consumer_asleep};
    switch (next_random(seed) % 4) {
    case 0:
        atomic_store(counters[next_random(seed) % 8], value);
        break;
    case 1: /* nearly right */
        atomic_fetch_add(counters[next_random(seed) % 8], next_random(seed) % 3 - 1);
        break;
    case 2:
        atomic_store(flags[next_random(seed) % 5], (uint32_t)value);
        break;
    default:
        atomic_store(&pair->b->rx.returns[next_random(seed) % CHUNKS], (uint32_t)value);
        break;
    }
}

/* A descriptor that is right but for a field or two. */
static void publish_odd(struct pair *pair, uint64_t *seed)
{
    struct descriptor d = {.kind = 1, .bytes = next_random(seed) % 200, .chunk = 20, .offset = 64};
    bool last = next_random(seed) % 2;
    d.message_bytes = last ? d.bytes : d.bytes + next_random(seed) % 300;
    d.chunk = d.bytes ? (uint32_t)(next_random(seed) % 40) : NO_CHUNK;
    d.marks = (d.bytes == d.message_bytes ? MARK_LAST : 0u) |
              (next_random(seed) % 3 ? MARK_FIRST : 0u) | (next_random(seed) % 2 ? MARK_WHOLE : 0u);
    uint64_t value = odd_value(seed);
    switch (next_random(seed) % 12) {
    case 0:
        d.offset = value;
        break;
    case 1:
        d.bytes = value;
        break;
    case 2:
        d.message_bytes = value;
        break;
    case 3:
        d.chunk = (uint32_t)value;
        break;
    case 4:
        d.marks = (uint32_t)value;
        break;
    case 5:
        d.kind = (uint32_t)value;
        break;
    case 6:
        d = (struct descriptor){.chunk = NO_CHUNK, .marks = MARK_ABORT};
        break;
    default:
        break;
    }
    publish(pair, &d);
}

static void receive_somehow(struct pair *pair, uint64_t *seed)
{
    zcb_wait at_once = {0};
    zcb_message message;
    unsigned char bytes[400];
    zcb_wish wish = next_random(seed) % 2 ? ZCB_WISH_COPY : ZCB_WISH_LEASE;
    zcb_error error = zcb_receive_begin(pair->a, wish, &message, &at_once);
    assert_true(is_documented(error));
    if (error)
        return;
    zcb_lease *lease = NULL;
    if (wish == ZCB_WISH_LEASE)
        assert_true(is_documented(zcb_receive_lease(pair->a, &lease, &at_once)));
    if (lease) {
        const unsigned char *data = zcb_lease_data(lease);
        assert_true(data >= pair->a->rx.data);
        assert_true(zcb_lease_bytes(lease) <= DATA - (uint64_t)(data - pair->a->rx.data));
    }
    size_t some = (size_t)(next_random(seed) % sizeof(bytes));
    assert_true(is_documented(zcb_receive_read(pair->a, bytes, some, NULL, &at_once)));
    if (next_random(seed) % 2 || zcb_receive_end(pair->a) != ZCB_OK)
        zcb_receive_drop(pair->a);
    zcb_lease_free(lease);
}

static void random_nonsense_never_crashes(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 4000; round++) {
        uint64_t seed = round;
        struct pair pair = make_hostile_pair();
        for (int step = 0; step < 40; step++) {
            switch (next_random(&seed) % 4) {
            case 0:
                scribble(&pair, &seed);
                break;
            case 1:
                publish_odd(&pair, &seed);
                break;
            case 2:
                receive_somehow(&pair, &seed);
                break;
            default:
                assert_true(is_documented(send_at_once(&pair, next_random(&seed) % SMALL_FRAME)));
                break;
            }
        }
        free_pair(&pair);
    }
}

struct vandal {
    struct pair *pair;
    _Atomic int began, stop;
};

static void *vandalize(void *arg)
{
    struct vandal *vandal = arg;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;
    while (!atomic_load(&vandal->stop)) {
        unsigned char *ring = (unsigned char *)vandal->pair->b->tx.ring;
        atomic_store(&vandal->began, 1);
        if (next_random(&seed) % 64 == 0)
            scribble(vandal->pair, &seed);
        else
            ring[next_random(&seed) % (64 * sizeof(struct descriptor))] =
                (unsigned char)next_random(&seed);
    }
    return NULL;
}

static void nonsense_at_the_very_moment_never_crashes(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip(); /* the vandal's writes are races, on purpose */
#endif
    for (uint64_t round = 0; round < 300; round++) {
        struct pair pair = make_hostile_pair();
        struct vandal vandal = {.pair = &pair};
        uint64_t seed = round;
        pthread_t thread = start_thread(vandalize, &vandal);
        while (!atomic_load(&vandal.began))
            sched_yield();
        for (int step = 0; step < 50; step++) {
            receive_somehow(&pair, &seed);
            publish_odd(&pair, &seed);
            assert_true(is_documented(send_at_once(&pair, next_random(&seed) % SMALL_FRAME)));
        }
        atomic_store(&vandal.stop, 1);
        join_thread(thread);
        free_pair(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_nonsense_never_crashes),
        cmocka_unit_test(nonsense_at_the_very_moment_never_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
