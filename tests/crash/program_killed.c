/* The program is killed at random moments: the engine, and what it had started, ends by itself at once, and nothing is
 * left behind. */
#include "sessions.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

#include "sweep.h"
#include "traffic.h"

#define RUNS 1000
#define FIRST_NS 100
#define LAST_NS (5 * MS)

/* What the program is doing. */
enum phase {
    PHASE_START,
    PHASE_TRAFFIC,
    PHASE_WITH_CHILD,
    PHASE_HANGING_COMMAND,
    PHASE_CLOSE,
    PHASES
};

static struct sweep sweep;
static struct delays ends;

/* ---------------------------------------------------------------- the program */

/* Ends only by being killed. In the phases but the first it says so once it is there. */
static void be_program(enum phase phase, uint64_t random, int ready)
{
    zcb_session_options options = fake_options();
    zcb_session *session;
    zcb_detail why;
    struct traffic traffic;
    unsigned works = 1 + (unsigned)(next_random(&random) % ((1u << WORKS) - 1));
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (zcb_session_start(&options, &session, &why, NULL))
        exit_with(why.text);
    if (!says(session, "echo it works", "it works"))
        exit_with("a command");
    if (phase == PHASE_WITH_CHILD && number_of(session, "spawn") <= 0)
        exit_with("a child");
    if (phase == PHASE_HANGING_COMMAND)
        (void)submit(session, "hang", 0, ZCB_FOREVER);
    traffic_start(&traffic, session, works, FOR_EVER, random);
    if (write(ready, "r", 1) != 1)
        exit_with("the pipe");
    if (phase == PHASE_CLOSE)
        zcb_session_close(session, PATIENCE_MS);
    const char *fault = traffic_join(&traffic);
    if (fault || phase != PHASE_CLOSE)
        exit_with(fault ? fault : "its session ended");
    for (;;)
        pause();
}

static pid_t start_program(enum phase phase, uint64_t random, int *ready)
{
    int ends_of_pipe[2];
    assert_int_equal(pipe2(ends_of_pipe, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends_of_pipe[0]);
        be_program(phase, random, ends_of_pipe[1]);
    }
    close(ends_of_pipe[1]);
    *ready = ends_of_pipe[0];
    return pid;
}

/* ---------------------------------------------------------------- the sweep */

/* Its orphans are this process's children by now. */
static void kill_program(pid_t program)
{
    int status;
    assert_int_equal(kill(program, SIGKILL), 0);
    assert_int_equal(waitpid(program, &status, 0), program);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void await_orphans(void)
{
    int64_t killed_ns = zcbi_plat_now_ns(), starved = starved_ns();
    int status;
    while (waitpid(-1, &status, 0) > 0) {
        assert_true(WIFEXITED(status) || WTERMSIG(status) == SIGHUP);
        delays_add(&ends, zcbi_plat_now_ns() - killed_ns, starved_ns() - starved);
    }
    assert_int_equal(errno, ECHILD);
}

static void run_once(uint64_t random, unsigned phase)
{
    char byte;
    int ready;
    pid_t program = start_program((enum phase)phase, next_random(&random), &ready);
    if (phase != PHASE_START)
        assert_int_equal(read(ready, &byte, 1), 1);
    pass_ns(random_ns(&random, FIRST_NS, LAST_NS));
    kill_program(program);
    await_orphans();
    close(ready);
}

static void the_engine_ends_when_the_program_is_killed(void **state)
{
    (void)state;
    sweep_phases(&sweep, PHASES, run_once);
    delays_report(&ends, "from the program's end to the end of a process that it leaves");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_engine_ends_when_the_program_is_killed),
    };
    sweep = sweep_options(argc, argv, RUNS);
    isolate();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
