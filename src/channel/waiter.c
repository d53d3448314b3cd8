#include "waiter.h"

#include "doorbell.h"

static bool waiter_is_woken(void *arg)
{
    return atomic_load(&((struct waiter *)arg)->woken) != 0; /* partner: zcbi_waiter_wake */
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

void zcbi_waiter_wake(struct waiter *waiter)
{
    atomic_store(&waiter->woken, 1); /* partner: waiter_is_woken, sleep_in_standby */
    doorbell_ring(&waiter->asleep, waiter->event);
}

struct source zcbi_waiter_source(struct waiter *waiter)
{
    return (struct source){waiter_is_woken, waiter, &waiter->asleep, waiter->event};
}
