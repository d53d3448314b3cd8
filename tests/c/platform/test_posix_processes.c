/* What POSIX systems add to the contract of processes: descriptors, signals, sessions, zombies. */
#include "kernel.h"
#include "started.h"

#include <sys/syscall.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static const char *const no_arguments[] = {NULL};

/* Runs a program to its end; its output, NUL-terminated, and its exit code. */
static int run(const plat_spawn *wanted, char *out, size_t out_bytes)
{
    struct started program;
    size_t bytes = 0;
    unsigned ready;
    if (start(wanted, &program, NULL) != ZCB_OK)
        return INT32_MIN;
    if (zcbi_plat_wait(&program.child.process, 1, soon(), &ready) != ZCB_OK ||
        zcbi_plat_file_read(program.out, 0, out, out_bytes - 1, &bytes) != ZCB_OK)
        return INT32_MIN;
    out[bytes] = '\0';
    return finish(&program);
}

static int run_script(const char *script, char *out, size_t out_bytes)
{
    const char *const arguments[] = {"-c", script, NULL};
    return run(&(plat_spawn){.path = "/bin/sh", .arguments = arguments}, out, out_bytes);
}

/* Runs this test program with one of the words that main knows. */
static int run_self(const char *word, char *out, size_t out_bytes)
{
    const char *const arguments[] = {word, NULL};
    return run(&(plat_spawn){.arguments = arguments}, out, out_bytes);
}

static void started_program_gives_its_exit_code(void **state)
{
    (void)state;
    char out[64];
    assert_int_equal(run_script("exit 42", out, sizeof(out)), 42);
    assert_int_equal(run_script("kill -9 $$", out, sizeof(out)), -SIGKILL);
}

static void nothing_but_what_was_named_is_inherited(void **state)
{
    (void)state;
    char out[256];
    int high = fcntl(0, F_DUPFD, 200); /* neither is close-on-exec */
    int low = dup(0);
    assert_int_equal(run_self("descriptors", out, sizeof(out)), 0);
    assert_string_equal(out, "0 1 2 3 ");
    close(high);
    close(low);
}

static bool closes_without_close_range(void)
{
    char out[256];
    for (int i = 0; i < 200; i++)
        if (fcntl(0, F_DUPFD, 10) < 0)
            return false;
    return refuse_call(SYS_close_range, ENOSYS) && run_self("descriptors", out, sizeof(out)) == 0 &&
           strcmp(out, "0 1 2 3 ") == 0;
}

static void old_kernels_inherit_no_more(void **state)
{
    (void)state;
    assert_in_child(closes_without_close_range);
}

static bool starts_with_low_descriptors_closed(void)
{
    char out[64];
    for (int i = 0; i < 10; i++)
        close(i);
    return run_script("echo fine", out, sizeof(out)) == 0 && strcmp(out, "fine\n") == 0;
}

static void starting_does_without_standard_streams(void **state)
{
    (void)state;
    assert_in_child(starts_with_low_descriptors_closed);
}

static bool starts_with_clean_signals(void)
{
    char out[256];
    sigset_t all;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, ignore_signal);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return run_script("grep -E '^Sig(Blk|Ign)' /proc/self/status", out, sizeof(out)) == 0 &&
           strcmp(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n") == 0;
}

static void signals_of_the_program_are_as_new(void **state)
{
    (void)state;
    assert_in_child(starts_with_clean_signals);
}

static void signal_mask_of_the_caller_is_kept(void **state)
{
    (void)state;
    char out[64];
    sigset_t before;
    sigset_t after;
    sigemptyset(&before);
    sigaddset(&before, SIGUSR2);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    assert_int_equal(run_script("exit 0", out, sizeof(out)), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    assert_int_equal(sigismember(&after, SIGUSR2), 1);
    assert_int_equal(sigismember(&after, SIGUSR1), 0);
    sigemptyset(&before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void program_leads_a_session_of_its_own(void **state)
{
    (void)state;
    char out[64];
    assert_int_equal(run_self("session", out, sizeof(out)), 0);
    assert_string_equal(out, "leader");
}

static void link_is_inherited_and_hidden_from_the_next_program(void **state)
{
    (void)state;
    char record[PLAT_LINK_BYTES];
    plat_handle event;
    size_t bytes;
    unsigned count;
    unsigned ready;
    int64_t sender;
    struct started program = start_word("link", NULL);
    assert_int_equal(zcbi_plat_wait(&program.link, 1, soon(), &ready), ZCB_OK);
    assert_int_equal(zcbi_plat_link_receive(program.link, record, sizeof(record), &bytes, &event, 1,
                                            &count, &sender),
                     ZCB_OK);
    assert_int_equal(count, 1);
    assert_int_equal(sender, program.child.pid);
    char expected[64];
    snprintf(expected, sizeof(expected), "made by %d", getpid());
    assert_int_equal(bytes, strlen(expected));
    assert_memory_equal(record, expected, bytes);
    zcbi_plat_event_set(event);
    zcbi_plat_close(event);
    assert_int_equal(finish(&program), 0);
}

static void failed_start_says_what_was_wrong(void **state)
{
    (void)state;
    plat_spawn spawn = {.path = "/nonexistent/pwsh", .arguments = no_arguments};
    assert_not_started(&spawn, ZCB_ERR_NOT_FOUND,
                       "cannot execute '/nonexistent/pwsh': No such file or directory");
    spawn.path = "/etc";
    assert_not_started(&spawn, ZCB_ERR_NOT_FOUND, "cannot execute '/etc'");
    spawn.path = "/etc/passwd";
    assert_not_started(&spawn, ZCB_ERR_NOT_FOUND, "cannot execute '/etc/passwd'");
    spawn.path = "/bin/sh";
    spawn.working_directory = "/nonexistent";
    assert_not_started(&spawn, ZCB_ERR_NOT_FOUND,
                       "cannot enter the working directory '/nonexistent'");
    char *huge = calloc(1, 4 * MIB);
    assert_non_null(huge);
    memset(huge, 'x', 4 * MIB - 1);
    const char *const arguments[] = {huge, NULL};
    plat_spawn too_long = {.path = "/bin/sh", .arguments = arguments};
    assert_not_started(&too_long, ZCB_ERR_SYSTEM, "Argument list too long");
    free(huge);
}

static bool end_of_unknown_code_is_told(void)
{
    struct started program;
    plat_spawn spawn = {.path = "/bin/true", .arguments = no_arguments};
    int exit_code = 0;
    unsigned ready;
    signal(SIGCHLD, SIG_IGN);
    zcb_error error = start(&spawn, &program, NULL);
    if (error != ZCB_OK)
        return error == ZCB_ERR_SYSTEM; /* it was gone before a handle could be had */
    return zcbi_plat_wait(&program.child.process, 1, soon(), &ready) == ZCB_OK &&
           zcbi_plat_process_ended(&program.child, &exit_code) && exit_code == 255;
}

static void end_is_told_even_where_children_are_not_reaped(void **state)
{
    (void)state;
    assert_in_child(end_of_unknown_code_is_told);
}

static void end_is_told_again(void **state)
{
    (void)state;
    struct started program;
    const char *const arguments[] = {"-c", "exit 3", NULL};
    plat_spawn spawn = {.path = "/bin/sh", .arguments = arguments};
    int exit_code = 0;
    unsigned ready;
    assert_int_equal(start(&spawn, &program, NULL), ZCB_OK);
    assert_int_equal(zcbi_plat_wait(&program.child.process, 1, soon(), &ready), ZCB_OK);
    assert_true(zcbi_plat_process_ended(&program.child, &exit_code));
    assert_int_equal(exit_code, 3);
    assert_int_equal(finish(&program), 255);
}

/* A group leader with a child, whose pid it writes; it ends when `go` can be read. */
static void lead_group_and_end(int go, int tell)
{
    char byte;
    setsid();
    signal(SIGHUP, SIG_DFL); /* ignored where the tests were started by nohup */
    pid_t below = fork();
    if (below == 0)
        for (;;)
            pause();
    if (write(tell, &below, sizeof(below)) == sizeof(below) && read(go, &byte, 1) == 1)
        zcbi_plat_end_this_process(7);
    _exit(1);
}

static void ending_this_process_hangs_up_on_its_group(void **state)
{
    (void)state;
    int go[2];
    int tell[2];
    pid_t below;
    plat_handle left;
    int status;
    unsigned ready;
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
    pid_t leader = fork();
    if (leader == 0)
        lead_group_and_end(go[0], tell[1]);
    assert_int_equal(read(tell[0], &below, sizeof(below)), sizeof(below));
    assert_int_equal(zcbi_plat_process_open(below, &left), ZCB_OK);
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(leader, &status, 0), leader);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(zcbi_plat_wait(&left, 1, soon(), &ready), ZCB_OK);
    zcbi_plat_close(left);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(tell[i]);
    }
}

/* ---- what this program does as the program that a test starts ---- */

static int list_descriptors(void)
{
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("%d ", fd);
    return 0;
}

static int tell_session(void)
{
    printf("%s", getsid(0) == getpid() && getpgrp() == getpid() ? "leader" : "not the leader");
    return 0;
}

/* Sends back who made the link, with an event, and waits until that is set. */
static int use_link(void)
{
    plat_handle link;
    plat_handle event;
    int64_t maker;
    unsigned ready;
    char record[64];
    if (zcbi_plat_link_inherited(&link) != ZCB_OK || getenv(ZCB_LINK_VARIABLE) != NULL ||
        fcntl((int)link, F_GETFD) != FD_CLOEXEC)
        return 2;
    if (zcbi_plat_link_peer_pid(link, &maker) != ZCB_OK || zcbi_plat_event_create(&event) != ZCB_OK)
        return 3;
    int bytes = snprintf(record, sizeof(record), "made by %lld", (long long)maker);
    if (zcbi_plat_link_send(link, record, (size_t)bytes, &event, 1) != ZCB_OK)
        return 4;
    return zcbi_plat_wait(&event, 1, soon(), &ready) == ZCB_OK ? 0 : 5;
}

static int be_started(const char *word)
{
    if (strcmp(word, "descriptors") == 0)
        return list_descriptors();
    if (strcmp(word, "session") == 0)
        return tell_session();
    if (strcmp(word, "link") == 0)
        return use_link();
    return 64;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return be_started(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(started_program_gives_its_exit_code),
        cmocka_unit_test(nothing_but_what_was_named_is_inherited),
        cmocka_unit_test(old_kernels_inherit_no_more),
        cmocka_unit_test(starting_does_without_standard_streams),
        cmocka_unit_test(signals_of_the_program_are_as_new),
        cmocka_unit_test(signal_mask_of_the_caller_is_kept),
        cmocka_unit_test(program_leads_a_session_of_its_own),
        cmocka_unit_test(link_is_inherited_and_hidden_from_the_next_program),
        cmocka_unit_test(failed_start_says_what_was_wrong),
        cmocka_unit_test(end_is_told_even_where_children_are_not_reaped),
        cmocka_unit_test(end_is_told_again),
        cmocka_unit_test(ending_this_process_hangs_up_on_its_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
