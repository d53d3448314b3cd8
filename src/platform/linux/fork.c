#include "platform/posix/posix.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 /* Linux 4.14 */
#endif

/* A page that the kernel clears in a forked child. Reading it needs no system call. NULL: there is
 * none. */
static _Atomic uint32_t *map_mark(void)
{
    void *page =
        mmap(NULL, PLAT_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, PLAT_PAGE_BYTES, MADV_WIPEONFORK) == 0)
        return page;
    munmap(page, PLAT_PAGE_BYTES);
    return NULL;
}

void zcbi_plat_fork_mark_init(plat_fork_mark *mark)
{
    *mark = (plat_fork_mark){.mark = map_mark(), .pid = getpid()};
    if (mark->mark)
        atomic_init(mark->mark, 1);
}

void zcbi_plat_fork_mark_destroy(plat_fork_mark *mark)
{
    if (mark->mark)
        munmap(mark->mark, PLAT_PAGE_BYTES);
    mark->mark = NULL;
}

bool zcbi_plat_forked(const plat_fork_mark *mark)
{
    /* Only the kernel changes the mark later. partner: zcbi_plat_fork_mark_init */
    return mark->mark ? atomic_load_explicit(mark->mark, memory_order_relaxed) == 0
                      : mark->pid != getpid();
}
