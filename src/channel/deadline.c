/* The public clock. */
#include "platform/platform.h"

int64_t zcb_now_ns(void)
{
    return zcbi_plat_now_ns();
}

int64_t zcb_deadline_ns(int64_t timeout_ms)
{
    if (timeout_ms < 0)
        return ZCB_NEVER;
    int64_t now = zcbi_plat_now_ns();
    if (timeout_ms > (ZCB_NEVER - now) / 1000000)
        return ZCB_NEVER;
    return now + timeout_ms * 1000000;
}
