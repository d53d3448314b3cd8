#include "posix.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

int64_t zcbi_plat_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    return ns > 0 ? ns : 1;
}

unsigned zcbi_plat_cpu_count(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
        return (unsigned)CPU_COUNT(&allowed);
    /* It fails where there are more processors than cpu_set_t has bits. */
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

void zcbi_plat_yield(void)
{
    sched_yield();
}

void zcbi_plat_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#endif
}
