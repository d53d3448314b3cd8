#include "limit.h"

void zcbi_limit_init(struct limit *limit, const zcb_wait *wait)
{
    int64_t least_ns = zcbi_plat_now_ns() + READ_ON_NS;
    zcbi_pace_init(&limit->pace, wait);
    limit->end_ns = wait_deadline(wait) > least_ns ? wait_deadline(wait) : least_ns;
}

zcb_error zcbi_limit_check(struct limit *limit)
{
    if (limit->end_ns != ZCB_NEVER && zcbi_plat_now_ns() >= limit->end_ns)
        return ZCB_ERR_TIMEOUT;
    return zcbi_pace_check(&limit->pace);
}
