#include "pace.h"

#include "cancel.h"

#define PACE_NS 20000000 /* between two calls of `interrupted` */
/* A call copies this much before it looks at wait->watch: ending it earlier would cost more. */
#define UNWATCHED_BYTES (UINT64_C(1) << 20)

void zcbi_pace_init(struct pace *pace, const zcb_wait *wait)
{
    *pace = (struct pace){.wait = wait, .next_ns = ZCB_NEVER};
    if (wait && (wait->interrupted || wait->cancel))
        pace->next_ns = zcbi_plat_now_ns() + PACE_NS;
}

zcb_error zcbi_pace_check(struct pace *pace)
{
    if (pace->watched.ready && pace->copied >= UNWATCHED_BYTES &&
        pace->watched.ready(pace->watched.arg))
        return ZCB_ERR_WATCHED;
    if (pace->next_ns == ZCB_NEVER)
        return ZCB_OK;
    if (wait_is_cancelled(pace->wait))
        return ZCB_ERR_CANCELLED;
    int64_t now = zcbi_plat_now_ns();
    if (now < pace->next_ns)
        return ZCB_OK;
    pace->next_ns = now + PACE_NS;
    if (pace->wait->interrupted && pace->wait->interrupted(pace->wait->arg))
        return ZCB_ERR_INTERRUPTED;
    return ZCB_OK;
}
