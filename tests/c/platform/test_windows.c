/* What the Windows side of src/platform/platform.h adds to the contract: sections, jobs, pipes, paths, signals' stand-in. */
#include "sessions.h"

#include <aclapi.h>
#include <sddl.h>

#include "channel/wait.h"

/* ---- sections ---- */

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

/* ---- signals' stand-in ---- */

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

/* ---- jobs ---- */

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

/* ---- links ---- */

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

/* ---- paths, programs, environment ---- */

/* A new folder below the temporary one, as UTF-8. */
static void make_folder(const char *name, char path[4096])
{
    wchar_t temporary[MAX_PATH + 1], secret[WINDOWS_SECRET_CHARACTERS];
    char folder[1024], unique[64];
    assert_in_range(GetTempPathW(MAX_PATH + 1, temporary), 1, MAX_PATH);
    assert_ok(zcbi_windows_copy_utf8(temporary, folder, sizeof(folder)));
    assert_ok(zcbi_windows_secret(secret));
    assert_ok(zcbi_windows_copy_utf8(secret, unique, sizeof(unique)));
    snprintf(path, 4096, "%szcb-%s-%s", folder, unique, name);
    wchar_t *wide = zcbi_windows_path(path);
    assert_true(CreateDirectoryW(wide, NULL));
    free(wide);
}

static void copy_program(const char *from, const char *to)
{
    wchar_t *source = zcbi_windows_path(from), *target = zcbi_windows_path(to);
    assert_true(CopyFileW(source, target, TRUE));
    free(source);
    free(target);
}

static void remove_path(const char *path)
{
    wchar_t *wide = zcbi_windows_path(path);
    assert_true(DeleteFileW(wide) || RemoveDirectoryW(wide));
    free(wide);
}

static void programs_start_from_folders_of_any_script(void **state)
{
    (void)state;
    char folder[4096], program[4200];
    make_folder("\xc3\xa4 \xe6\xbc\xa2 b", folder); /* with spaces, too */
    snprintf(program, sizeof(program), "%s\\engine of mine.exe", folder);
    copy_program(fake_engine(), program);
    assert_true(zcbi_plat_is_executable(program));
    zcb_session_options options = fake_options();
    options.engine = program;
    options.working_directory = folder;
    zcb_session *session = start_session(&options);
    assert_serves(session);
    assert_string_equal(zcb_session_engine(session), program);
    plat_child child = session->child;
    child.process = copy_of(child.process);
    child.group = PLAT_NO_HANDLE;
    zcb_session_free(session);
    (void)finish_child(&child);
    remove_path(program);
    remove_path(folder);
}

static void files_are_found_beyond_260_characters(void **state)
{
    (void)state;
    char folders[6][4096], file[4200];
    make_folder("long", folders[0]);
    for (int i = 1; i < 6; i++) {
        snprintf(folders[i], sizeof(folders[i]), "%.3900s\\%0*d", folders[i - 1], 60, i);
        wchar_t *wide = zcbi_windows_path(folders[i]);
        assert_true(CreateDirectoryW(wide, NULL));
        free(wide);
    }
    snprintf(file, sizeof(file), "%s\\pwsh.exe", folders[5]);
    assert_true(strlen(file) > 300);
    copy_program(fake_engine(), file);
    assert_true(zcbi_plat_is_executable(file));
    remove_path(file);
    for (int i = 6; i-- > 0;)
        remove_path(folders[i]);
}

static void names_of_variables_have_no_case(void **state)
{
    (void)state;
    static const char *const environment[] = {"zcb_test_case=new", NULL};
    setenv("ZCB_TEST_CASE", "old", 1);
    zcb_session_options options = fake_options();
    options.environment = environment;
    zcb_session *session = start_session(&options);
    assert_true(says(session, "env ZCB_TEST_CASE", "new"));
    zcb_session_free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_reserved_and_committed_piece_by_piece),
        cmocka_unit_test(an_interrupt_event_ends_the_wait_when_the_caller_says_so),
        cmocka_unit_test(a_process_that_the_child_did_not_start_is_not_taken_for_the_engine),
        cmocka_unit_test(a_job_ends_with_the_handle_that_its_maker_has),
        cmocka_unit_test(a_crash_is_told_by_its_exception),
        cmocka_unit_test(frames_of_nonsense_are_refused_and_the_link_goes_on),
        cmocka_unit_test(the_second_end_cannot_name_handles_of_the_first),
        cmocka_unit_test(acknowledgements_of_nothing_do_no_harm),
        cmocka_unit_test(a_link_outlives_the_thread_that_waited_for_it),
        cmocka_unit_test(a_links_pipe_is_its_users_alone),
        cmocka_unit_test(programs_start_from_folders_of_any_script),
        cmocka_unit_test(files_are_found_beyond_260_characters),
        cmocka_unit_test(names_of_variables_have_no_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
