#include "turn.h"

#include <stddef.h>

static bool waiter_told(void *arg)
{
    return atomic_load(&((struct waiter *)arg)->told) != 0;
}

zcb_error waiter_init(struct waiter *waiter)
{
    *waiter = (struct waiter){0};
    return plat_event_create(&waiter->event);
}

void waiter_destroy(struct waiter *waiter)
{
    plat_close(waiter->event);
}

void waiter_tell(struct waiter *waiter)
{
    atomic_store(&waiter->told, 1);
    wait_ring(&waiter->asleep, waiter->event);
}

struct source waiter_source(struct waiter *waiter)
{
    return (struct source){waiter_told, waiter, &waiter->asleep, waiter->event};
}

void turn_init(struct turn *turn)
{
    *turn = (struct turn){0};
    plat_mutex_init(&turn->lock);
}

void turn_destroy(struct turn *turn)
{
    plat_mutex_destroy(&turn->lock);
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
    struct source sources[2] = {waiter_source(waiter)};
    if (watched)
        sources[1] = *watched;
    zcb_error error = wait_any(sources, watched ? 2 : 1, PLAT_NO_HANDLE, &waiter->spin, wait);
    plat_mutex_lock(&turn->lock);
    bool given = !leave_line(turn, waiter); /* perhaps while the wait ended */
    plat_mutex_unlock(&turn->lock);
    if (given && error == ZCB_ERR_INTERRUPTED)
        turn_give(turn);
    else if (given)
        error = ZCB_OK;
    else if (!error)
        error = watched && watched->ready(watched->arg) ? ZCB_ERR_WATCHED : ZCB_ERR_CLOSED;
    return error;
}

zcb_error turn_take(struct turn *turn, const zcb_wait *wait)
{
    return turn_take_unless(turn, NULL, wait);
}

zcb_error turn_take_unless(struct turn *turn, const struct source *watched, const zcb_wait *wait)
{
    plat_mutex_lock(&turn->lock);
    if (!turn->taken) {
        turn->taken = true;
        plat_mutex_unlock(&turn->lock);
        return ZCB_OK;
    }
    struct waiter waiter;
    zcb_error error = turn->ended ? ZCB_ERR_CLOSED : waiter_init(&waiter);
    if (!error)
        append(turn, &waiter);
    plat_mutex_unlock(&turn->lock);
    if (error)
        return error;
    error = wait_in_line(turn, &waiter, watched, wait);
    waiter_destroy(&waiter);
    return error;
}

void turn_give(struct turn *turn)
{
    plat_mutex_lock(&turn->lock);
    struct waiter *next = turn->first;
    if (next) {
        turn->first = next->next;
        waiter_tell(next);
    } else {
        turn->taken = false;
    }
    plat_mutex_unlock(&turn->lock);
}

void turn_end(struct turn *turn)
{
    plat_mutex_lock(&turn->lock);
    turn->ended = true;
    for (struct waiter *waiter = turn->first; waiter; waiter = waiter->next)
        waiter_tell(waiter);
    plat_mutex_unlock(&turn->lock);
}
