/* Shared memory. */
#include "support.h"

static plat_memory make_memory(size_t bytes)
{
    plat_memory memory;
    assert_ok(zcbi_plat_memory_create(bytes, &memory));
    return memory;
}

static void free_memory(plat_memory *memory)
{
    zcbi_plat_memory_release_handle(memory);
    zcbi_plat_memory_unmap(memory);
}

static void memory_is_zero_and_of_the_size_asked_for(void **state)
{
    (void)state;
    plat_memory memory = make_memory(MIB);
    assert_int_equal(memory.bytes, MIB);
    assert_ok(zcbi_plat_memory_commit(&memory, 0, MIB));
    for (size_t i = 0; i < MIB; i++)
        assert_int_equal(memory.base[i], 0);
    free_memory(&memory);
    assert_null(memory.base);
    free_memory(&memory); /* does nothing */
}

static void memory_of_a_senseless_size_is_refused(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, PLAT_PAGE_BYTES - 1, PLAT_PAGE_BYTES + 1, SIZE_MAX};
    plat_memory memory;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        assert_int_equal(zcbi_plat_memory_create(sizes[i], &memory), ZCB_ERR_INVALID);
}

static void attached_memory_is_the_same_memory(void **state)
{
    (void)state;
    plat_memory ours = make_memory(MIB), theirs;
    assert_ok(zcbi_plat_memory_attach(copy_of(ours.handle), MIB, &theirs));
    assert_ok(zcbi_plat_memory_commit(&ours, 0, MIB));
    assert_ok(zcbi_plat_memory_ensure(&theirs, 0, MIB));
    fill(ours.base, MIB, 1);
    assert_true(is_filled(theirs.base, MIB, 1));
    fill(theirs.base, MIB, 2);
    assert_true(is_filled(ours.base, MIB, 2));
    free_memory(&ours);
    assert_true(is_filled(theirs.base, MIB, 2)); /* outlives its maker's mapping */
    free_memory(&theirs);
}

static void attach_refuses_what_is_no_such_memory(void **state)
{
    (void)state;
    plat_memory ours = make_memory(MIB), theirs;
    plat_handle event;
    assert_ok(zcbi_plat_event_create(&event));
    assert_int_equal(zcbi_plat_memory_attach(event, MIB, &theirs), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcbi_plat_memory_attach(ours.handle, 2 * MIB, &theirs), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcbi_plat_memory_attach(ours.handle, MIB / 2, &theirs), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcbi_plat_memory_attach(ours.handle, 0, &theirs), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcbi_plat_memory_attach(ours.handle, MIB + 1, &theirs), ZCB_ERR_PROTOCOL);
    zcbi_plat_close(event);
    free_memory(&ours);
}

static void commit_keeps_contents(void **state)
{
    (void)state;
    plat_memory memory = make_memory(4 * MIB);
    assert_ok(zcbi_plat_memory_commit(&memory, MIB, PLAT_PAGE_BYTES));
    fill(memory.base + MIB, PLAT_PAGE_BYTES, 7);
    assert_ok(zcbi_plat_memory_commit(&memory, 0, 4 * MIB));
    zcbi_plat_memory_populate(&memory, 0, 4 * MIB);
    assert_true(is_filled(memory.base + MIB, PLAT_PAGE_BYTES, 7));
    memset(memory.base, 1, 4 * MIB);
    free_memory(&memory);
}

static void commit_refuses_what_is_no_range_of_the_memory(void **state)
{
    (void)state;
    plat_memory memory = make_memory(MIB);
    const size_t ranges[][2] = {{1, PLAT_PAGE_BYTES},
                                {0, 1},
                                {0, MIB + PLAT_PAGE_BYTES},
                                {MIB, PLAT_PAGE_BYTES},
                                {SIZE_MAX - PLAT_PAGE_BYTES + 1, 2 * PLAT_PAGE_BYTES}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
        assert_int_equal(zcbi_plat_memory_commit(&memory, ranges[i][0], ranges[i][1]),
                         ZCB_ERR_INVALID);
    assert_ok(zcbi_plat_memory_commit(&memory, MIB, 0));
    free_memory(&memory);
}

static void commit_does_without_the_handle(void **state)
{
    (void)state;
    plat_memory memory = make_memory(MIB);
    zcbi_plat_memory_release_handle(&memory);
    assert_ok(zcbi_plat_memory_commit(&memory, MIB / 2, MIB / 2));
    memset(memory.base + MIB / 2, 1, MIB / 2);
    free_memory(&memory);
}

static void what_is_ensured_can_be_touched_whoever_was_to_commit_it(void **state)
{
    (void)state;
    plat_memory ours = make_memory(4 * MIB), theirs;
    assert_ok(zcbi_plat_memory_attach(copy_of(ours.handle), 4 * MIB, &theirs));
    assert_ok(zcbi_plat_memory_ensure(&theirs, 3 * MIB - 5, 10)); /* nobody has committed it */
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(theirs.base[3 * MIB - 5 + i], 0);
    theirs.base[3 * MIB] = 9;
    assert_ok(zcbi_plat_memory_ensure(&ours, 3 * MIB, 1));
    assert_int_equal(ours.base[3 * MIB], 9);
    assert_ok(zcbi_plat_memory_ensure(&ours, 0, 4 * MIB));
    assert_int_equal(ours.base[3 * MIB], 9);
    free_memory(&ours);
    free_memory(&theirs);
}

static void a_number_is_stored_without_a_mapping(void **state)
{
    (void)state;
    plat_memory memory = make_memory(MIB);
    uint32_t number = 0;
    zcbi_plat_memory_poke(memory.handle, 300000, 0x12345678);
    assert_ok(zcbi_plat_memory_ensure(&memory, 0, MIB));
    memcpy(&number, memory.base + 300000, sizeof(number));
    assert_int_equal(number, 0x12345678);
    free_memory(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zero_and_of_the_size_asked_for),
        cmocka_unit_test(memory_of_a_senseless_size_is_refused),
        cmocka_unit_test(attached_memory_is_the_same_memory),
        cmocka_unit_test(attach_refuses_what_is_no_such_memory),
        cmocka_unit_test(commit_keeps_contents),
        cmocka_unit_test(commit_refuses_what_is_no_range_of_the_memory),
        cmocka_unit_test(commit_does_without_the_handle),
        cmocka_unit_test(what_is_ensured_can_be_touched_whoever_was_to_commit_it),
        cmocka_unit_test(a_number_is_stored_without_a_mapping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
