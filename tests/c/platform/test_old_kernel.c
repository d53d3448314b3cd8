/* Linux 4.18, without handles of processes: how the end of a process is told, and who must not stand in the way. */
#include "kernel.h"
#include "sessions.h"

#include "old_kernel.h"

#define KILLED_CODE (-SIGKILL)

static void assert_alive(plat_handle process)
{
    unsigned ready;
    assert_int_equal(zcbi_plat_wait(&process, 1, 0, &ready), ZCB_ERR_TIMEOUT);
}

static void assert_ends(plat_handle process)
{
    unsigned ready;
    assert_ok(zcbi_plat_wait(&process, 1, soon(), &ready));
}

/* A child of fork that goes on, as multiprocessing makes it. It ends when its end of `*life` does. */
static pid_t fork_and_go_on(int *life)
{
    int ends[2];
    char byte;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(ends[0]);
    *life = ends[1];
    return pid;
}

static void end_forked(pid_t pid, int life)
{
    int status;
    close(life);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---------------------------------------------------------------- the platform's promises */

static void the_kernel_has_no_handles_of_processes(void **state)
{
    (void)state;
    plat_handle process;
    assert_int_equal(zcbi_plat_process_open(zcbi_plat_getpid(), &process), ZCB_ERR_SYSTEM);
    assert_int_equal(zcbi_plat_process_open(INT32_MAX, &process), ZCB_ERR_PEER_GONE);
}

static void a_child_that_is_killed_has_ended(void **state)
{
    (void)state;
    unsigned before = open_descriptors();
    for (int i = 0; i < 100; i++) {
        plat_child child = start_idle_process();
        plat_handle again;
        int code;
        assert_alive(child.process);
        assert_false(zcbi_plat_process_ended(&child, &code));
        assert_ok(zcbi_plat_child_open(&child, child.pid, &again));
        assert_alive(again);
        zcbi_plat_process_kill(child.pid, again);
        assert_ends(again);
        zcbi_plat_close(again);
        assert_int_equal(finish_child(&child), KILLED_CODE);
    }
    assert_int_equal(open_descriptors(), before);
    assert_no_children();
}

static plat_child start_shell(const char *script, plat_handle *ours)
{
    const char *const arguments[] = {"-c", script, NULL};
    plat_handle theirs, out;
    plat_child child;
    assert_ok(zcbi_plat_link_pair(ours, &theirs));
    assert_ok(zcbi_plat_file_create(&out));
    plat_spawn spawn = {.path = "/bin/sh",
                        .arguments = arguments,
                        .link = theirs,
                        .other_end = *ours,
                        .out = out,
                        .err = out};
    assert_ok(zcbi_plat_process_spawn(&spawn, &child, NULL));
    zcbi_plat_close(theirs);
    zcbi_plat_close(out);
    return child;
}

static void exit_codes_are_the_childs_own(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        plat_handle ours;
        plat_child child = start_shell("exit 42", &ours);
        assert_int_equal(finish_child(&child), 42);
        zcbi_plat_close(ours);
    }
    assert_no_children();
}

static void a_child_that_hangs_up_and_goes_on_is_ended(void **state)
{
    (void)state;
    plat_handle ours;
    plat_child child = start_shell("exec 3>&-; sleep 1000", &ours);
    assert_int_equal(finish_child(&child), KILLED_CODE);
    zcbi_plat_close(ours);
    assert_no_children();
}

static void what_can_be_received_is_no_end(void **state)
{
    (void)state;
    plat_handle ours, theirs, process;
    assert_ok(zcbi_plat_link_pair(&ours, &theirs));
    assert_ok(zcbi_plat_link_peer_open(theirs, &process));
    assert_ok(zcbi_plat_link_send(ours, "x", 1, NULL, 0));
    assert_alive(process);
    zcbi_plat_close(ours);
    assert_ends(process);
    zcbi_plat_close(process);
    zcbi_plat_close(theirs);
}

/* ---------------------------------------------------------------- forks */

static void a_forked_child_keeps_nobody_alive(void **state)
{
    (void)state;
    int life;
    plat_child child = start_idle_process();
    pid_t forked = fork_and_go_on(&life);
    zcbi_plat_process_kill(child.pid, child.process);
    assert_int_equal(finish_child(&child), KILLED_CODE);
    end_forked(forked, life);
    assert_no_children();
}

static bool child_frees_what_it_has(zcb_session *session)
{
    unsigned before = open_descriptors();
    bool out = zcb_session_ping(session, NULL) == ZCB_ERR_FORKED;
    zcb_session_free(session);
    return out && open_descriptors() < before;
}

static void a_forked_child_may_free_the_session(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options);
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_frees_what_it_has(session) ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_serves(session);
    zcb_session_free(session);
    assert_no_children();
}

struct forker {
    _Atomic bool stop;
    unsigned count;
    pid_t pids[1000];
    int lives[1000];
};

static void *fork_all_the_time(void *arg)
{
    struct forker *forker = arg;
    while (!atomic_load(&forker->stop) && forker->count < 1000) {
        forker->pids[forker->count] = fork_and_go_on(&forker->lives[forker->count]);
        forker->count++;
    }
    return NULL;
}

static void forks_of_other_threads_in_the_middle_of_a_start_keep_nobody_alive(void **state)
{
    (void)state;
    static struct forker forker;
    pthread_t thread = start_thread(fork_all_the_time, &forker);
    for (int i = 0; i < 50; i++) {
        plat_child child = start_idle_process();
        zcbi_plat_process_kill(child.pid, child.process);
        assert_int_equal(finish_child(&child), KILLED_CODE);
    }
    atomic_store(&forker.stop, true);
    join_thread(thread);
    for (unsigned i = forker.count; i-- > 0;) /* a later one has the earlier ones' pipes */
        end_forked(forker.pids[i], forker.lives[i]);
    assert_no_children();
}

/* ---------------------------------------------------------------- deaths */

static void an_engine_that_is_killed_ends_the_programs_waits(void **state)
{
    (void)state;
    int life;
    zcb_session_options options = fake_options();
    for (int forks = 0; forks < 2; forks++) {
        zcb_session *session = start_session(&options);
        zcb_detail why;
        uint64_t running = submit(session, "wait", 0, ZCB_FOREVER);
        pid_t forked = forks ? fork_and_go_on(&life) : 0;
        kill_its_engine(session);
        assert_int_equal(status_of(session, running), ZCB_STATUS_LOST);
        assert_false(zcb_session_alive(session, &why));
        assert_non_null(strstr(why.text, KILLED));
        zcb_session_free(session);
        if (forks)
            end_forked(forked, life);
    }
    assert_no_children();
}

/* A program with an engine and a forked child, whose pids it tells. */
static void be_program(int tell)
{
    zcb_session_options options = fake_options();
    int64_t pids[2] = {zcb_session_pid(start_session(&options))};
    pids[1] = fork();
    while (pids[1] == 0)
        pause();
    if (write(tell, pids, sizeof(pids)) != sizeof(pids))
        _exit(1);
    for (;;)
        pause();
}

static void a_program_that_is_killed_ends_its_engine(void **state)
{
    (void)state;
    int tell[2];
    int64_t pids[2];
    assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
    /* What the program leaves is this process's to reap. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    pid_t program = fork();
    if (program == 0)
        be_program(tell[1]);
    assert_int_equal(read(tell[0], pids, sizeof(pids)), sizeof(pids));
    kill(program, SIGKILL);
    assert_int_equal(waitpid(program, NULL, 0), program);
    assert_int_equal(waitpid((pid_t)pids[0], NULL, 0), pids[0]); /* the engine */
    kill((pid_t)pids[1], SIGKILL);
    assert_int_equal(waitpid((pid_t)pids[1], NULL, 0), pids[1]);
    assert_no_children();
    close(tell[0]);
    close(tell[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_has_no_handles_of_processes),
        cmocka_unit_test(a_child_that_is_killed_has_ended),
        cmocka_unit_test(exit_codes_are_the_childs_own),
        cmocka_unit_test(a_child_that_hangs_up_and_goes_on_is_ended),
        cmocka_unit_test(what_can_be_received_is_no_end),
        cmocka_unit_test(a_forked_child_keeps_nobody_alive),
        cmocka_unit_test(a_forked_child_may_free_the_session),
        cmocka_unit_test(forks_of_other_threads_in_the_middle_of_a_start_keep_nobody_alive),
        cmocka_unit_test(an_engine_that_is_killed_ends_the_programs_waits),
        cmocka_unit_test(a_program_that_is_killed_ends_its_engine),
    };
    if (!be_old_kernel())
        return 77; /* a container may forbid it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
