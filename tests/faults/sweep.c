/*
 * Runs each scenario again and again, each time with another call failing, in each way that this call can
 * fail, until there is no further call. After each run nothing may be left: allocations, descriptors, shared
 * mappings, child processes.
 *
 *     faults [--stride=N] [SCENARIO...]
 *
 * With a stride only every N-th call fails.
 */
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_LIMIT_S 60
#define ERRORS 32
#define MOST_FAILURES 40 /* that are printed */

const struct scenario scenarios[] = {
    {"finding", PROGRAM, run_finding},       {"channel", PROGRAM, run_channel},
    {"agent", PROGRAM, run_agent},           {"session", PROGRAM, run_session},
    {"session-engine", ENGINE, run_session},
};
const size_t scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);

static struct plan *plan;
static const struct scenario *scenario;

/* ---------------------------------------------------------------- what was seen */

static _Atomic unsigned failures;
static _Atomic unsigned seen[ERRORS]; /* errors that calls returned after a fault */
static bool failed_before_step;
static const char *_Atomic late; /* what went wrong in a step after the fault */

static void fail(const char *what, const char *detail)
{
    if (atomic_fetch_add(&failures, 1) >= MOST_FAILURES)
        return;
    fprintf(stderr, "%s: call %" PRIu64 ": ", scenario->name, plan->fail_at);
    if (atomic_load(&plan->has_failed))
        fprintf(stderr, "%s failed with %s: ", plan->function, strerrorname_np(plan->number));
    fprintf(stderr, "%s %s\n", what, detail);
}

static bool fault_in_this_step(void)
{
    return atomic_load(&plan->has_failed) && !failed_before_step;
}

zcb_error call_ended(const char *function, zcb_error error, zcb_error expected)
{
    if (error == expected)
        return error;
    if (error != ZCB_OK && atomic_load(&plan->has_failed))
        atomic_fetch_add(&seen[error < ERRORS ? (unsigned)error : 0], 1);
    if (!is_documented(function, error))
        fail(function, zcb_error_name(error));
    else if (error == ZCB_ERR_TIMEOUT)
        fail(function, "waited in vain");
    else if (error != ZCB_OK && plan->number == EINTR && atomic_load(&plan->has_failed))
        fail(function, "did not ignore a signal");
    else if (!atomic_load(&plan->has_failed))
        fail(function, zcb_error_name(error));
    else if (!fault_in_this_step())
        atomic_store(&late, function);
    return error;
}

bool right(bool holds, const char *what)
{
    if (!holds && !atomic_load(&plan->has_failed))
        fail("wrong:", what);
    else if (!holds && !fault_in_this_step())
        atomic_store(&late, what);
    return holds;
}

bool always(bool holds, const char *what)
{
    if (!holds)
        fail("wrong:", what);
    return holds;
}

void next_step(void)
{
    failed_before_step = atomic_load(&plan->has_failed);
}

void suspend_faults(void)
{
    atomic_store(&plan->side, NOBODY);
}

void resume_faults(void)
{
    atomic_store(&plan->side, (int)scenario->side);
}

void conclude(bool over)
{
    const char *what = atomic_load(&late);
    if (what && !over)
        fail("though the session goes on, this did not work later:", what);
}

/* ---------------------------------------------------------------- what must not be left */

struct belongings {
    long allocations;
    unsigned descriptors;
    unsigned mappings;
};

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static unsigned count_mappings(void)
{
    unsigned count = 0;
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return 0;
    while (fgets(line, sizeof(line), maps))
        if (strstr(line, "memfd:zcb"))
            count++;
    (void)fclose(maps);
    return count;
}

static struct belongings take_stock(void)
{
    return (struct belongings){allocations_outstanding(), count_descriptors(), count_mappings()};
}

static void compare(const struct belongings *before, const struct belongings *after)
{
    char text[64];
    snprintf(text, sizeof(text), "%ld", after->allocations - before->allocations);
    if (after->allocations != before->allocations)
        fail("allocations left:", text);
    snprintf(text, sizeof(text), "%d", (int)after->descriptors - (int)before->descriptors);
    if (after->descriptors != before->descriptors)
        fail("descriptors left:", text);
    snprintf(text, sizeof(text), "%d", (int)after->mappings - (int)before->mappings);
    if (after->mappings != before->mappings)
        fail("mappings left:", text);
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
        fail("a child process is left", "");
}

/* ---------------------------------------------------------------- sweeping */

/* Returns how many calls there were that could have failed. */
static uint64_t run_once(uint64_t fail_at, unsigned way)
{
    struct belongings before = take_stock();
    atomic_store(&plan->calls, 0);
    atomic_store(&plan->has_failed, false);
    atomic_store(&late, NULL);
    plan->fail_at = fail_at;
    plan->way = way;
    plan->ways = 0;
    failed_before_step = false;
    alarm(RUN_LIMIT_S);
    resume_faults();
    scenario->run();
    suspend_faults();
    alarm(0);
    struct belongings after = take_stock();
    compare(&before, &after);
    return atomic_load(&plan->calls);
}

static void print_summary(uint64_t calls, uint64_t faults)
{
    printf("%s: %" PRIu64 " calls swept, %" PRIu64 " faults, %u failures; errors seen:",
           scenario->name, calls, faults, atomic_load(&failures));
    for (unsigned i = 1; i < ERRORS; i++)
        if (seen[i] > 0)
            printf(" %s %u", zcb_error_name((zcb_error)i) + strlen("ZCB_ERR_"), seen[i]);
    printf("\n");
}

/* How many calls a run makes depends on the scheduler, so the longest one counts. */
static int sweep(uint64_t stride)
{
    uint64_t faults = 0;
    uint64_t most = run_once(0, 0);
    for (uint64_t n = 1; n <= most && atomic_load(&failures) < MOST_FAILURES; n += stride) {
        for (unsigned way = 0; way == 0 || way < plan->ways; way++) {
            uint64_t calls = run_once(n, way);
            if (calls > most)
                most = calls;
            if (atomic_load(&plan->has_failed))
                faults++;
        }
    }
    print_summary(most, faults);
    return failures == 0 ? 0 : 1;
}

/* In a process of its own: says what it was at when it is killed. */
static bool sweep_apart(uint64_t stride)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        exit(sweep(stride));
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (WIFSIGNALED(status))
        fail(WTERMSIG(status) == SIGALRM ? "hung" : "was killed by",
             WTERMSIG(status) == SIGALRM ? "" : strsignal(WTERMSIG(status)));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool is_wanted(const char *name, char **wanted)
{
    bool any = *wanted == NULL;
    for (; *wanted; wanted++)
        any = any || strcmp(*wanted, name) == 0;
    return any;
}

int main(int argc, char **argv)
{
    static const char stride_option[] = "--stride=";
    uint64_t stride = 1;
    char **wanted = argv + 1;
    if (argc > 1 && strncmp(argv[1], stride_option, strlen(stride_option)) == 0) {
        stride = strtoull(argv[1] + strlen(stride_option), NULL, 10);
        wanted++;
    }
    plan = plan_create();
    if (!plan || stride == 0) {
        fprintf(stderr, "usage: faults [--stride=N] [SCENARIO...]\n");
        return 2;
    }
    bool good = true;
    for (size_t i = 0; i < scenario_count; i++) {
        scenario = &scenarios[i];
        if (is_wanted(scenario->name, wanted))
            good = sweep_apart(stride) && good;
    }
    return good ? 0 : 1;
}
