#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PLAN_VARIABLE "ZCB_FAULT_PLAN"

static struct plan *plan;
static enum side this_side = PROGRAM;
static char variable[64];

const char *plan_variable(void)
{
    return variable;
}

static struct plan *map_plan(int fd)
{
    void *mapped = mmap(NULL, sizeof(struct plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

/* The descriptor stays open: the engine opens it by its name in /proc. */
struct plan *plan_create(void)
{
    int fd = memfd_create("plan", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, sizeof(struct plan)) != 0)
        return NULL;
    plan = map_plan(fd);
    snprintf(variable, sizeof(variable), PLAN_VARIABLE "=/proc/%ld/fd/%d", (long)getpid(), fd);
    return plan;
}

/* In an engine: the plan of the program that started it. */
__attribute__((constructor)) static void find_plan(void)
{
    const char *path = getenv(PLAN_VARIABLE);
    if (path == NULL)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    plan = fd < 0 ? NULL : map_plan(fd);
    if (plan == NULL)
        abort();
    close(fd);
    unsetenv(PLAN_VARIABLE);
    this_side = ENGINE;
}

static unsigned count_of(const int *numbers)
{
    unsigned count = 0;
    while (numbers[count] != 0)
        count++;
    return count;
}

bool plan_fails(const char *function, const int *numbers)
{
    if (plan == NULL || atomic_load(&plan->side) != (int)this_side)
        return false;
    if (atomic_fetch_add(&plan->calls, 1) + 1 != plan->fail_at)
        return false;
    plan->ways = count_of(numbers);
    if (plan->way >= plan->ways)
        return false;
    plan->number = numbers[plan->way];
    snprintf(plan->function, sizeof(plan->function), "%s", function);
    atomic_store(&plan->has_failed, true);
    errno = numbers[plan->way];
    return true;
}
