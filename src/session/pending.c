/* The table of pending commands, by id and in order, and the queue of those that are done. */
#include "session.h"

#include <stdlib.h>

#define FIRST_BUCKETS 64

static struct pending **bucket_of(const zcb_session *session, uint64_t id)
{
    return &session->buckets[id & (session->bucket_count - 1)];
}

/* False: no memory, and there are no buckets at all. */
static bool grow_buckets(zcb_session *session)
{
    size_t count = session->bucket_count ? session->bucket_count * 2 : FIRST_BUCKETS;
    struct pending **buckets = calloc(count, sizeof(*buckets));
    if (!buckets)
        return session->bucket_count > 0;
    free(session->buckets);
    session->buckets = buckets;
    session->bucket_count = count;
    for (struct pending *p = session->first; p; p = p->next) {
        p->next_in_bucket = *bucket_of(session, p->id);
        *bucket_of(session, p->id) = p;
    }
    return true;
}

struct pending *zcbi_pending_add(zcb_session *session, uint64_t id, uint32_t op, uint32_t flags,
                                 struct paired_channel *paired, int64_t deadline_ns)
{
    if (session->pending_count >= session->bucket_count && !grow_buckets(session))
        return NULL;
    struct pending *pending = calloc(1, sizeof(*pending));
    zcb_result *result = zcbi_result_create(id, op);
    if (!pending || !result) {
        free(pending);
        zcb_result_free(result);
        return NULL;
    }
    *pending = (struct pending){.id = id,
                                .op = op,
                                .flags = flags,
                                .paired = paired,
                                .deadline_ns = ZCB_NEVER,
                                .result = result,
                                .previous = session->last,
                                .next_in_bucket = *bucket_of(session, id)};
    *bucket_of(session, id) = pending;
    if (session->last)
        session->last->next = pending;
    else
        session->first = pending;
    session->last = pending;
    session->pending_count++;
    if (flags & ZCB_COMMAND_NOTIFY)
        session->notify_count++;
    zcbi_deadline_set(session, pending, deadline_ns);
    return pending;
}

struct pending *zcbi_pending_find(const zcb_session *session, uint64_t id)
{
    if (session->bucket_count == 0)
        return NULL;
    struct pending *pending = *bucket_of(session, id);
    while (pending && pending->id != id)
        pending = pending->next_in_bucket;
    return pending;
}

zcb_result *zcbi_pending_take(zcb_session *session, struct pending *pending)
{
    struct pending **link = bucket_of(session, pending->id);
    while (*link != pending)
        link = &(*link)->next_in_bucket;
    *link = pending->next_in_bucket;
    if (pending->previous)
        pending->previous->next = pending->next;
    else
        session->first = pending->next;
    if (pending->next)
        pending->next->previous = pending->previous;
    else
        session->last = pending->previous;
    session->pending_count--;
    if (pending->flags & ZCB_COMMAND_NOTIFY)
        session->notify_count--;
    zcb_result *result = pending->result;
    free(pending);
    return result;
}

void zcbi_pending_queue(zcb_session *session, struct pending *pending)
{
    pending->next_done = NULL;
    if (session->last_done)
        session->last_done->next_done = pending;
    else
        session->first_done = pending;
    session->last_done = pending;
    zcbi_session_wake_standby(session);
}

void zcbi_pending_unqueue(zcb_session *session, const struct pending *pending)
{
    struct pending **link = &session->first_done, *before = NULL;
    while (*link && *link != pending) {
        before = *link;
        link = &(*link)->next_done;
    }
    if (!*link)
        return;
    *link = pending->next_done;
    if (session->last_done == pending)
        session->last_done = before;
}

/* A receive took no message. Or a send cannot even send an error message, because the engine does
 * not have the channel: a thread that receives would wait for ever. */
static void refuse_transfer(const struct pending *pending)
{
    if (pending->op == ZCB_OP_SEND)
        zcbi_paired_close(pending->paired);
    else
        zcbi_pairing_fail(&pending->paired->pairing, pending->id, pending->flags);
}

void zcbi_pending_finish(zcb_session *session, struct pending *pending)
{
    uint32_t *status = &pending->result->completion.status;
    pending->done = true;
    if (pending->timed_out && (*status == ZCB_STATUS_STOPPED || *status == ZCB_STATUS_LOST))
        *status = ZCB_STATUS_TIMED_OUT;
    if (pending->paired && pending->result->completion.refused)
        refuse_transfer(pending);
    if (pending->awaited) {
        if (pending->waiter)
            zcbi_waiter_wake(pending->waiter);
    } else if (pending->flags & ZCB_COMMAND_NOTIFY) {
        zcbi_pending_queue(session, pending);
    }
}

void zcbi_pending_finish_here(zcb_session *session, struct pending *pending, zcb_status status,
                              const char *err)
{
    zcbi_result_end(pending->result, status, err);
    zcbi_pending_finish(session, pending);
}
