#include "windows.h"

#include <stdlib.h>

struct start {
    void (*work)(void *);
    void *arg;
};

static DWORD WINAPI run(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    start.work(start.arg);
    return 0;
}

zcb_error zcbi_plat_thread_start(plat_thread *thread, void (*work)(void *), void *arg)
{
    struct start *start = malloc(sizeof(*start));
    if (!start)
        return ZCB_ERR_NO_MEMORY;
    *start = (struct start){work, arg};
    HANDLE handle = CreateThread(NULL, 0, run, start, 0, NULL);
    if (!handle) {
        free(start);
        return zcbi_windows_error(GetLastError());
    }
    *thread = (plat_thread)handle;
    return ZCB_OK;
}

void zcbi_plat_thread_join(plat_thread thread)
{
    WaitForSingleObject(windows_handle(thread), INFINITE);
    zcbi_plat_close(thread);
}
