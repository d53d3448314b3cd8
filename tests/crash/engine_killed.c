/* The engine is killed at random moments: all that the program waits for ends at once and says so, nothing is left
 * behind, and the next session works. */
#include "sessions.h"

#include <signal.h>

#include "sweep.h"
#include "traffic.h"

#define RUNS 1000
#define FIRST_NS 100
#define LAST_NS (5 * MS)
#define LAST_OF_START_NS (4 * MS)

/* What the program is doing. */
enum phase { PHASE_START, PHASE_TRAFFIC, PHASE_WITH_CHILD, PHASE_CLOSE, PHASES };

struct killer {
    pthread_t thread;
    pid_t engine; /* 0: the next child of `parent` */
    pid_t parent;
    int64_t after_ns;
    int64_t ended_ns; /* when the kernel said so */
};

static struct sweep sweep;
static struct delays calls;

/* ---------------------------------------------------------------- killing */

/* The child of a thread that is about to have one. */
static pid_t child_of(pid_t thread)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", thread);
    while (pid == 0) {
        FILE *file = fopen(path, "re");
        if (!file || fscanf(file, "%d", &pid) != 1)
            pid = 0;
        if (file)
            fclose(file);
    }
    return pid;
}

static void *kill_engine(void *arg)
{
    struct killer *killer = arg;
    pid_t engine = killer->engine ? killer->engine : child_of(killer->parent);
    siginfo_t end;
    pass_ns(killer->after_ns);
    kill(engine, SIGKILL);
    (void)waitid(P_PID, (id_t)engine, &end, WEXITED | WNOWAIT); /* ECHILD: the session was first */
    killer->ended_ns = zcbi_plat_now_ns();
    return NULL;
}

static void start_killer(struct killer *killer, const zcb_session *session, int64_t after_ns)
{
    *killer = (struct killer){.parent = gettid(), .after_ns = after_ns};
    if (session)
        killer->engine = (pid_t)zcb_session_pid(session);
    killer->thread = start_thread(kill_engine, killer);
}

/* ---------------------------------------------------------------- phases */

static void assert_says_killed(zcb_session *session)
{
    zcb_detail why;
    assert_false(zcb_session_alive(session, &why));
    if (!strstr(why.text, "killed by signal 9"))
        fail_msg("'%s'", why.text);
}

static void kill_while_starting(uint64_t random)
{
    zcb_session_options options = fake_options();
    zcb_session *session = NULL;
    zcb_result *result = NULL;
    zcb_detail why;
    struct killer killer;
    int64_t starved = starved_ns();
    start_killer(&killer, NULL, random_ns(&random, FIRST_NS, LAST_OF_START_NS));
    zcb_error error = zcb_session_start(&options, &session, &why, NULL);
    if (!error) /* it answered first */
        error = zcb_session_run(session, "wait", 4, 0, ZCB_FOREVER, &result, NULL);
    int64_t ended_ns = zcbi_plat_now_ns();
    starved = starved_ns() - starved;
    join_thread(killer.thread);
    delays_add(&calls, ended_ns - killer.ended_ns, starved);
    if (!session) {
        assert_int_equal(error, ZCB_ERR_START);
        assert_non_null(strstr(why.text, "signal 9"));
        return;
    }
    if (error)
        assert_int_equal(error, ZCB_ERR_PEER_GONE);
    else
        assert_int_equal(zcb_result_status(result), ZCB_STATUS_LOST);
    zcb_result_free(result);
    assert_says_killed(session);
    zcb_session_free(session);
}

static void assert_no_fault(const char *what)
{
    if (what)
        fail_msg("%s", what);
}

/* One of them reads for the others: they lack a processor when it does. */
static void note_delays(const struct traffic *traffic, int64_t engine_ended_ns)
{
    int64_t starved = 0;
    for (unsigned i = 0; i < traffic->count; i++)
        if (traffic->workers[i].starved_ns > starved)
            starved = traffic->workers[i].starved_ns;
    for (unsigned i = 0; i < traffic->count; i++)
        delays_add(&calls, traffic->workers[i].ended_ns - engine_ended_ns, starved);
}

static void kill_in_traffic(uint64_t random, bool with_child)
{
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options);
    struct traffic traffic;
    struct killer killer;
    if (with_child)
        assert_true(number_of(session, "spawn") > 0);
    unsigned works = 1 + (unsigned)(next_random(&random) % ((1u << WORKS) - 1));
    traffic_start(&traffic, session, works, FOR_EVER, random);
    start_killer(&killer, session, random_ns(&random, FIRST_NS, LAST_NS));
    assert_no_fault(traffic_join(&traffic));
    join_thread(killer.thread);
    note_delays(&traffic, killer.ended_ns);
    assert_says_killed(session);
    zcb_session_free(session);
    assert_no_fault(traffic_free(&traffic));
}

static void kill_while_closing(uint64_t random)
{
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options);
    struct traffic traffic;
    struct killer killer;
    bool with_child = next_random(&random) % 2 == 0;
    if (with_child)
        assert_true(number_of(session, "spawn") > 0);
    traffic_start(&traffic, session, 1u << WORK_COMMANDS | 1u << WORK_TO_ENGINE | 1u << WORK_LEASES,
                  FOR_EVER, random);
    start_killer(&killer, session, random_ns(&random, FIRST_NS, LAST_NS));
    pass_ns(random_ns(&random, FIRST_NS, LAST_NS));
    if (with_child) /* an engine that ends in good order leaves its children alone */
        stop_process((pid_t)zcb_session_pid(session));
    zcb_session_close(session, with_child ? 1 : PATIENCE_MS);
    assert_no_fault(traffic_join(&traffic));
    join_thread(killer.thread);
    assert_false(zcb_session_alive(session, NULL));
    zcb_session_free(session);
    assert_no_fault(traffic_free(&traffic));
}

static void run_once(uint64_t random, unsigned phase)
{
    switch (phase) {
    case PHASE_START:
        kill_while_starting(random);
        break;
    case PHASE_CLOSE:
        kill_while_closing(random);
        break;
    default:
        kill_in_traffic(random, phase == PHASE_WITH_CHILD);
    }
}

static void every_wait_ends_when_the_engine_is_killed(void **state)
{
    (void)state;
    sweep_phases(&sweep, PHASES, run_once);
    delays_report(&calls, "from the engine's end to the end of a wait");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wait_ends_when_the_engine_is_killed),
    };
    sweep = sweep_options(argc, argv, RUNS);
    isolate();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
