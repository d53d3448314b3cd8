/* What POSIX systems add to the contract of shared memory: seals, signals, huge pages. */
#include "kernel.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_cannot_be_resized_by_a_peer),
        cmocka_unit_test(attach_refuses_what_could_fault),
        cmocka_unit_test(commit_makes_the_pages_and_keeps_contents),
        cmocka_unit_test(commit_reports_that_memory_is_full),
        cmocka_unit_test(commit_does_without_fallocate),
        cmocka_unit_test(commit_gets_on_under_a_storm_of_signals),
        cmocka_unit_test(huge_pages_are_advised_for_large_memory_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
