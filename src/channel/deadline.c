/* The public clock and its deadlines. */
#include "platform/platform.h"

#define NS_PER_MS 1000000

int64_t zcb_now_ns(void)
{
    return zcbi_plat_now_ns();
}

int64_t zcb_deadline_ns(int64_t timeout_ms)
{
    if (timeout_ms < 0)
        return ZCB_NEVER;
    int64_t now = zcbi_plat_now_ns();
    if (timeout_ms > (ZCB_NEVER - now) / NS_PER_MS)
        return ZCB_NEVER;
    return now + timeout_ms * NS_PER_MS;
}
