/* What Windows adds to the contract of links: pipes, whose frames a peer writes by hand. */
#include "support.h"

#include <aclapi.h>
#include <sddl.h>

static zcb_error receive(plat_handle link)
{
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    plat_handle handles[PLAT_LINK_HANDLES];
    unsigned count;
    return zcbi_plat_link_receive(link, record, sizeof(record), &bytes, handles, PLAT_LINK_HANDLES,
                                  &count, NULL);
}

static void write_by_hand(plat_handle link, const void *message, DWORD bytes)
{
    OVERLAPPED overlapped = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    DWORD written;
    HANDLE pipe = zcbi_windows_link_pipe(link);
    if (!WriteFile(pipe, message, bytes, NULL, &overlapped))
        assert_int_equal(GetLastError(), ERROR_IO_PENDING);
    assert_true(GetOverlappedResult(pipe, &overlapped, &written, TRUE));
    CloseHandle(overlapped.hEvent);
}

/* As link.c has it. */
struct frame_head {
    uint32_t type, bytes, count, unused;
    int64_t sender_pid;
    uint64_t handles[PLAT_LINK_HANDLES];
};
#define RECORD 1u
#define TAKEN 2u

static void frames_of_nonsense_are_refused_and_the_link_goes_on(void **state)
{
    (void)state;
    plat_handle a, b;
    unsigned char longest[4096] = {RECORD};
    struct {
        struct frame_head head;
        char record[4];
    } frames[] = {
        {{.type = 0, .bytes = 4}, ""},
        {{.type = 77, .bytes = 4}, ""},
        {{.type = RECORD, .bytes = 3}, ""},
        {{.type = RECORD, .bytes = UINT32_MAX}, ""},
        {{.type = RECORD, .bytes = 4, .count = PLAT_LINK_HANDLES + 1}, ""},
        {{.type = TAKEN, .bytes = 4}, ""},
    };
    assert_ok(zcbi_plat_link_pair(&a, &b));
    for (size_t i = 0; i < sizeof(frames) / sizeof(*frames); i++) {
        write_by_hand(b, &frames[i], sizeof(frames[i]));
        assert_int_equal(receive(a), ZCB_ERR_PROTOCOL);
    }
    write_by_hand(b, longest, sizeof(longest));
    assert_int_equal(receive(a), ZCB_ERR_PROTOCOL);
    write_by_hand(b, longest, 1);
    assert_int_equal(receive(a), ZCB_ERR_PROTOCOL);
    assert_ok(zcbi_plat_link_send(b, "x", 1, NULL, 0));
    assert_ok(receive(a));
    zcbi_plat_close(a);
    zcbi_plat_close(b);
}

static void the_second_end_cannot_name_handles_of_the_first(void **state)
{
    (void)state;
    plat_handle a, b, event;
    assert_ok(zcbi_plat_link_pair(&a, &b));
    assert_ok(zcbi_plat_event_create(&event));
    assert_int_equal(zcbi_plat_link_send(b, "x", 1, &event, 1), ZCB_ERR_INVALID);
    struct {
        struct frame_head head;
        char record[4];
    } frame = {{.type = RECORD, .bytes = 4, .count = 1, .handles = {(uint64_t)event}}, ""};
    unsigned before = open_descriptors();
    write_by_hand(b, &frame, sizeof(frame));
    assert_int_equal(receive(a), ZCB_ERR_PROTOCOL);
    assert_int_equal(open_descriptors(), before);
    zcbi_plat_close(event);
    zcbi_plat_close(a);
    zcbi_plat_close(b);
}

static void acknowledgements_of_nothing_do_no_harm(void **state)
{
    (void)state;
    plat_handle a, b, event;
    unsigned ready;
    const struct frame_head taken = {.type = TAKEN};
    assert_ok(zcbi_plat_link_pair(&a, &b));
    assert_ok(zcbi_plat_event_create(&event));
    for (int i = 0; i < 100; i++)
        write_by_hand(b, &taken, sizeof(taken));
    assert_int_equal(zcbi_plat_wait(&a, 1, zcbi_plat_now_ns() + MS, &ready), ZCB_ERR_TIMEOUT);
    unsigned before = open_descriptors();
    assert_ok(zcbi_plat_link_send(a, "x", 1, &event, 1));
    write_by_hand(b, &taken, sizeof(taken)); /* before it has them */
    while (open_descriptors() > before)
        assert_int_equal(zcbi_plat_wait(&a, 1, zcbi_plat_now_ns() + MS, &ready), ZCB_ERR_TIMEOUT);
    assert_ok(zcbi_plat_link_send(a, "y", 1, NULL, 0));
    (void)receive(b); /* what has the handle's number now, or nothing: its own fault */
    assert_ok(receive(b));
    zcbi_plat_close(event);
    zcbi_plat_close(a);
    zcbi_plat_close(b);
}

static void *look_at_link(void *link)
{
    unsigned ready;
    assert_int_equal(zcbi_plat_wait(link, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    return NULL;
}

static void a_link_outlives_the_thread_that_waited_for_it(void **state)
{
    (void)state;
    plat_handle a, b;
    unsigned ready;
    assert_ok(zcbi_plat_link_pair(&a, &b));
    for (int i = 0; i < 5; i++) {
        join_thread(
            start_thread(look_at_link, &a)); /* the system cancels what it had begun to read */
        assert_ok(zcbi_plat_link_send(b, "x", 1, NULL, 0));
        assert_ok(zcbi_plat_wait(&a, 1, soon(), &ready));
        assert_ok(receive(a));
    }
    zcbi_plat_close(a);
    zcbi_plat_close(b);
}

static void a_links_pipe_is_its_users_alone(void **state)
{
    (void)state;
    plat_handle a, b;
    PSECURITY_DESCRIPTOR descriptor;
    wchar_t *text;
    assert_ok(zcbi_plat_link_pair(&a, &b));
    assert_int_equal(GetSecurityInfo(zcbi_windows_link_pipe(a), SE_KERNEL_OBJECT,
                                     DACL_SECURITY_INFORMATION, NULL, NULL, NULL, NULL,
                                     &descriptor),
                     ERROR_SUCCESS);
    assert_true(ConvertSecurityDescriptorToStringSecurityDescriptorW(
        descriptor, SDDL_REVISION_1, DACL_SECURITY_INFORMATION, &text, NULL));
    unsigned entries = 0;
    for (const wchar_t *entry = text; (entry = wcschr(entry, L'(')) != NULL; entry++)
        entries++;
    assert_int_equal(entries, 2); /* the user and the system */
    assert_null(wcsstr(text, L";WD)"));
    assert_null(wcsstr(text, L";AN)"));
    LocalFree(text);
    LocalFree(descriptor);
    zcbi_plat_close(a);
    zcbi_plat_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_nonsense_are_refused_and_the_link_goes_on),
        cmocka_unit_test(the_second_end_cannot_name_handles_of_the_first),
        cmocka_unit_test(acknowledgements_of_nothing_do_no_harm),
        cmocka_unit_test(a_link_outlives_the_thread_that_waited_for_it),
        cmocka_unit_test(a_links_pipe_is_its_users_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
