/* Sessions: a program that ends, and one that forks. */
#include "sessions.h"

/* What this program does as the program that a test starts: has a session, tells the engine's pid, and waits. */
static int be_a_program(const char *text)
{
    zcb_session_options options = fake_options();
    zcb_session *session = NULL;
    if (zcb_session_start(&options, &session, NULL, NULL))
        return 1;
    if (*text) {
        zcb_command command = {
            .op = ZCB_OP_RUN, .parts = TEXT_PART(text, strlen(text)), .part_count = 1};
        (void)zcb_session_submit(session, &command, ZCB_FOREVER, NULL);
        (void)zcb_session_ping(session, NULL);
    }
    printf("%lld\n", (long long)zcb_session_pid(session));
    fflush(stdout);
    unsigned ready;
    return (int)zcbi_plat_wait(NULL, 0, ZCB_NEVER, &ready);
}

/* Waits until the program has written a line, which is a number. */
static int64_t number_in(plat_handle file)
{
    char text[32] = "";
    size_t bytes = 0;
    while (!strchr(text, '\n')) {
        sched_yield();
        assert_ok(zcbi_plat_file_read(file, 0, text, sizeof(text) - 1, &bytes));
        text[bytes] = '\0';
    }
    return atoll(text);
}

static void assert_engine_ends_with_its_program(const char *text)
{
    char self[4096];
    const char *const arguments[] = {"program", text, NULL};
    plat_handle ours, theirs, out;
    plat_child program;
    zcb_detail why;
    own_path(self);
    assert_ok(zcbi_plat_link_pair(&ours, &theirs));
    assert_ok(zcbi_plat_file_create(&out));
    plat_spawn spawn = {.path = self,
                        .arguments = arguments,
                        .link = theirs,
                        .other_end = ours,
                        .out = out,
                        .err = out};
    if (zcbi_plat_process_spawn(&spawn, &program, &why))
        fail_msg("%s", why.text);
    zcbi_plat_close(theirs);
    int64_t engine = number_in(out);
    zcbi_plat_process_kill(program.pid, program.process);
    (void)finish_child(&program);
    await_end_of(engine);
    zcbi_plat_close(ours);
    zcbi_plat_close(out);
}

static void a_killed_program_ends_its_engine(void **state)
{
    (void)state;
    const char *const texts[] = {"", "wait", "hang", "flood", "out 300000000"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        assert_engine_ends_with_its_program(texts[i]);
}

#if !defined(_WIN32)

static bool child_is_kept_out(zcb_session *session, uint64_t id)
{
    zcb_command command = {.op = ZCB_OP_RUN, .parts = TEXT_PART("echo", 4), .part_count = 1};
    zcb_result *result;
    zcb_bridge *bridge;
    zcb_detail why;
    bool out = zcb_session_submit(session, &command, 0, NULL) == ZCB_ERR_FORKED &&
               zcb_session_wait(session, id, &result, NULL) == ZCB_ERR_FORKED &&
               zcb_session_next(session, &result, NULL) == ZCB_ERR_FORKED &&
               zcb_session_stop(session, id) == ZCB_ERR_FORKED &&
               zcb_session_ping(session, NULL) == ZCB_ERR_FORKED &&
               zcb_bridge_open(session, NULL, &bridge, NULL) == ZCB_ERR_FORKED &&
               !zcb_session_alive(session, &why);
    zcb_session_close(session, 0);
    zcb_session_free(session);
    return out;
}

static void a_forked_child_is_kept_out_and_the_parent_goes_on(void **state)
{
    zcb_session *session = *state;
    uint64_t id = submit(session, "wait", 0, ZCB_FOREVER);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_is_kept_out(session, id) ? 0 : 1);
    assert_child_says_yes(pid);
    assert_ok(zcb_session_stop(session, id));
    assert_int_equal(status_of(session, id), ZCB_STATUS_STOPPED);
    assert_serves(session);
}

#endif

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "program") == 0)
        return be_a_program(argv[2]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_session, tear_down_session)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_program_ends_its_engine),
        TEST_ON_POSIX(a_forked_child_is_kept_out_and_the_parent_goes_on, NO_FORK),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
