#include "waiter.h"

#include "doorbell.h"

static bool waiter_told(void *arg)
{
    return atomic_load(&((struct waiter *)arg)->told) != 0;
}

zcb_error zcbi_waiter_init(struct waiter *waiter)
{
    *waiter = (struct waiter){0};
    return zcbi_plat_event_create(&waiter->event);
}

void zcbi_waiter_destroy(struct waiter *waiter)
{
    zcbi_plat_close(waiter->event);
}

void zcbi_waiter_tell(struct waiter *waiter)
{
    atomic_store(&waiter->told, 1);
    doorbell_ring(&waiter->asleep, waiter->event);
}

struct source zcbi_waiter_source(struct waiter *waiter)
{
    return (struct source){waiter_told, waiter, &waiter->asleep, waiter->event};
}
