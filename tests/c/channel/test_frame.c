/* The producer's book of its frame, against a model that is one number a grain. */
#include "support.h"

#define GRAIN UINT64_C(64)
#define FRAME (512 * KIB)
#define WINDOW (256 * KIB)
#define GRAINS (FRAME / GRAIN)
#define NOBODY UINT32_MAX

struct model {
    uint32_t owner[GRAINS]; /* block, or NOBODY */
};

struct fixture {
    struct geometry geometry;
    plat_memory memory;
    struct frame frame;
    struct model model;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_ok(zcbi_geometry_init(&f->geometry, FRAME, WINDOW));
    assert_ok(zcbi_plat_memory_create((size_t)f->geometry.region_bytes, &f->memory));
    assert_ok(zcbi_frame_init(&f->frame, &f->geometry, &f->memory, f->geometry.data_at[0]));
    memset(f->model.owner, 0xff, sizeof(f->model.owner));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    zcbi_frame_destroy(&f->frame);
    zcbi_plat_memory_release_handle(&f->memory);
    zcbi_plat_memory_unmap(&f->memory);
    free(f);
    return 0;
}

/* The lowest place in the model where so many grains are free, or GRAINS. */
static uint64_t lowest_gap(const struct model *model, uint64_t grains)
{
    uint64_t run = 0;
    for (uint64_t i = 0; i < GRAINS; i++) {
        run = model->owner[i] == NOBODY ? run + 1 : 0;
        if (run == grains)
            return i + 1 - grains;
    }
    return GRAINS;
}

static bool allocate(struct fixture *f, uint64_t bytes, uint32_t *block)
{
    uint64_t grains = (bytes + GRAIN - 1) / GRAIN;
    uint64_t gap = lowest_gap(&f->model, grains);
    bool got = zcbi_frame_allocate(&f->frame, bytes, block);
    assert_int_equal(got, gap < GRAINS);
    if (!got)
        return false;
    assert_int_equal(zcbi_frame_offset(&f->frame, *block), gap * GRAIN);
    for (uint64_t i = gap; i < gap + grains; i++)
        f->model.owner[i] = *block;
    return true;
}

static void give_back(struct fixture *f, uint32_t block)
{
    assert_ok(zcbi_frame_give_back(&f->frame, block));
    assert_int_equal(zcbi_frame_give_back(&f->frame, block), ZCB_ERR_PROTOCOL);
    for (uint64_t i = 0; i < GRAINS; i++)
        if (f->model.owner[i] == block)
            f->model.owner[i] = NOBODY;
}

static void random_use_agrees_with_the_model(void **state)
{
    struct fixture *f = *state;
    uint32_t out[CHUNKS];
    unsigned count = 0;
    uint64_t seed = 7;
    for (int step = 0; step < 20000; step++) {
        /* Phases that fill it up and phases that empty it. */
        bool grow = next_random(&seed) % 100 < (step / 500 % 2 ? 35u : 65u);
        uint64_t bytes = 1 + (next_random(&seed) >> (next_random(&seed) % 20)) % (FRAME / 3);
        if (grow && allocate(f, bytes, &out[count])) {
            count++;
        } else if (count > 0) {
            unsigned which = (unsigned)(next_random(&seed) % count);
            give_back(f, out[which]);
            out[which] = out[--count];
        }
    }
    while (count > 0)
        give_back(f, out[--count]);
    uint32_t all;
    assert_true(zcbi_frame_allocate(&f->frame, FRAME, &all));
}

static void blocks_that_are_given_back_join(void **state)
{
    struct fixture *f = *state;
    uint32_t blocks[8], whole;
    for (int i = 0; i < 8; i++)
        assert_true(allocate(f, FRAME / 8, &blocks[i]));
    const int order[] = {1, 3, 5, 7, 6, 0, 2, 4};
    for (int i = 0; i < 8; i++) {
        assert_false(zcbi_frame_allocate(&f->frame, FRAME, &whole));
        give_back(f, blocks[order[i]]);
    }
    assert_true(zcbi_frame_allocate(&f->frame, FRAME, &whole));
    assert_false(zcbi_frame_allocate(&f->frame, 1, &blocks[0]));
}

static void ids_run_out_before_the_memory_and_come_back(void **state)
{
    struct fixture *f = *state;
    uint32_t most = CHUNKS - f->geometry.pieces;
    uint32_t block = 0, last = 0;
    for (uint32_t i = 0; i < most; i++)
        assert_true(zcbi_frame_allocate(&f->frame, 1, &last));
    assert_false(zcbi_frame_allocate(&f->frame, 1, &block));
    assert_ok(zcbi_frame_give_back(&f->frame, last));
    assert_true(zcbi_frame_allocate(&f->frame, 1, &block));
    assert_int_equal(block, last);
}

static void more_than_the_frame_is_not_allocated(void **state)
{
    struct fixture *f = *state;
    uint32_t block;
    assert_false(zcbi_frame_allocate(&f->frame, FRAME + 1, &block));
    assert_false(zcbi_frame_allocate(&f->frame, UINT64_MAX, &block));
}

static void pieces_are_the_window_and_the_warm_one_comes_first(void **state)
{
    struct fixture *f = *state;
    uint32_t pieces[CHUNKS], again;
    for (uint32_t i = 0; i < f->geometry.pieces; i++) {
        assert_true(zcbi_frame_take_piece(&f->frame, &pieces[i]));
        uint64_t offset = zcbi_frame_offset(&f->frame, pieces[i]);
        assert_true(offset >= FRAME && offset + f->geometry.piece_bytes <= FRAME + WINDOW);
        for (uint32_t k = 0; k < i; k++)
            assert_int_not_equal(offset, zcbi_frame_offset(&f->frame, pieces[k]));
    }
    assert_false(zcbi_frame_take_piece(&f->frame, &again));
    assert_ok(zcbi_frame_give_back(&f->frame, pieces[0]));
    assert_ok(zcbi_frame_give_back(&f->frame, pieces[1]));
    assert_true(zcbi_frame_take_piece(&f->frame, &again));
    assert_int_equal(again, pieces[1]);
}

static void what_is_not_out_cannot_be_given_back(void **state)
{
    struct fixture *f = *state;
    const uint32_t nonsense[] = {0, 1, f->geometry.pieces, CHUNKS - 1, CHUNKS, NO_CHUNK, INT32_MAX};
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(*nonsense); i++)
        assert_int_equal(zcbi_frame_give_back(&f->frame, nonsense[i]), ZCB_ERR_PROTOCOL);
}

static void committed_memory_keeps_its_contents(void **state)
{
    struct fixture *f = *state;
    unsigned char *data = f->memory.base + f->frame.data_at;
    assert_ok(zcbi_frame_commit(&f->frame, COMMIT_BYTES - 1, 2));
    fill(data, 2 * COMMIT_BYTES, 3);
    assert_ok(zcbi_frame_commit(&f->frame, 0, FRAME + WINDOW));
    assert_true(is_filled(data, 2 * COMMIT_BYTES, 3));
    memset(data, 1, FRAME + WINDOW);
}

static void memory_that_cannot_be_had_is_asked_for_again(void **state)
{
    struct fixture *f = *state;
    plat_memory kept = take_memory_away(&f->memory);
    assert_int_not_equal(zcbi_frame_commit(&f->frame, 0, 1), ZCB_OK);
    give_memory_back(&f->memory, kept);
    assert_ok(zcbi_frame_commit(&f->frame, 0, 1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(random_use_agrees_with_the_model),
        TEST(blocks_that_are_given_back_join),
        TEST(ids_run_out_before_the_memory_and_come_back),
        TEST(more_than_the_frame_is_not_allocated),
        TEST(pieces_are_the_window_and_the_warm_one_comes_first),
        TEST(what_is_not_out_cannot_be_given_back),
        TEST(committed_memory_keeps_its_contents),
        TEST(memory_that_cannot_be_had_is_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
