#include "sweep.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN_S 30 /* whoever runs into it fails */
#define SPIN_NS 100000
#define FIRST_OF_ALL (-20) /* a nice value */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#if defined(SANITIZED)
#define MOST_DELAY_NS (1000 * MS) /* a sanitizer's memory takes its time to go */
#else
#define MOST_DELAY_NS (100 * MS)
#endif

static bool own_shm;
static bool own_tmp;
static bool own_sockets;

/* ---------------------------------------------------------------- runs */

static uint64_t number_after(int argc, char **argv, const char *name, uint64_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return strtoull(argv[i + 1], NULL, 0);
    return otherwise;
}

struct sweep sweep_options(int argc, char **argv, unsigned runs)
{
    uint64_t fresh = mix((uint64_t)zcbi_plat_now_ns() ^ (uint64_t)getpid()) >> 32;
    struct sweep sweep = {.runs = (unsigned)number_after(argc, argv, "--runs", runs),
                          .seed = number_after(argc, argv, "--seed", fresh)};
    print_message("--runs %u --seed %llu\n", sweep.runs, (unsigned long long)sweep.seed);
    return sweep;
}

uint64_t sweep_random(const struct sweep *sweep, unsigned run)
{
    return mix(sweep->seed * 1000003 + run);
}

static volatile unsigned guarded_run;

static void report_hang(int number)
{
    char text[64];
    (void)number;
    int bytes = snprintf(text, sizeof(text), "run %u hangs\n", guarded_run);
    ssize_t written = write(STDERR_FILENO, text, (size_t)bytes);
    (void)written;
    abort();
}

void sweep_guard(unsigned run)
{
    guarded_run = run;
    signal(SIGALRM, report_hang);
    alarm(RUN_S);
}

/* ---------------------------------------------------------------- isolation */

/* True when this program itself does not lie there. */
static bool mount_own(const char *folder)
{
    char self[4096] = "";
    size_t bytes = strlen(folder);
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 ||
        (strncmp(self, folder, bytes) == 0 && self[bytes] == '/'))
        return false;
    return mount("tmpfs", folder, "tmpfs", 0, NULL) == 0;
}

void isolate(void)
{
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    (void)setpriority(PRIO_PROCESS, 0, FIRST_OF_ALL);
    own_sockets = unshare(CLONE_NEWNET) == 0;
    bool own_mounts =
        unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    own_shm = own_mounts && mount_own("/dev/shm");
    own_tmp = own_mounts && mount_own("/tmp");
    print_message("counted: processes, descriptors, mappings%s%s%s\n",
                  own_sockets ? ", sockets" : "", own_shm ? ", /dev/shm" : "",
                  own_tmp ? ", /tmp" : "");
}

/* ---------------------------------------------------------------- moments */

int64_t random_ns(uint64_t *random, int64_t least, int64_t most)
{
    unsigned octaves = 0;
    while (least << (octaves + 1) <= most)
        octaves++;
    int64_t low = least << next_random(random) % (octaves + 1);
    int64_t ns = low + (int64_t)(next_random(random) % (uint64_t)low);
    return ns < most ? ns : most;
}

void pass_ns(int64_t ns)
{
    int64_t end = zcbi_plat_now_ns() + ns;
    struct timespec most = {.tv_sec = ns / (1000 * MS), .tv_nsec = ns % (1000 * MS)};
    if (ns > SPIN_NS)
        nanosleep(&most, NULL);
    while (zcbi_plat_now_ns() < end)
        zcbi_plat_cpu_relax();
}

int64_t starved_ns(void)
{
    long long ns = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file && fscanf(file, "%*s %lld", &ns) != 1)
        ns = 0;
    if (file)
        fclose(file);
    return ns;
}

/* ---------------------------------------------------------------- stopping */

/* A letter of proc_pid_stat(5): 'T' for a stopped one; 0 when there is no such thread. */
static char state_of(pid_t pid, const char *thread)
{
    char path[400], state = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", pid, thread);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    fclose(file);
    return state;
}

static bool runs(pid_t pid)
{
    char path[64];
    bool any = false;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (!threads)
        return false;
    for (const struct dirent *entry; !any && (entry = readdir(threads)) != NULL;) {
        char state = entry->d_name[0] == '.' ? 0 : state_of(pid, entry->d_name);
        any = state != 0 && !strchr("TZX", state);
    }
    closedir(threads);
    return any;
}

void stop_process(pid_t pid)
{
    (void)kill(pid, SIGSTOP);
    while (runs(pid))
        sched_yield();
}

void continue_process(pid_t pid)
{
    (void)kill(pid, SIGCONT);
}

/* ---------------------------------------------------------------- what is left behind */

static unsigned entries(const char *folder)
{
    unsigned count = 0;
    DIR *open = opendir(folder);
    assert_non_null(open);
    while (readdir(open) != NULL)
        count++;
    closedir(open);
    return count;
}

static unsigned lines_with(const char *path, const char *text)
{
    char line[4096];
    unsigned count = 0;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        count += strstr(line, text) != NULL;
    fclose(file);
    return count;
}

struct footprint footprint_now(void)
{
    return (struct footprint){
        .descriptors = open_descriptors(),
        .mappings = lines_with("/proc/self/maps", "/memfd:zcb"),
        .sockets = own_sockets ? lines_with("/proc/net/unix", "") : 0,
        .files = (own_shm ? entries("/dev/shm") : 0) + (own_tmp ? entries("/tmp") : 0),
    };
}

/* SIGHUP is what the library ends an engine's own children with. */
static bool ended_well(int status)
{
    return WIFEXITED(status) || WTERMSIG(status) == SIGHUP || WTERMSIG(status) == SIGKILL;
}

void assert_nothing_left(const struct footprint *before)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR)
        if (pid > 0 && !ended_well(status))
            fail_msg("process %d ended by signal %d", pid, WTERMSIG(status));
    struct footprint now = footprint_now();
    assert_int_equal(now.descriptors, before->descriptors);
    assert_int_equal(now.mappings, before->mappings);
    assert_int_equal(now.sockets, before->sockets);
    assert_int_equal(now.files, before->files);
}

void sweep_phases(const struct sweep *sweep, unsigned phases,
                  void (*run_once)(uint64_t random, unsigned phase))
{
    struct footprint before = footprint_now();
    for (unsigned run = 0; run < sweep->runs; run++) {
        sweep_guard(run);
        run_once(sweep_random(sweep, run), run % phases);
        assert_nothing_left(&before);
    }
}

void exit_with(const char *what)
{
    fprintf(stderr, "the program failed: %s\n", what);
    _exit(1);
}

/* ---------------------------------------------------------------- delays */

void delays_add(struct delays *delays, int64_t ns, int64_t starved)
{
    if (delays->count == delays->capacity) {
        delays->capacity = delays->capacity ? 2 * delays->capacity : 1024;
        delays->ns = realloc(delays->ns, delays->capacity * sizeof(*delays->ns));
        assert_non_null(delays->ns);
    }
    delays->ns[delays->count++] = ns > 0 ? ns : 0;
    if (ns - starved > delays->longest_fed)
        delays->longest_fed = ns - starved;
}

static int by_length(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static double in_ms(int64_t ns)
{
    return (double)ns / (double)MS;
}

void delays_report(struct delays *delays, const char *what)
{
    const int64_t *ns = delays->ns;
    size_t count = delays->count;
    int64_t longest_fed = delays->longest_fed;
    if (count == 0)
        return;
    qsort(delays->ns, count, sizeof(*ns), by_length);
    print_message("%s: %zu, median %.3f ms, p99 %.3f ms, max %.3f ms (%.3f ms of its own)\n", what,
                  count, in_ms(ns[count / 2]), in_ms(ns[count * 99 / 100]), in_ms(ns[count - 1]),
                  in_ms(longest_fed));
    free(delays->ns);
    *delays = (struct delays){0};
    assert_in_range(longest_fed, 0, MOST_DELAY_NS);
}
