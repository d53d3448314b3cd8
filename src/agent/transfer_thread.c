/* The threads of a bridge's own, one each direction at most: they go on where the pipeline has
 * something else to do. */
#include "agent.h"

#include <stdlib.h>

static void run(void *arg)
{
    struct transfer_thread *self = arg;
    zcb_agent *agent = self->end->agent;
    self->work(self);
    zcb_cancel_free(self->wake);
    zcbi_bridge_end_release(self->end);
    zcbi_plat_mutex_lock(&agent->lock);
    self->has_ended = true;
    zcbi_plat_mutex_unlock(&agent->lock);
}

struct transfer_thread *zcbi_transfer_thread_start(struct bridge_end *end,
                                                   void (*work)(struct transfer_thread *self))
{
    zcb_agent *agent = end->agent;
    struct transfer_thread *made = malloc(sizeof(*made));
    if (!made)
        return NULL;
    *made = (struct transfer_thread){.end = end, .work = work, .next = agent->threads};
    if (zcb_cancel_create(&made->wake)) {
        free(made);
        return NULL;
    }
    zcbi_bridge_end_keep(end);
    if (zcbi_plat_thread_start(&made->thread, run, made)) {
        zcb_cancel_free(made->wake);
        free(made);
        /* The caller has another one. partner: zcbi_bridge_end_release */
        atomic_fetch_sub(&end->references, 1);
        return NULL;
    }
    agent->threads = made;
    return made;
}

void zcbi_transfer_thread_sleep(const struct transfer_thread *self)
{
    static const plat_handle none = PLAT_NO_HANDLE;
    zcb_wait wait = {.deadline_ns = ZCB_NEVER, .cancel = self->wake};
    unsigned which;
    (void)zcbi_wait_handles(&none, 1, &wait, &which);
    zcb_cancel_reset(self->wake);
}

/* Under the lock: takes one out of the list, or gives NULL. */
static struct transfer_thread *take(zcb_agent *agent, bool all)
{
    struct transfer_thread **link = &agent->threads;
    while (*link && !all && !(*link)->has_ended)
        link = &(*link)->next;
    struct transfer_thread *taken = *link;
    if (taken)
        *link = taken->next;
    return taken;
}

void zcbi_transfer_threads_join(zcb_agent *agent, bool all)
{
    for (;;) {
        zcbi_plat_mutex_lock(&agent->lock);
        struct transfer_thread *thread = take(agent, all);
        zcbi_plat_mutex_unlock(&agent->lock);
        if (!thread)
            return;
        zcbi_plat_thread_join(thread->thread);
        free(thread);
    }
}
