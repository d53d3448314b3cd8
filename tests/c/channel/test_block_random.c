/* Blocks, taken, sent and freed by many threads at random. */
#include "blocks.h"

#define THREADS 4
#define BLOCKS_EACH 2000
#define KEPT 3

struct user {
    zcb_channel *channel;
    uint64_t number;
    zcb_error error;
};

static void free_all(zcb_block **kept)
{
    for (int i = 0; i < KEPT; i++) {
        zcb_block_free(kept[i]);
        kept[i] = NULL;
    }
}

/* Takes a block; who has to wait for it lets go of its own ones first. */
static zcb_error take(struct user *user, uint64_t bytes, zcb_block **kept, zcb_block **block)
{
    zcb_wait wait = patience();
    zcb_error error = allocate_at_once(user->channel, bytes, block);
    if (error != ZCB_ERR_TIMEOUT)
        return error;
    free_all(kept);
    return zcb_block_allocate(user->channel, bytes, block, &wait);
}

static void *use_at_random(void *arg)
{
    struct user *user = arg;
    zcb_block *kept[KEPT] = {NULL};
    uint64_t seed = user->number;
    for (uint64_t sent = 0; sent < BLOCKS_EACH && !user->error;) {
        uint64_t bytes = 1 + next_random(&seed) % (FRAME / 16);
        uint64_t id = user->number * BLOCKS_EACH + sent + 1;
        zcb_block *block = NULL;
        user->error = take(user, bytes, kept, &block);
        if (user->error)
            break;
        fill(zcb_block_data(block), (size_t)bytes, id);
        if (next_random(&seed) % 4 > 0) {
            user->error = send_payload(user->channel, id, zcb_block_data(block), bytes);
            sent++;
        }
        uint64_t at = next_random(&seed) % KEPT;
        zcb_block_free(kept[at]);
        kept[at] = block;
    }
    free_all(kept);
    return NULL;
}

static void many_threads_take_send_and_free_at_random(void **state)
{
    struct pair *pair = *state;
    struct user users[THREADS];
    pthread_t threads[THREADS];
    zcb_lease *held[8] = {NULL};
    uint64_t seed = 99, last[THREADS] = {0};
    for (uint64_t i = 0; i < THREADS; i++) {
        users[i] = (struct user){.channel = pair->a, .number = i};
        threads[i] = start_thread(use_at_random, &users[i]);
    }
    for (int i = 0; i < THREADS * BLOCKS_EACH; i++) {
        zcb_message message;
        zcb_lease *lease;
        zcb_wait wait = patience();
        assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, &wait));
        assert_ok(zcb_receive_lease(pair->b, &lease, &wait));
        assert_ok(zcb_receive_end(pair->b));
        assert_true(is_filled(zcb_lease_data(lease), (size_t)message.bytes, message.id));
        uint64_t *before = &last[(message.id - 1) / BLOCKS_EACH];
        assert_true(message.id > *before); /* each thread's in its order */
        *before = message.id;
        uint64_t at = next_random(&seed) % 8;
        zcb_lease_free(held[at]);
        held[at] = lease;
    }
    for (int i = 0; i < THREADS; i++) {
        join_thread(threads[i]);
        assert_int_equal(users[i].error, ZCB_OK);
    }
    for (int i = 0; i < 8; i++)
        zcb_lease_free(held[i]);
    assert_frame_is_whole(pair->a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_threads_take_send_and_free_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
