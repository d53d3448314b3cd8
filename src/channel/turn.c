#include "turn.h"

#include <stddef.h>

void zcbi_turn_init(struct turn *turn)
{
    *turn = (struct turn){0};
    zcbi_plat_mutex_init(&turn->lock);
}

void zcbi_turn_destroy(struct turn *turn)
{
    zcbi_plat_mutex_destroy(&turn->lock);
}

static void append(struct turn *turn, struct waiter *waiter)
{
    struct waiter **link = &turn->first;
    while (*link)
        link = &(*link)->next;
    *link = waiter;
}

/* False when it is not in line: the turn was given to it. */
static bool leave_line(struct turn *turn, const struct waiter *waiter)
{
    struct waiter **link = &turn->first;
    while (*link && *link != waiter)
        link = &(*link)->next;
    if (!*link)
        return false;
    *link = waiter->next;
    return true;
}

static zcb_error wait_in_line(struct turn *turn, struct waiter *waiter,
                              const struct source *watched, const zcb_wait *wait)
{
    struct source sources[2] = {zcbi_waiter_source(waiter)};
    if (watched)
        sources[1] = *watched;
    zcb_error error = zcbi_wait_any(sources, watched ? 2 : 1, PLAT_NO_HANDLE, &waiter->spin, wait);
    zcbi_plat_mutex_lock(&turn->lock);
    bool given = !leave_line(turn, waiter); /* perhaps while the wait ended */
    zcbi_plat_mutex_unlock(&turn->lock);
    if (given && error == ZCB_ERR_INTERRUPTED)
        zcbi_turn_give(turn);
    else if (given)
        error = ZCB_OK;
    else if (!error)
        error = watched && watched->ready(watched->arg) ? ZCB_ERR_WATCHED : ZCB_ERR_CLOSED;
    return error;
}

zcb_error zcbi_turn_take(struct turn *turn, const zcb_wait *wait)
{
    return zcbi_turn_take_unless(turn, NULL, wait);
}

zcb_error zcbi_turn_take_unless(struct turn *turn, const struct source *watched,
                                const zcb_wait *wait)
{
    zcbi_plat_mutex_lock(&turn->lock);
    if (!turn->taken) {
        turn->taken = true;
        zcbi_plat_mutex_unlock(&turn->lock);
        return ZCB_OK;
    }
    struct waiter waiter;
    zcb_error error = turn->ended ? ZCB_ERR_CLOSED : zcbi_waiter_init(&waiter);
    if (!error)
        append(turn, &waiter);
    zcbi_plat_mutex_unlock(&turn->lock);
    if (error)
        return error;
    error = wait_in_line(turn, &waiter, watched, wait);
    zcbi_waiter_destroy(&waiter);
    return error;
}

void zcbi_turn_give(struct turn *turn)
{
    zcbi_plat_mutex_lock(&turn->lock);
    struct waiter *next = turn->first;
    if (next) {
        turn->first = next->next;
        zcbi_waiter_tell(next);
    } else {
        turn->taken = false;
    }
    zcbi_plat_mutex_unlock(&turn->lock);
}

void zcbi_turn_end(struct turn *turn)
{
    zcbi_plat_mutex_lock(&turn->lock);
    turn->ended = true;
    for (struct waiter *waiter = turn->first; waiter; waiter = waiter->next)
        zcbi_waiter_tell(waiter);
    zcbi_plat_mutex_unlock(&turn->lock);
}
