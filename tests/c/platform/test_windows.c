/* What Windows adds to the contract: sections, signals' stand-in, jobs. */
#include "sessions.h"

#include "channel/wait.h"

static DWORD state_of(const void *address)
{
    MEMORY_BASIC_INFORMATION information;
    assert_int_not_equal(VirtualQuery(address, &information, sizeof(information)), 0);
    return information.State;
}

static void memory_is_reserved_and_committed_piece_by_piece(void **state)
{
    (void)state;
    plat_memory memory;
    assert_ok(zcbi_plat_memory_create(16 * MIB, &memory));
    assert_int_equal(state_of(memory.base), MEM_RESERVE);
    assert_ok(zcbi_plat_memory_commit(&memory, 8 * MIB, PLAT_PAGE_BYTES));
    assert_int_equal(state_of(memory.base + 8 * MIB), MEM_COMMIT);
    assert_int_equal(state_of(memory.base + 4 * MIB), MEM_RESERVE);
    assert_int_equal(state_of(memory.base + 12 * MIB), MEM_RESERVE);
    zcbi_plat_memory_release_handle(&memory);
    zcbi_plat_memory_unmap(&memory);
}

static int reset_and_say_yes(void *event)
{
    bool is_set = WaitForSingleObject(event, 0) == WAIT_OBJECT_0;
    if (is_set)
        ResetEvent(event);
    return is_set;
}

static void *set_event(void *event)
{
    SetEvent(event);
    return NULL;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void an_interrupt_event_ends_the_wait_when_the_caller_says_so(void **state)
{
    (void)state;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    plat_handle bell;
    _Atomic uint32_t asleep = 0;
    struct spin spin = {0};
    assert_ok(zcbi_plat_event_create(&bell));
    struct source source = {never, NULL, &asleep, bell};
    for (int i = 0; i < 50; i++) {
        zcb_wait wait = patience();
        wait.interrupted = reset_and_say_yes;
        wait.arg = wait.interrupt_event = event;
        pthread_t thread = start_thread(set_event, event);
        assert_int_equal(zcbi_wait_any(&source, 1, PLAT_NO_HANDLE, &spin, &wait),
                         ZCB_ERR_INTERRUPTED);
        join_thread(thread);
    }
    zcbi_plat_close(bell);
    CloseHandle(event);
}

static void a_process_that_the_child_did_not_start_is_not_taken_for_the_engine(void **state)
{
    (void)state;
    plat_child child = start_idle_process();
    plat_handle process;
    assert_int_equal(zcbi_plat_child_open(&child, zcbi_plat_getpid(), &process), ZCB_ERR_PROTOCOL);
    assert_ok(zcbi_plat_child_open(&child, child.pid, &process));
    zcbi_plat_close(process);
    zcbi_plat_process_kill(child.pid, child.process);
    (void)finish_child(&child);
}

static void a_job_ends_with_the_handle_that_its_maker_has(void **state)
{
    (void)state;
    plat_child child = start_idle_process();
    unsigned ready;
    zcbi_plat_close(child.group);
    child.group = PLAT_NO_HANDLE;
    assert_ok(zcbi_plat_wait(&child.process, 1, soon(), &ready));
    (void)finish_child(&child);
}

static void a_crash_is_told_by_its_exception(void **state)
{
    (void)state;
    char text[64];
    zcbi_plat_end_text((int)0xC0000005, text, sizeof(text));
    assert_string_equal(text, "crashed with 0xC0000005");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_reserved_and_committed_piece_by_piece),
        cmocka_unit_test(an_interrupt_event_ends_the_wait_when_the_caller_says_so),
        cmocka_unit_test(a_process_that_the_child_did_not_start_is_not_taken_for_the_engine),
        cmocka_unit_test(a_job_ends_with_the_handle_that_its_maker_has),
        cmocka_unit_test(a_crash_is_told_by_its_exception),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
