/* Processes: this program is what is started, with a word that main knows. */
#include "started.h"

static void started_program_gives_its_exit_code(void **state)
{
    (void)state;
    struct started program = start_word("exit", "42");
    assert_int_equal(finish(&program), 42);
    program = start_word("exit", "0");
    assert_int_equal(finish(&program), 0);
}

static void the_end_is_told_in_words(void **state)
{
    (void)state;
    char text[64];
    struct started program = start_word("idle", NULL);
    zcbi_plat_process_kill(program.child.pid, program.child.process);
    zcbi_plat_end_text(finish(&program), text, sizeof(text));
    assert_string_equal(text, KILLED);
    zcbi_plat_end_text(3, text, sizeof(text));
    assert_string_equal(text, "exited with code 3");
}

static void starting_does_not_wait_for_the_program(void **state)
{
    (void)state;
    int exit_code = 5;
    unsigned ready;
    struct started program = start_word("idle", NULL);
    assert_int_equal(zcbi_plat_wait(&program.child.process, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    assert_false(zcbi_plat_process_ended(&program.child, &exit_code));
    assert_int_equal(exit_code, 5);
    zcbi_plat_process_kill(program.child.pid, program.child.process);
    (void)finish(&program);
}

static void *start_many(void *failures)
{
    for (int i = 0; i < 12; i++) {
        struct started program = start_word("exit", "9");
        if (finish(&program) != 9)
            ++*(int *)failures;
    }
    return NULL;
}

static void threads_start_programs_at_the_same_time(void **state)
{
    (void)state;
    pthread_t threads[4];
    int failures[4] = {0};
    unless_wine("Wine 8 now and then fails to start one of several processes (\"Internal error\")");
    struct started program = start_word("exit", "0"); /* what the first one makes, stays */
    assert_int_equal(finish(&program), 0);
    unsigned before = open_descriptors();
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(start_many, &failures[i]);
    for (int i = 0; i < 4; i++) {
        join_thread(threads[i]);
        assert_int_equal(failures[i], 0);
    }
    assert_int_equal(open_descriptors(), before);
}

static void started_program_writes_to_the_files_given(void **state)
{
    (void)state;
    char text[64];
    struct started program = start_word("write", NULL);
    read_all(&program, program.out, text, sizeof(text));
    assert_string_equal(text, "out"); /* and has read to the end of its input */
    read_all(&program, program.err, text, sizeof(text));
    assert_string_equal(text, "err");
    assert_int_equal(finish(&program), 0);
}

static void arguments_arrive_as_they_are(void **state)
{
    (void)state;
    static const char *const words[] = {"",      " ",     "a b",    "\"",      "\\",         "a\\",
                                        "a\\\\", "\\\"",  "a\\\"b", "\\\\\"c", "%PATH%",     "'",
                                        "*",     "$x;&|", "^",      "-Name:v", "trailing\\ "};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        char text[64];
        struct started program = start_word("argument", words[i]);
        read_all(&program, program.out, text, sizeof(text));
        assert_string_equal(text, words[i]);
        assert_int_equal(finish(&program), 0);
    }
}

static void environment_is_changed_as_asked(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "ZCB_GONE",    "ZCB_CHANGED=1", "ZCB_CHANGED=a=b", "ZCB_NEW=new",
        "ZCB_BRIEF=x", "ZCB_BRIEF",     "ZCB_LINK=wrong",  NULL};
    static const char *const arguments[] = {"environment", NULL};
    struct started program;
    zcb_detail why;
    char text[256];
    setenv("ZCB_KEPT", "kept", 1);
    setenv("ZCB_GONE", "gone", 1);
    setenv("ZCB_CHANGED", "old", 1);
    setenv(ZCB_LINK_VARIABLE, "77", 1);
    if (start(&(plat_spawn){.arguments = arguments, .environment = changes}, &program, &why))
        fail_msg("%s", why.text);
    read_all(&program, program.out, text, sizeof(text));
    assert_string_equal(text, "kept,-,a=b,new,-,a link");
    assert_int_equal(finish(&program), 0);
    assert_string_equal(getenv("ZCB_CHANGED"), "old");
    unsetenv(ZCB_LINK_VARIABLE);
}

static void working_directory_is_where_asked(void **state)
{
    (void)state;
    static const char *const arguments[] = {"folder", NULL};
    char here[4096], text[4096];
    struct started program;
    zcb_detail why;
    own_path(here);
    assert_ok(zcbi_plat_library_folder((const void *)(uintptr_t)&soon, here, sizeof(here)));
    if (start(&(plat_spawn){.arguments = arguments, .working_directory = here}, &program, &why))
        fail_msg("%s", why.text);
    read_all(&program, program.out, text, sizeof(text));
    assert_string_equal(text, here);
    assert_int_equal(finish(&program), 0);
}

static void link_is_inherited_and_hidden_from_the_next_program(void **state)
{
    (void)state;
    char record[PLAT_LINK_BYTES], expected[64];
    plat_handle event, process;
    size_t bytes;
    unsigned count, ready;
    int64_t sender;
    assert_ok(zcbi_plat_event_create(&event));
    struct started program = start_word("link", NULL);
    assert_ok(zcbi_plat_link_send(program.link, "take it", 7, &event, 1));
    assert_ok(zcbi_plat_wait(&program.link, 1, soon(), &ready));
    assert_ok(zcbi_plat_link_receive(program.link, record, sizeof(record), &bytes, NULL, 0, &count,
                                     &sender));
    assert_int_equal(sender, program.child.pid);
    snprintf(expected, sizeof(expected), "made by %lld", (long long)zcbi_plat_getpid());
    assert_int_equal(bytes, strlen(expected));
    assert_memory_equal(record, expected, bytes);
    assert_ok(zcbi_plat_child_open(&program.child, sender, &process));
    zcbi_plat_close(process);
    zcbi_plat_event_set(event);
    assert_int_equal(finish(&program), 0);
    zcbi_plat_close(event);
}

static void failed_start_says_what_was_wrong(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    assert_not_started(&(plat_spawn){.path = NOWHERE "pwsh", .arguments = none}, ZCB_ERR_NOT_FOUND,
                       "cannot execute '" NOWHERE "pwsh': ");
    assert_not_started(&(plat_spawn){.arguments = none, .working_directory = NOWHERE "at all"},
                       ZCB_ERR_NOT_FOUND, "cannot enter the working directory '" NOWHERE "at all'");
}

static void process_handle_is_signalled_at_its_end(void **state)
{
    (void)state;
    plat_handle process;
    unsigned ready;
    struct started program = start_word("idle", NULL);
    int64_t pid = program.child.pid;
    assert_ok(zcbi_plat_process_open(pid, &process));
    assert_int_equal(zcbi_plat_wait(&process, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    zcbi_plat_process_kill(pid, process);
    assert_ok(zcbi_plat_wait(&process, 1, soon(), &ready));
    (void)finish(&program);
    assert_ok(zcbi_plat_wait(&process, 1, 0, &ready));
    assert_int_equal(zcbi_plat_process_open(pid, &program.child.process), ZCB_ERR_PEER_GONE);
    zcbi_plat_close(process);
}

static void process_that_cannot_be_is_gone(void **state)
{
    (void)state;
    plat_handle process;
    const int64_t nobody[] = {0, -1, INT64_MAX, (INT64_C(1) << 32) + zcbi_plat_getpid(), INT32_MAX};
    for (size_t i = 0; i < sizeof(nobody) / sizeof(*nobody); i++)
        assert_int_equal(zcbi_plat_process_open(nobody[i], &process), ZCB_ERR_PEER_GONE);
}

static void hanging_up_ends_what_a_program_left_behind(void **state)
{
    (void)state;
    plat_handle left;
    char text[32];
    unsigned ready;
    struct started program = start_word("leave", NULL);
    read_all(&program, program.out, text, sizeof(text));
    assert_ok(zcbi_plat_process_open(atoll(text), &left));
    assert_int_equal(zcbi_plat_wait(&left, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    zcbi_plat_process_hang_up_group(&program.child);
    assert_ok(zcbi_plat_wait(&left, 1, soon(), &ready));
    zcbi_plat_close(left);
    assert_int_equal(finish(&program), 0);
}

/* ---- what this program does as the program that a test starts ---- */

static int write_both(void)
{
    if (getchar() != EOF)
        return 2;
    fputs("out", stdout);
    fputs("err", stderr);
    return 0;
}

static const char *value_of(const char *name)
{
    return zcbi_plat_has_variable(name) ? getenv(name) : "-";
}

static int tell_environment(void)
{
    plat_handle link;
    printf("%s,%s,%s,%s,%s,", value_of("ZCB_KEPT"), value_of("ZCB_GONE"), value_of("ZCB_CHANGED"),
           value_of("ZCB_NEW"), value_of("ZCB_BRIEF"));
    printf("%s", zcbi_plat_link_inherited(&link) == ZCB_OK ? "a link" : "no link");
    return 0;
}

static int tell_folder(void)
{
    char path[4096];
    zcb_error error = zcbi_plat_absolute_path("x", path, sizeof(path));
    path[strlen(path) - 2] = '\0';
    printf("%s", path);
    return error;
}

/* Takes an event, says who made the link, and waits until the event is set. */
static int use_link(void)
{
    plat_handle link, event;
    int64_t maker;
    unsigned ready, count;
    char record[64];
    size_t bytes;
    if (zcbi_plat_link_inherited(&link) != ZCB_OK || zcbi_plat_has_variable(ZCB_LINK_VARIABLE))
        return 2;
    if (zcbi_plat_wait(&link, 1, soon(), &ready) != ZCB_OK ||
        zcbi_plat_link_receive(link, record, sizeof(record), &bytes, &event, 1, &count, NULL) !=
            ZCB_OK)
        return 3;
    if (count != 1 || zcbi_plat_link_peer_pid(link, &maker) != ZCB_OK)
        return 4;
    int length = snprintf(record, sizeof(record), "made by %lld", (long long)maker);
    if (zcbi_plat_link_send(link, record, (size_t)length, NULL, 0) != ZCB_OK)
        return 5;
    return zcbi_plat_wait(&event, 1, soon(), &ready) == ZCB_OK ? 0 : 6;
}

static int be_idle(void)
{
    unsigned ready;
    return (int)zcbi_plat_wait(NULL, 0, ZCB_NEVER, &ready);
}

static int leave_a_process(const char *self)
{
    printf("%lld", (long long)start_and_leave(self, "idle"));
    return 0;
}

static int be_started(char **arguments)
{
    const char *word = arguments[1];
    if (strcmp(word, "exit") == 0)
        return atoi(arguments[2]);
    if (strcmp(word, "argument") == 0)
        return printf("%s", arguments[2]) < 0;
    if (strcmp(word, "write") == 0)
        return write_both();
    if (strcmp(word, "environment") == 0)
        return tell_environment();
    if (strcmp(word, "folder") == 0)
        return tell_folder();
    if (strcmp(word, "link") == 0)
        return use_link();
    if (strcmp(word, "idle") == 0)
        return be_idle();
    if (strcmp(word, "leave") == 0)
        return leave_a_process(arguments[0]);
    return 64;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return be_started(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(started_program_gives_its_exit_code),
        cmocka_unit_test(the_end_is_told_in_words),
        cmocka_unit_test(starting_does_not_wait_for_the_program),
        cmocka_unit_test(threads_start_programs_at_the_same_time),
        cmocka_unit_test(started_program_writes_to_the_files_given),
        cmocka_unit_test(arguments_arrive_as_they_are),
        cmocka_unit_test(environment_is_changed_as_asked),
        cmocka_unit_test(working_directory_is_where_asked),
        cmocka_unit_test(link_is_inherited_and_hidden_from_the_next_program),
        cmocka_unit_test(failed_start_says_what_was_wrong),
        cmocka_unit_test(process_handle_is_signalled_at_its_end),
        cmocka_unit_test(process_that_cannot_be_is_gone),
        cmocka_unit_test(hanging_up_ends_what_a_program_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
