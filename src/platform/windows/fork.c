/* No process is a copy of another one here. */
#include "windows.h"

void plat_fork_mark_init(plat_fork_mark *mark)
{
    *mark = (plat_fork_mark){.pid = plat_getpid()};
}

void plat_fork_mark_destroy(plat_fork_mark *mark)
{
    (void)mark;
}

bool plat_forked(const plat_fork_mark *mark)
{
    (void)mark;
    return false;
}
