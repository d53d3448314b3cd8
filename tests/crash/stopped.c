/* A side that is stopped (SIGSTOP) is not dead: timeouts apply, all other waits go on, and after SIGCONT nothing is
 * lost. */
#include "sessions.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

#include "sweep.h"
#include "traffic.h"

#define RUNS 300
#define STEPS 200
#define FIRST_NS 1000
#define LAST_NS (3 * MS)
#define TIMEOUT_MS 50

static struct sweep sweep;

/* ---------------------------------------------------------------- timeouts */

static int64_t lateness_ns(int64_t begin_ns)
{
    int64_t waited_ns = zcbi_plat_now_ns() - begin_ns;
    assert_true(waited_ns >= TIMEOUT_MS * MS);
    return waited_ns - TIMEOUT_MS * MS;
}

static void timeouts_apply_while_the_engine_is_stopped(void **state)
{
    (void)state;
    struct delays late = {0};
    zcb_session_options options = fake_options();
    options.grace_ms = PATIENCE_MS;
    zcb_session *session = start_session(&options);
    pid_t engine = (pid_t)zcb_session_pid(session);
    zcb_channel_options sizes = {.frame_bytes = 64 * KIB, .window_bytes = 64 * KIB};
    zcb_bridge *bridge;
    zcb_result *result;
    zcb_message message;
    static const char data[100 * KIB];
    sweep_guard(0);
    assert_ok(zcb_bridge_open(session, &sizes, &bridge, NULL));
    stop_process(engine);

    uint64_t id = submit(session, "echo after all", 0, ZCB_FOREVER);
    zcb_wait wait = within_ms(TIMEOUT_MS);
    int64_t begin_ns = zcbi_plat_now_ns();
    assert_int_equal(zcb_session_wait(session, id, &result, &wait), ZCB_ERR_TIMEOUT);
    delays_add(&late, lateness_ns(begin_ns), 0);

    wait = within_ms(TIMEOUT_MS);
    begin_ns = zcbi_plat_now_ns();
    assert_int_equal(zcb_session_ping(session, &wait), ZCB_ERR_TIMEOUT);
    delays_add(&late, lateness_ns(begin_ns), 0);

    wait = within_ms(TIMEOUT_MS);
    begin_ns = zcbi_plat_now_ns();
    assert_int_equal(zcb_bridge_send(bridge, ZCB_KIND_BYTES, data, sizeof(data), NULL, &wait),
                     ZCB_ERR_TIMEOUT);
    delays_add(&late, lateness_ns(begin_ns), 0);

    wait = within_ms(TIMEOUT_MS);
    begin_ns = zcbi_plat_now_ns();
    assert_int_equal(zcb_bridge_receive_begin(bridge, ZCB_WISH_COPY, &message, &wait),
                     ZCB_ERR_TIMEOUT);
    delays_add(&late, lateness_ns(begin_ns), 0);

    assert_true(zcb_session_alive(session, NULL));
    uint64_t timed = submit(session, "wait", 0, TIMEOUT_MS);
    continue_process(engine);
    result = wait_for(session, id);
    assert_string_equal(zcb_result_text(result, ZCB_PART_OUT, NULL), "after all");
    zcb_result_free(result);
    assert_int_equal(status_of(session, timed), ZCB_STATUS_TIMED_OUT);
    wait = patience();
    assert_ok(zcb_session_ping(session, &wait));
    zcb_bridge_free(bridge);
    assert_serves(session);
    zcb_session_free(session);
    assert_no_children();
    delays_report(&late, "from the end of a timeout to the end of its call");
}

static void a_command_that_cannot_be_stopped_ends_a_stopped_engine(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    options.grace_ms = TIMEOUT_MS;
    zcb_session *session = start_session(&options);
    sweep_guard(0);
    stop_process((pid_t)zcb_session_pid(session));
    int64_t begin_ns = zcbi_plat_now_ns();
    assert_int_equal(status_of(session, submit(session, "echo x", 0, TIMEOUT_MS)),
                     ZCB_STATUS_TIMED_OUT);
    assert_true(zcbi_plat_now_ns() - begin_ns >= 2 * TIMEOUT_MS * MS);
    assert_false(zcb_session_alive(session, NULL));
    zcb_session_free(session);
    assert_no_children();
}

static void a_stopped_engine_can_be_closed(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options);
    sweep_guard(0);
    stop_process((pid_t)zcb_session_pid(session));
    int64_t begin_ns = zcbi_plat_now_ns();
    zcb_session_close(session, TIMEOUT_MS);
    assert_true(zcbi_plat_now_ns() - begin_ns >= TIMEOUT_MS * MS);
    zcb_session_free(session);
    assert_no_children();
}

/* ---------------------------------------------------------------- random moments */

static void be_program(uint64_t random, int pipe)
{
    zcb_session_options options = fake_options();
    zcb_session *session;
    zcb_detail why;
    struct traffic traffic;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (zcb_session_start(&options, &session, &why, NULL))
        exit_with(why.text);
    pid_t engine = (pid_t)zcb_session_pid(session);
    if (write(pipe, &engine, sizeof(engine)) != sizeof(engine))
        exit_with("the pipe");
    traffic_start(&traffic, session, (1u << WORKS_THAT_END) - 1, STEPS, random);
    const char *fault = traffic_join(&traffic);
    for (unsigned i = 0; i < traffic.count && !fault; i++)
        if (traffic.workers[i].error)
            fault = zcb_error_name(traffic.workers[i].error);
    if (!fault)
        fault = traffic_free(&traffic);
    if (fault)
        exit_with(fault);
    zcb_session_free(session);
    _exit(0);
}

static pid_t start_program(uint64_t random, pid_t *engine)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        be_program(random, ends[1]);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], engine, sizeof(*engine)), sizeof(*engine));
    close(ends[0]);
    return pid;
}

/* Each side, or both, for a random time. */
static void stop_at_random(uint64_t *random, pid_t program, pid_t engine)
{
    unsigned sides = 1 + (unsigned)(next_random(random) % 3);
    if (sides & 1)
        stop_process(program);
    if (sides & 2)
        stop_process(engine);
    pass_ns(random_ns(random, FIRST_NS, LAST_NS));
    if (sides & 2)
        continue_process(engine);
    if (sides & 1)
        continue_process(program);
    pass_ns(random_ns(random, FIRST_NS, LAST_NS));
}

/* Returns how often it was stopped. */
static unsigned run_program(uint64_t random)
{
    pid_t engine;
    unsigned stops = 0;
    int status;
    pid_t program = start_program(next_random(&random), &engine);
    while (waitpid(program, &status, WNOHANG) == 0) {
        stop_at_random(&random, program, engine);
        stops++;
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    return stops;
}

static void nothing_is_lost_when_either_side_is_stopped(void **state)
{
    (void)state;
    struct footprint before = footprint_now();
    unsigned stops = 0;
    for (unsigned run = 0; stops < sweep.runs; run++) {
        sweep_guard(run);
        stops += run_program(sweep_random(&sweep, run));
        assert_nothing_left(&before);
    }
    print_message("stopped %u times\n", stops);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeouts_apply_while_the_engine_is_stopped),
        cmocka_unit_test(a_command_that_cannot_be_stopped_ends_a_stopped_engine),
        cmocka_unit_test(a_stopped_engine_can_be_closed),
        cmocka_unit_test(nothing_is_lost_when_either_side_is_stopped),
    };
    sweep = sweep_options(argc, argv, RUNS);
    isolate();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
