#include "cancel.h"

#include <stdlib.h>

zcb_error zcb_cancel_create(zcb_cancel **cancel)
{
    if (!cancel)
        return ZCB_ERR_INVALID;
    zcb_cancel *made = calloc(1, sizeof(*made));
    if (!made)
        return ZCB_ERR_NO_MEMORY;
    zcb_error error = zcbi_plat_event_create(&made->event);
    if (error) {
        free(made);
        return error;
    }
    made->owner = zcbi_plat_getpid();
    *cancel = made;
    return ZCB_OK;
}

void zcb_cancel_set(zcb_cancel *cancel)
{
    if (cancel->owner != zcbi_plat_getpid())
        return;
    atomic_store(&cancel->set, 1); /* partner: wait_is_cancelled */
    zcbi_plat_event_set(cancel->event);
}

void zcb_cancel_reset(zcb_cancel *cancel)
{
    if (cancel->owner != zcbi_plat_getpid())
        return;
    zcbi_plat_event_clear(cancel->event);
    atomic_store(&cancel->set, 0); /* partner: wait_is_cancelled */
}

void zcb_cancel_free(zcb_cancel *cancel)
{
    if (!cancel)
        return;
    zcbi_plat_close(cancel->event);
    free(cancel);
}
