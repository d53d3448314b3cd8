/* Where things lie in a region. */
#include "support.h"

static void assert_sound(uint64_t frame_bytes, uint64_t window_bytes)
{
    struct geometry g;
    assert_ok(zcbi_geometry_init(&g, frame_bytes, window_bytes));
    assert_true(g.frame_bytes >= frame_bytes && g.frame_bytes - frame_bytes < COMMIT_BYTES);
    assert_true(g.window_bytes >= window_bytes && g.window_bytes - window_bytes < COMMIT_BYTES);
    assert_int_equal(g.frame_bytes % COMMIT_BYTES, 0);
    assert_int_equal(g.piece_bytes % COMMIT_BYTES, 0);
    assert_true(g.pieces >= 1 && g.pieces < CHUNKS);
    assert_true(g.pieces * g.piece_bytes <= g.window_bytes);
    uint64_t end = sizeof(struct region_header);
    for (int i = 0; i < 2; i++) {
        const uint64_t starts[] = {g.control_at[i], g.returns_at[i], g.ring_at[i], g.data_at[i]};
        const uint64_t sizes[] = {sizeof(struct stream_control), RETURNS_BYTES, RING_BYTES,
                                  g.frame_bytes + g.window_bytes};
        for (int part = 0; part < 4; part++) {
            assert_true(starts[part] >= end);
            assert_int_equal(starts[part] % PLAT_PAGE_BYTES, 0);
            end = starts[part] + sizes[part];
        }
    }
    assert_int_equal(g.region_bytes, end);
    assert_int_equal(g.region_bytes % PLAT_PAGE_BYTES, 0);
}

static void nothing_overlaps_at_any_size(void **state)
{
    (void)state;
    uint64_t seed = 1;
    assert_sound(ZCB_MIN_FRAME_BYTES, ZCB_MIN_WINDOW_BYTES);
    assert_sound(ZCB_MAX_FRAME_BYTES, ZCB_MAX_WINDOW_BYTES);
    for (int i = 0; i < 10000; i++) {
        uint64_t frame = ZCB_MIN_FRAME_BYTES + (next_random(&seed) >> (next_random(&seed) % 40)) %
                                                   (ZCB_MAX_FRAME_BYTES - ZCB_MIN_FRAME_BYTES + 1);
        uint64_t window =
            ZCB_MIN_WINDOW_BYTES + (next_random(&seed) >> (next_random(&seed) % 50)) %
                                       (ZCB_MAX_WINDOW_BYTES - ZCB_MIN_WINDOW_BYTES + 1);
        assert_sound(frame, window);
    }
}

static void sizes_out_of_the_public_bounds_are_refused(void **state)
{
    (void)state;
    struct geometry g;
    const uint64_t frame = ZCB_MIN_FRAME_BYTES, window = ZCB_MIN_WINDOW_BYTES;
    assert_int_equal(zcbi_geometry_init(&g, frame - 1, window), ZCB_ERR_INVALID);
    assert_int_equal(zcbi_geometry_init(&g, ZCB_MAX_FRAME_BYTES + 1, window), ZCB_ERR_INVALID);
    assert_int_equal(zcbi_geometry_init(&g, frame, window - 1), ZCB_ERR_INVALID);
    assert_int_equal(zcbi_geometry_init(&g, frame, ZCB_MAX_WINDOW_BYTES + 1), ZCB_ERR_INVALID);
    assert_int_equal(zcbi_geometry_init(&g, 0, 0), ZCB_ERR_INVALID);
    assert_int_equal(zcbi_geometry_init(&g, UINT64_MAX, UINT64_MAX), ZCB_ERR_INVALID);
}

static void a_window_has_several_pieces_for_overlap(void **state)
{
    (void)state;
    struct geometry g;
    assert_ok(zcbi_geometry_init(&g, 64 * MIB, 4 * MIB));
    assert_int_equal(g.pieces, 8);
    assert_int_equal(g.piece_bytes, 512 * KIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_overlaps_at_any_size),
        cmocka_unit_test(sizes_out_of_the_public_bounds_are_refused),
        cmocka_unit_test(a_window_has_several_pieces_for_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
