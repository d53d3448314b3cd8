/* Windows has no fork. */
#include "windows.h"

void zcbi_plat_fork_mark_init(plat_fork_mark *mark)
{
    *mark = (plat_fork_mark){.pid = zcbi_plat_getpid()};
}

void zcbi_plat_fork_mark_destroy(plat_fork_mark *mark)
{
    (void)mark;
}

bool zcbi_plat_forked(const plat_fork_mark *mark)
{
    (void)mark;
    return false;
}
