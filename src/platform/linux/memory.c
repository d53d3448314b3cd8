#include "platform/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Linux 5.14. Without it nothing is populated ahead, and memory is committed by fallocate alone,
 * which every kernel's files in memory have. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define HUGE_PAGE_BYTES ((uintptr_t)2 << 20)
#define HUGE_WORTHWHILE_BYTES ((size_t)4 << 20)
/* A signal undoes the fallocate call that it interrupts. In small steps a process with a fast
 * timer, or with .NET's signals, still makes progress. */
#define COMMIT_STEP_BYTES ((size_t)2 << 20)

static bool is_size(size_t bytes)
{
    return bytes > 0 && bytes % PLAT_PAGE_BYTES == 0 && bytes <= (size_t)INT64_MAX;
}

static bool is_range(const plat_memory *memory, size_t offset, size_t bytes)
{
    return offset % PLAT_PAGE_BYTES == 0 && bytes % PLAT_PAGE_BYTES == 0 &&
           offset <= memory->bytes && bytes <= memory->bytes - offset;
}

/* 0 or an errno. On failure fd stays the caller's. */
static int map_memory(int fd, size_t bytes, plat_memory *memory)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED)
        return errno;
    *memory = (plat_memory){.handle = fd, .base = base, .bytes = bytes};
    return 0;
}

/* Beyond the limit (ulimit -f) the kernel sends SIGXFSZ, which ends a process that does not expect
 * it. */
static bool is_within_file_limit(size_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
           bytes <= limit.rlim_cur;
}

zcb_error zcbi_plat_memory_create(size_t bytes, plat_memory *memory)
{
    if (!is_size(bytes))
        return ZCB_ERR_INVALID;
    if (!is_within_file_limit(bytes))
        return zcbi_posix_error(EFBIG);
    int fd = zcbi_posix_memfd("zcb");
    if (fd < 0)
        return zcbi_posix_error(errno);
    int number = 0;
    /* fchmod: a new memfd is readable and writable by everybody. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 || ftruncate(fd, (off_t)bytes) != 0 ||
        fcntl(fd, F_ADD_SEALS, SIZE_SEALS) != 0)
        number = errno;
    else
        number = map_memory(fd, bytes, memory);
    if (number == 0)
        return ZCB_OK;
    close(fd);
    return zcbi_posix_error(number);
}

/* True for a memfd of this size that no process can resize: a mapping of it keeps its pages. */
static bool is_sealed_memory(int fd, size_t bytes)
{
    struct statfs system;
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & SIZE_SEALS) == SIZE_SEALS && fstat(fd, &status) == 0 &&
           status.st_size == (off_t)bytes && fstatfs(fd, &system) == 0 &&
           system.f_type == TMPFS_MAGIC;
}

zcb_error zcbi_plat_memory_attach(plat_handle handle, size_t bytes, plat_memory *memory)
{
    int fd = (int)handle;
    if (!is_size(bytes) || !is_sealed_memory(fd, bytes))
        return ZCB_ERR_PROTOCOL;
    int number = map_memory(fd, bytes, memory);
    if (number == 0)
        return ZCB_OK;
    /* EPERM, EACCES: the other side sealed it against writing, or sent it read-only. */
    return number == EPERM || number == EACCES ? ZCB_ERR_PROTOCOL : zcbi_posix_error(number);
}

void zcbi_plat_memory_poke(plat_handle handle, size_t offset, uint32_t value)
{
    ssize_t written = pwrite((int)handle, &value, sizeof(value), (off_t)offset);
    (void)written;
}

/* 0 or an errno, where touching the pages could be a SIGBUS. */
static int populate_pages(const plat_memory *memory, size_t offset, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE); /* may be larger than PLAT_PAGE_BYTES */
    size_t lead = offset % page;
    while (madvise(memory->base + offset - lead, bytes + lead, MADV_POPULATE_WRITE) != 0)
        if (errno != EINTR && errno != EAGAIN)
            return errno;
    return 0;
}

/* 0 or an errno. */
static int allocate_pages(int fd, size_t offset, size_t bytes)
{
    while (fallocate(fd, 0, (off_t)offset, (off_t)bytes) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

static zcb_error commit_step(const plat_memory *memory, size_t offset, size_t bytes)
{
    int number = EOPNOTSUPP;
    if (memory->handle != PLAT_NO_HANDLE)
        number = allocate_pages((int)memory->handle, offset, bytes);
    if (number == EOPNOTSUPP || number == ENOSYS) {
        number = populate_pages(memory, offset, bytes);
        if (number == EFAULT)
            number = ENOMEM;
    }
    return number == 0 ? ZCB_OK : zcbi_posix_error(number);
}

zcb_error zcbi_plat_memory_commit(const plat_memory *memory, size_t offset, size_t bytes)
{
    if (!is_range(memory, offset, bytes))
        return ZCB_ERR_INVALID;
    while (bytes > 0) {
        size_t step = bytes < COMMIT_STEP_BYTES ? bytes : COMMIT_STEP_BYTES;
        zcb_error error = commit_step(memory, offset, step);
        if (error)
            return error;
        offset += step;
        bytes -= step;
    }
    return ZCB_OK;
}

zcb_error zcbi_plat_memory_ensure(const plat_memory *memory, size_t offset, size_t bytes)
{
    (void)memory;
    (void)offset;
    (void)bytes;
    return ZCB_OK;
}

void zcbi_plat_memory_populate(const plat_memory *memory, size_t offset, size_t bytes)
{
    if (is_range(memory, offset, bytes) && bytes > 0)
        (void)populate_pages(memory, offset, bytes);
}

void zcbi_plat_memory_release_handle(plat_memory *memory)
{
    zcbi_plat_close(memory->handle);
    memory->handle = PLAT_NO_HANDLE;
}

void zcbi_plat_memory_unmap(plat_memory *memory)
{
    if (memory->base)
        munmap(memory->base, memory->bytes);
    memory->base = NULL;
    memory->bytes = 0;
}

void zcbi_plat_advise_huge(void *memory, size_t bytes)
{
    if (bytes < HUGE_WORTHWHILE_BYTES)
        return;
    /* From the huge page that the memory begins in: an allocator's header before it would otherwise
     * cost a huge page's worth of small ones. The kernel skips huge pages that do not lie in one
     * mapping. */
    size_t lead = (size_t)((uintptr_t)memory % HUGE_PAGE_BYTES);
    unsigned char *start = (unsigned char *)memory - lead;
    size_t all = (lead + bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    (void)madvise(start, all, MADV_HUGEPAGE);
}
