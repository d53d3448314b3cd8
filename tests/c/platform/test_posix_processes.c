/* What the POSIX side of src/platform/platform.h adds to the contract: descriptors, seals, signals, sessions, fork. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/platform.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define MIB ((size_t)1 << 20)
#define MS INT64_C(1000000)

/* ---- helpers ---- */

static int64_t soon(void)
{
    return zcbi_plat_now_ns() + 20000 * MS;
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* Runs a check in a forked child, where it may spoil limits, signals and descriptors. */
static void assert_in_child(bool (*check)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(check() ? 0 : 1);
    int status;
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* From here on the kernel answers one system call with an error. */
static bool refuse_call(int call, int error)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(steps) / sizeof(*steps), .filter = steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void ignore_signal(int number)
{
    (void)number;
}

static void start_timer(long every_us)
{
    struct sigaction action = {.sa_handler = ignore_signal};
    struct timeval interval = {.tv_usec = every_us};
    struct itimerval timer = {.it_interval = interval, .it_value = interval};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void stop_timer(void)
{
    struct itimerval never = {0};
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_DFL);
}

/* ---- clock ---- */

static bool one_processor_is_counted(void)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    CPU_SET((size_t)sched_getcpu(), &allowed);
    return sched_setaffinity(0, sizeof(allowed), &allowed) == 0 && zcbi_plat_cpu_count() == 1;
}

static void cpu_count_is_what_the_process_may_use(void **state)
{
    (void)state;
    assert_true(zcbi_plat_cpu_count() >= 1);
    assert_in_child(one_processor_is_counted);
}

/* ---- memory ---- */

static void memory_cannot_be_resized_by_a_peer(void **state)
{
    (void)state;
    plat_memory memory;
    assert_int_equal(zcbi_plat_memory_create(MIB, &memory), ZCB_OK);
    assert_int_equal(ftruncate((int)memory.handle, 4096), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate((int)memory.handle, (off_t)(2 * MIB)), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fcntl((int)memory.handle, F_GETFD), FD_CLOEXEC);
    zcbi_plat_memory_unmap(&memory);
    zcbi_plat_memory_release_handle(&memory);
}

static void assert_not_attached(int fd, size_t bytes)
{
    plat_memory memory = {.bytes = 99};
    assert_true(fd >= 0);
    assert_int_equal(zcbi_plat_memory_attach(fd, bytes, &memory), ZCB_ERR_PROTOCOL);
    assert_int_equal(memory.bytes, 99);
    assert_int_equal(close(fd), 0);
}

static void attach_refuses_what_could_fault(void **state)
{
    (void)state;
    plat_memory memory;
    assert_int_equal(zcbi_plat_memory_create(MIB, &memory), ZCB_OK);
    assert_not_attached(dup((int)memory.handle), 2 * MIB);
    assert_not_attached(dup((int)memory.handle), MIB - 4096);
    assert_not_attached(dup((int)memory.handle), 0);
    zcbi_plat_memory_unmap(&memory);
    zcbi_plat_memory_release_handle(&memory);

    int unsealed = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(unsealed, (off_t)MIB), 0);
    assert_not_attached(unsealed, MIB);

    int shrinkable = memfd_create("shrinkable", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(shrinkable, (off_t)MIB), 0);
    assert_int_equal(fcntl(shrinkable, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL), 0);
    assert_not_attached(shrinkable, MIB);

    int read_only = memfd_create("read-only", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(read_only, (off_t)MIB), 0);
    int seals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL;
    assert_int_equal(fcntl(read_only, F_ADD_SEALS, seals), 0);
    assert_not_attached(read_only, MIB);

    assert_not_attached(open("/dev/zero", O_RDWR | O_CLOEXEC), MIB);
}

static void commit_makes_the_pages_and_keeps_contents(void **state)
{
    (void)state;
    plat_memory memory;
    struct stat status;
    assert_int_equal(zcbi_plat_memory_create(16 * MIB, &memory), ZCB_OK);
    assert_int_equal(fstat((int)memory.handle, &status), 0);
    assert_int_equal(status.st_blocks, 0);
    memory.base[5 * MIB] = 9;
    assert_int_equal(zcbi_plat_memory_commit(&memory, 4 * MIB, 5 * MIB), ZCB_OK);
    assert_int_equal(zcbi_plat_memory_commit(&memory, 4 * MIB, 5 * MIB), ZCB_OK);
    zcbi_plat_memory_populate(&memory, 4 * MIB, 5 * MIB);
    assert_int_equal(memory.base[5 * MIB], 9);
    assert_int_equal(fstat((int)memory.handle, &status), 0);
    assert_true((size_t)status.st_blocks * 512 >= 5 * MIB);
    zcbi_plat_memory_unmap(&memory);
    zcbi_plat_memory_release_handle(&memory);
}

static bool full_memory_is_reported(void)
{
    plat_memory memory;
    return zcbi_plat_memory_create(MIB, &memory) == ZCB_OK && refuse_call(SYS_fallocate, ENOSPC) &&
           zcbi_plat_memory_commit(&memory, 0, MIB) == ZCB_ERR_NO_MEMORY;
}

static void commit_reports_that_memory_is_full(void **state)
{
    (void)state;
    assert_in_child(full_memory_is_reported);
}

static bool commits_without_fallocate(void)
{
    plat_memory memory;
    struct stat status;
    return zcbi_plat_memory_create(4 * MIB, &memory) == ZCB_OK &&
           refuse_call(SYS_fallocate, EOPNOTSUPP) &&
           zcbi_plat_memory_commit(&memory, MIB, 3 * MIB) == ZCB_OK &&
           fstat((int)memory.handle, &status) == 0 && (size_t)status.st_blocks * 512 >= 3 * MIB;
}

static void commit_does_without_fallocate(void **state)
{
    (void)state;
    assert_in_child(commits_without_fallocate);
}

static void commit_gets_on_under_a_storm_of_signals(void **state)
{
    (void)state;
    plat_memory memory;
    assert_int_equal(zcbi_plat_memory_create(128 * MIB, &memory), ZCB_OK);
    start_timer(1000);
    zcb_error error = zcbi_plat_memory_commit(&memory, 0, 128 * MIB);
    stop_timer();
    assert_int_equal(error, ZCB_OK);
    zcbi_plat_memory_unmap(&memory);
    zcbi_plat_memory_release_handle(&memory);
}

/* True when some mapping within [start, start + bytes) is advised to be huge. */
static bool is_advised_huge(const void *start, size_t bytes)
{
    uintptr_t first = (uintptr_t)start;
    bool inside = false;
    bool advised = false;
    char line[512];
    FILE *maps = fopen("/proc/self/smaps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        unsigned long from;
        unsigned long to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = from >= first && from < first + bytes;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " hg") != NULL)
            advised = true;
    }
    fclose(maps);
    return advised;
}

static void huge_pages_are_advised_for_large_memory_only(void **state)
{
    (void)state;
    if (access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) != 0)
        skip();
    int protection = PROT_READ | PROT_WRITE;
    unsigned char *memory = mmap(NULL, 8 * MIB, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    zcbi_plat_advise_huge(memory + 100, 4 * MIB - 1);
    assert_false(is_advised_huge(memory, 8 * MIB));
    zcbi_plat_advise_huge(memory + 100, 8 * MIB - 200);
    assert_true(is_advised_huge(
        memory, 8 * MIB)); /* all of it: an allocator's header in front costs nothing */
    munmap(memory, 8 * MIB);
}

/* ---- events and the wait ---- */

static void event_stays_set_until_it_is_cleared(void **state)
{
    (void)state;
    plat_handle event;
    unsigned ready = 9;
    assert_int_equal(zcbi_plat_event_create(&event), ZCB_OK);
    zcbi_plat_event_clear(event);
    assert_int_equal(zcbi_plat_wait(&event, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    assert_int_equal(ready, 9);
    zcbi_plat_event_set(event);
    zcbi_plat_event_set(event);
    assert_int_equal(zcbi_plat_wait(&event, 1, 0, &ready), ZCB_OK);
    assert_int_equal(zcbi_plat_wait(&event, 1, 0, &ready), ZCB_OK);
    assert_int_equal(ready, 0);
    zcbi_plat_event_clear(event);
    assert_int_equal(zcbi_plat_wait(&event, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    assert_int_equal(fcntl((int)event, F_GETFD), FD_CLOEXEC);
    zcbi_plat_close(event);
}

static void setting_a_full_event_does_not_block(void **state)
{
    (void)state;
    plat_handle event;
    unsigned ready;
    uint64_t full = UINT64_MAX - 1;
    assert_int_equal(zcbi_plat_event_create(&event), ZCB_OK);
    assert_int_equal(write((int)event, &full, sizeof(full)), sizeof(full));
    zcbi_plat_event_set(event);
    assert_int_equal(zcbi_plat_wait(&event, 1, 0, &ready), ZCB_OK);
    zcbi_plat_close(event);
}

static void wait_is_ended_by_a_signal(void **state)
{
    (void)state;
    unsigned ready;
    start_timer(20000);
    zcb_error error = zcbi_plat_wait(NULL, 0, ZCB_NEVER, &ready);
    stop_timer();
    assert_int_equal(error, ZCB_ERR_INTERRUPTED);
}

static void wait_refuses_handles_that_are_not_open(void **state)
{
    (void)state;
    plat_handle closed = fcntl(0, F_DUPFD_CLOEXEC, 100);
    unsigned ready;
    zcbi_plat_close(closed);
    assert_int_equal(zcbi_plat_wait(&closed, 1, ZCB_NEVER, &ready), ZCB_ERR_SYSTEM);
}

/* ---- links ---- */

typedef struct link_pair {
    plat_handle a, b;
} link_pair;

static link_pair make_links(void)
{
    link_pair pair;
    assert_int_equal(zcbi_plat_link_pair(&pair.a, &pair.b), ZCB_OK);
    return pair;
}

static void close_links(link_pair *pair)
{
    zcbi_plat_close(pair->a);
    zcbi_plat_close(pair->b);
}

/* Receives into room enough and gives the handles back at once. */
static zcb_error receive(plat_handle link, char *record, size_t *bytes, unsigned *count)
{
    plat_handle handles[PLAT_LINK_HANDLES];
    zcb_error error = zcbi_plat_link_receive(link, record, PLAT_LINK_BYTES, bytes, handles,
                                             PLAT_LINK_HANDLES, count, NULL);
    for (unsigned i = 0; error == ZCB_OK && i < *count; i++)
        zcbi_plat_close(handles[i]);
    return error;
}

static void link_carries_handles_that_programs_do_not_inherit(void **state)
{
    (void)state;
    link_pair pair = make_links();
    plat_handle sent[PLAT_LINK_HANDLES];
    plat_handle received[PLAT_LINK_HANDLES];
    char record[8];
    size_t bytes;
    unsigned count;
    unsigned ready;
    for (int i = 0; i < PLAT_LINK_HANDLES; i++)
        assert_int_equal(zcbi_plat_event_create(&sent[i]), ZCB_OK);
    assert_int_equal(zcbi_plat_link_send(pair.a, "x", 1, sent, PLAT_LINK_HANDLES), ZCB_OK);
    assert_int_equal(zcbi_plat_link_receive(pair.b, record, sizeof(record), &bytes, received,
                                            PLAT_LINK_HANDLES, &count, NULL),
                     ZCB_OK);
    assert_int_equal(count, PLAT_LINK_HANDLES);
    for (int i = 0; i < PLAT_LINK_HANDLES; i++) {
        assert_int_equal(fcntl((int)received[i], F_GETFD), FD_CLOEXEC);
        assert_int_equal(zcbi_plat_wait(&sent[i], 1, 0, &ready), ZCB_ERR_TIMEOUT);
        zcbi_plat_event_set(received[i]);
        assert_int_equal(zcbi_plat_wait(&sent[i], 1, 0, &ready), ZCB_OK);
        zcbi_plat_close(received[i]);
        zcbi_plat_close(sent[i]);
    }
    close_links(&pair);
}

static void link_tells_who_sent_a_record(void **state)
{
    (void)state;
    link_pair pair = make_links();
    char record[8];
    size_t bytes;
    unsigned count;
    unsigned ready;
    int64_t sender = 0;
    int64_t maker = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(zcbi_plat_link_send(pair.a, "x", 1, NULL, 0) == ZCB_OK ? 0 : 1);
    assert_int_equal(zcbi_plat_wait(&pair.b, 1, soon(), &ready), ZCB_OK);
    assert_int_equal(
        zcbi_plat_link_receive(pair.b, record, sizeof(record), &bytes, NULL, 0, &count, &sender),
        ZCB_OK);
    assert_int_equal(sender, pid);
    assert_int_equal(zcbi_plat_link_peer_pid(pair.b, &maker), ZCB_OK);
    assert_int_equal(maker, getpid());
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close_links(&pair);
}

static void send_by_hand(plat_handle link, size_t bytes, unsigned count)
{
    struct iovec piece = {.iov_base = (char[]){"x"}, .iov_len = bytes};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(64 * sizeof(int))];
    } room = {0};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &room,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int)); /* all of them standard input */
    assert_int_equal(sendmsg((int)link, &message, 0), bytes);
}

static void more_handles_than_a_record_carries_are_refused_and_closed(void **state)
{
    (void)state;
    link_pair pair = make_links();
    unsigned before = open_descriptors();
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count;
    int off = 0;
    send_by_hand(pair.a, 1, PLAT_LINK_HANDLES + 1);
    assert_int_equal(receive(pair.b, record, &bytes, &count), ZCB_ERR_PROTOCOL);
    send_by_hand(pair.a, 1, 64);
    assert_int_equal(receive(pair.b, record, &bytes, &count), ZCB_ERR_PROTOCOL);
    assert_int_equal(setsockopt((int)pair.b, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off)), 0);
    send_by_hand(pair.a, 1, 64);
    assert_int_equal(receive(pair.b, record, &bytes, &count), ZCB_ERR_PROTOCOL);
    assert_int_equal(open_descriptors(), before);
    close_links(&pair);
}

static void handles_of_an_empty_record_are_closed(void **state)
{
    (void)state;
    link_pair pair = make_links();
    unsigned before = open_descriptors();
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count;
    send_by_hand(pair.a, 0, 2);
    assert_int_equal(receive(pair.b, record, &bytes, &count), ZCB_ERR_PEER_GONE);
    assert_int_equal(open_descriptors(), before);
    close_links(&pair);
}

static bool lack_of_descriptors_is_told(void)
{
    plat_handle a;
    plat_handle b;
    const plat_handle sent[3] = {0, 1, 2};
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count;
    if (zcbi_plat_link_pair(&a, &b) != ZCB_OK || zcbi_plat_link_send(a, "x", 1, sent, 3) != ZCB_OK)
        return false;
    int lowest_free = dup(0);
    close(lowest_free);
    struct rlimit limit = {.rlim_cur = (rlim_t)lowest_free + 1, .rlim_max = 100};
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 &&
           receive(b, record, &bytes, &count) == ZCB_ERR_NO_HANDLES && dup(0) == lowest_free;
}

static void receiving_tells_that_descriptors_are_used_up(void **state)
{
    (void)state;
    assert_in_child(lack_of_descriptors_is_told);
}

static bool is_inherited(const char *value)
{
    plat_handle link;
    setenv(ZCB_LINK_VARIABLE, value, 1);
    return zcbi_plat_link_inherited(&link) != ZCB_ERR_NOT_FOUND ||
           getenv(ZCB_LINK_VARIABLE) != NULL;
}

static void what_is_no_link_is_not_taken_for_one(void **state)
{
    (void)state;
    plat_handle link;
    int stream[2];
    char number[16];
    unsetenv(ZCB_LINK_VARIABLE);
    assert_int_equal(zcbi_plat_link_inherited(&link), ZCB_ERR_NOT_FOUND);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
    snprintf(number, sizeof(number), "%d", stream[0]);
    const char *const wrong[] = {"",  "x",   "-1", " 3", "3x", "1000", "99999999999999999999",
                                 "0", number};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_false(is_inherited(wrong[i]));
    close(stream[0]);
    close(stream[1]);
}

/* ---- files ---- */

static void file_appends_and_is_read_anywhere(void **state)
{
    (void)state;
    plat_handle file;
    char text[16];
    size_t bytes;
    assert_int_equal(zcbi_plat_file_create(&file), ZCB_OK);
    assert_int_equal(zcbi_plat_file_read(file, 0, text, sizeof(text), &bytes), ZCB_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(write((int)file, "one", 3), 3);
    assert_int_equal(lseek((int)file, 0, SEEK_SET), 0);
    assert_int_equal(write((int)file, "two", 3), 3);
    assert_int_equal(zcbi_plat_file_read(file, 2, text, sizeof(text), &bytes), ZCB_OK);
    assert_int_equal(bytes, 4);
    assert_memory_equal(text, "etwo", 4);
    assert_int_equal(zcbi_plat_file_read(file, 100, text, sizeof(text), &bytes), ZCB_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(fcntl((int)file, F_GETFD), FD_CLOEXEC);
    zcbi_plat_close(file);
}

static void file_forgets_memory_but_no_offset(void **state)
{
    (void)state;
    plat_handle file;
    struct stat status;
    size_t bytes;
    char *text = calloc(1, MIB);
    char last;
    assert_non_null(text);
    memset(text, 'x', MIB);
    assert_int_equal(zcbi_plat_file_create(&file), ZCB_OK);
    assert_int_equal(write((int)file, text, MIB), MIB);
    zcbi_plat_file_forget(file, 0);
    zcbi_plat_file_forget(file, MIB - 1);
    assert_int_equal(fstat((int)file, &status), 0);
    assert_int_equal(status.st_size, MIB);
    assert_true(status.st_blocks * 512 <= 64 * 1024);
    assert_int_equal(zcbi_plat_file_read(file, MIB - 1, &last, 1, &bytes), ZCB_OK);
    assert_int_equal(bytes, 1);
    assert_int_equal(last, 'x');
    free(text);
    zcbi_plat_close(file);
}

/* ---- processes ---- */

/* A started program and this side of what it was given. */
typedef struct started {
    plat_child child;
    plat_handle link, out, err;
} started;

static const char *const no_arguments[] = {NULL};

static zcb_error start(const plat_spawn *wanted, started *program, zcb_detail *why)
{
    plat_handle theirs;
    plat_spawn spawn = *wanted;
    if (zcbi_plat_link_pair(&program->link, &theirs) != ZCB_OK ||
        zcbi_plat_file_create(&program->out) != ZCB_OK ||
        zcbi_plat_file_create(&program->err) != ZCB_OK)
        return ZCB_ERR_SYSTEM;
    spawn.link = theirs;
    spawn.out = program->out;
    spawn.err = program->err;
    zcb_error error = zcbi_plat_process_spawn(&spawn, &program->child, why);
    zcbi_plat_close(theirs);
    if (error == ZCB_OK)
        return ZCB_OK;
    zcbi_plat_close(program->link);
    zcbi_plat_close(program->out);
    zcbi_plat_close(program->err);
    return error;
}

/* Waits for the end; INT_MIN when it does not come. */
static int finish(started *program)
{
    int exit_code;
    unsigned ready;
    if (zcbi_plat_wait(&program->child.process, 1, soon(), &ready) != ZCB_OK ||
        !zcbi_plat_process_ended(&program->child, &exit_code))
        return INT32_MIN;
    zcbi_plat_close(program->child.process);
    zcbi_plat_close(program->link);
    zcbi_plat_close(program->out);
    zcbi_plat_close(program->err);
    return exit_code;
}

/* Runs a program to its end; its output, NUL-terminated, and its exit code. */
static int run(const plat_spawn *wanted, char *out, size_t out_bytes)
{
    started program;
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
    char self[4096];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (bytes < 0)
        return INT32_MIN;
    self[bytes] = '\0';
    const char *const arguments[] = {word, NULL};
    return run(&(plat_spawn){.path = self, .arguments = arguments}, out, out_bytes);
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
    started program;
    char self[4096];
    char record[PLAT_LINK_BYTES];
    plat_handle event;
    size_t bytes;
    unsigned count;
    unsigned ready;
    int64_t sender;
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(length > 0);
    self[length] = '\0';
    const char *const arguments[] = {"link", NULL};
    assert_int_equal(start(&(plat_spawn){.path = self, .arguments = arguments}, &program, NULL),
                     ZCB_OK);
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

static void assert_not_started(const plat_spawn *spawn, zcb_error expected, const char *text)
{
    started program;
    zcb_detail why = {""};
    unsigned before = open_descriptors();
    assert_int_equal(start(spawn, &program, &why), expected);
    assert_non_null(strstr(why.text, text));
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
    assert_int_equal(errno, ECHILD);
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
    started program;
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
    started program;
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

/* ---- paths ---- */

static void programs_are_found_on_path(void **state)
{
    (void)state;
    char path[256];
    char *before = strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent::.:bin:/etc:/bin", 1);
    assert_int_equal(zcbi_plat_find_program("sh", path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/bin/sh");
    assert_int_equal(zcbi_plat_find_program("sh", path, 7), ZCB_ERR_INVALID);
    assert_int_equal(zcbi_plat_find_program("passwd-", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    assert_int_equal(zcbi_plat_find_program("", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    assert_int_equal(zcbi_plat_find_program("../bin/sh", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    unsetenv("PATH");
    assert_int_equal(zcbi_plat_find_program("sh", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    setenv("PATH", before, 1);
    free(before);
}

static void only_files_can_be_executable(void **state)
{
    (void)state;
    assert_true(zcbi_plat_is_executable("/bin/sh"));
    assert_false(zcbi_plat_is_executable("/bin"));
    assert_false(zcbi_plat_is_executable("/etc/passwd"));
    assert_false(zcbi_plat_is_executable("/nonexistent"));
}

static void folders_of_the_user_follow_the_environment(void **state)
{
    (void)state;
    char path[256];
    setenv("HOME", "/home/zcb", 1);
    setenv("XDG_DATA_HOME", "/data", 1);
    setenv("NUGET_PACKAGES", "/packages", 1);
    assert_int_equal(zcbi_plat_data_folder(path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/data");
    assert_int_equal(zcbi_plat_nuget_folder(path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/packages");
    setenv("XDG_DATA_HOME", "not/absolute", 1);
    unsetenv("NUGET_PACKAGES");
    assert_int_equal(zcbi_plat_data_folder(path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/home/zcb/.local/share");
    assert_int_equal(zcbi_plat_nuget_folder(path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/home/zcb/.nuget/packages");
    unsetenv("HOME");
    assert_int_equal(zcbi_plat_data_folder(path, sizeof(path)), ZCB_OK);
    assert_int_equal(path[0], '/');
}

static void paths_are_made_absolute(void **state)
{
    (void)state;
    char path[256];
    assert_int_equal(chdir("/usr"), 0);
    assert_int_equal(zcbi_plat_absolute_path("/bin/sh", path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/bin/sh");
    assert_int_equal(zcbi_plat_absolute_path("./bin/sh", path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/usr/./bin/sh");
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

/* ---------------------------------------------------------------- fork mark, yield */

static bool child_says(bool (*question)(const plat_fork_mark *), const plat_fork_mark *mark)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(question(mark) ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool grandchild_is_forked(const plat_fork_mark *mark)
{
    int status = 1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(zcbi_plat_forked(mark) ? 0 : 1);
    return waitpid(pid, &status, 0) == pid && status == 0;
}

static bool own_mark_is_not_forked(const plat_fork_mark *mark)
{
    plat_fork_mark own;
    zcbi_plat_fork_mark_init(&own);
    bool right = !zcbi_plat_forked(&own) && zcbi_plat_forked(mark);
    zcbi_plat_fork_mark_destroy(&own);
    return right;
}

static void fork_mark_tells_a_child_from_its_parent(void **state)
{
    (void)state;
    plat_fork_mark mark, without;
    zcbi_plat_fork_mark_init(&mark);
    zcbi_plat_fork_mark_init(&without);
    zcbi_plat_fork_mark_destroy(
        &without); /* a system that cannot clear the page compares process ids */
    const plat_fork_mark *const marks[] = {&mark, &without};
    for (int i = 0; i < 2; i++) {
        assert_false(zcbi_plat_forked(marks[i]));
        assert_true(child_says(zcbi_plat_forked, marks[i]));
        assert_true(child_says(grandchild_is_forked, marks[i]));
        assert_true(child_says(own_mark_is_not_forked, marks[i]));
        assert_false(zcbi_plat_forked(marks[i]));
    }
    zcbi_plat_fork_mark_destroy(&mark);
    zcbi_plat_fork_mark_destroy(&mark);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return be_started(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_count_is_what_the_process_may_use),
        cmocka_unit_test(memory_cannot_be_resized_by_a_peer),
        cmocka_unit_test(attach_refuses_what_could_fault),
        cmocka_unit_test(commit_makes_the_pages_and_keeps_contents),
        cmocka_unit_test(commit_reports_that_memory_is_full),
        cmocka_unit_test(commit_does_without_fallocate),
        cmocka_unit_test(commit_gets_on_under_a_storm_of_signals),
        cmocka_unit_test(huge_pages_are_advised_for_large_memory_only),
        cmocka_unit_test(event_stays_set_until_it_is_cleared),
        cmocka_unit_test(setting_a_full_event_does_not_block),
        cmocka_unit_test(wait_is_ended_by_a_signal),
        cmocka_unit_test(wait_refuses_handles_that_are_not_open),
        cmocka_unit_test(link_carries_handles_that_programs_do_not_inherit),
        cmocka_unit_test(link_tells_who_sent_a_record),
        cmocka_unit_test(more_handles_than_a_record_carries_are_refused_and_closed),
        cmocka_unit_test(handles_of_an_empty_record_are_closed),
        cmocka_unit_test(receiving_tells_that_descriptors_are_used_up),
        cmocka_unit_test(what_is_no_link_is_not_taken_for_one),
        cmocka_unit_test(file_appends_and_is_read_anywhere),
        cmocka_unit_test(file_forgets_memory_but_no_offset),
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
        cmocka_unit_test(programs_are_found_on_path),
        cmocka_unit_test(only_files_can_be_executable),
        cmocka_unit_test(folders_of_the_user_follow_the_environment),
        cmocka_unit_test(paths_are_made_absolute),
        cmocka_unit_test(fork_mark_tells_a_child_from_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
