#include "windows.h"

#define NS_PER_SECOND 1000000000

int64_t zcbi_plat_now_ns(void)
{
    LARGE_INTEGER ticks;
    LARGE_INTEGER per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second); /* read from the page that the kernel shares */
    int64_t seconds = ticks.QuadPart / per_second.QuadPart;
    int64_t rest = ticks.QuadPart % per_second.QuadPart;
    int64_t ns = seconds * NS_PER_SECOND + rest * NS_PER_SECOND / per_second.QuadPart;
    return ns > 0 ? ns : 1;
}

unsigned zcbi_plat_cpu_count(void)
{
    DWORD_PTR allowed;
    DWORD_PTR all;
    unsigned count = 0;
    /* Both are 0 for a process with threads in several processor groups. */
    if (GetProcessAffinityMask(GetCurrentProcess(), &allowed, &all))
        for (; allowed != 0; allowed &= allowed - 1)
            count++;
    if (count == 0)
        count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return count > 0 ? count : 1;
}

void zcbi_plat_yield(void)
{
    SwitchToThread();
}

void zcbi_plat_cpu_relax(void)
{
    YieldProcessor();
}
