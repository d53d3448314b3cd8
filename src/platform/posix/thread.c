#include "posix.h"

#include <stdlib.h>

/* Enough for a runtime's functions, which are called on such threads; the default of some systems
 * is not, and that of others takes much of a limit on memory. */
#define STACK_BYTES (UINT32_C(1) << 20)

struct start {
    void (*work)(void *);
    void *arg;
};

static void *run(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    start.work(start.arg);
    return NULL;
}

static int create(plat_thread *thread, struct start *start)
{
    pthread_attr_t attributes;
    int number = pthread_attr_init(&attributes);
    if (number)
        return number;
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    number = pthread_create(thread, &attributes, run, start);
    pthread_attr_destroy(&attributes);
    return number;
}

zcb_error zcbi_plat_thread_start(plat_thread *thread, void (*work)(void *), void *arg)
{
    struct start *start = malloc(sizeof(*start));
    if (!start)
        return ZCB_ERR_NO_MEMORY;
    *start = (struct start){work, arg};
    int number = create(thread, start);
    if (number) {
        free(start);
        return zcbi_posix_error(number);
    }
    return ZCB_OK;
}

void zcbi_plat_thread_join(plat_thread thread)
{
    pthread_join(thread, NULL);
}
