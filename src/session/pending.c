/* The book of commands that are under way: by id, in order, with their deadlines. */
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define FIRST_BUCKETS 64

static struct pending **bucket_of(const zcb_session *session, uint64_t id)
{
    return &session->buckets[id & (session->bucket_count - 1)];
}

static bool grow(zcb_session *session)
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
                                 zcb_bridge *bridge, int64_t deadline_ns)
{
    if (session->pending_count >= session->bucket_count && !grow(session))
        return NULL;
    struct pending *pending = calloc(1, sizeof(*pending));
    struct reply *spare = calloc(1, sizeof(*spare));
    if (!pending || !spare) {
        free(pending);
        free(spare);
        return NULL;
    }
    *pending = (struct pending){.id = id,
                                .op = op,
                                .flags = flags,
                                .bridge = bridge,
                                .deadline_ns = deadline_ns,
                                .spare = spare,
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
    if (deadline_ns < session->next_deadline) {
        session->next_deadline = deadline_ns;
        if (session->reading)
            zcbi_waiter_tell(&session->reader);
    }
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

struct reply *zcbi_pending_take(zcb_session *session, struct pending *pending)
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
    for (int i = 0; i < ZCB_FIELDS; i++)
        free(pending->collected[i].text);
    struct reply *reply = pending->reply;
    free(pending->spare);
    free(pending);
    return reply;
}

void zcbi_pending_put_in_row(zcb_session *session, struct pending *pending)
{
    pending->next_done = NULL;
    if (session->last_done)
        session->last_done->next_done = pending;
    else
        session->first_done = pending;
    session->last_done = pending;
    zcbi_session_tell_standby(session);
}

void zcbi_pending_finish(zcb_session *session, struct pending *pending, struct reply *reply)
{
    pending->done = true;
    pending->reply = reply;
    if (pending->timed_out &&
        (reply->result.status == ZCB_STATUS_STOPPED || reply->result.status == ZCB_STATUS_LOST))
        reply->result.status = ZCB_STATUS_TIMED_OUT;
    if (pending->bridge)
        zcbi_bridge_finished(pending->bridge, pending, reply);
    if (pending->awaited) {
        if (pending->waiter)
            zcbi_waiter_tell(pending->waiter);
    } else if (pending->flags & ZCB_COMMAND_NOTIFY) {
        zcbi_pending_put_in_row(session, pending);
    }
}

struct reply *zcbi_pending_spare(struct pending *pending, zcb_status status)
{
    static const char lost[] = "there was no memory for the command's result";
    struct reply *reply = pending->spare;
    pending->spare = NULL;
    reply->result = (zcb_result){.id = pending->id,
                                 .op = pending->op,
                                 .status = status,
                                 .refused = pending->op == ZCB_OP_RECEIVE,
                                 .exit_code = 1};
    for (int i = 0; i < ZCB_FIELDS; i++)
        reply->result.field[i] = (zcb_text){"", 0};
    reply->result.field[ZCB_FIELD_ERR] = (zcb_text){lost, sizeof(lost) - 1};
    return reply;
}

void zcbi_pending_finish_here(zcb_session *session, struct pending *pending, zcb_status status,
                              const char *err)
{
    size_t length = strlen(err);
    struct reply *reply = calloc(1, sizeof(*reply) + length + 2);
    if (reply) {
        memcpy(reply->texts, err, length + 1);
        zcb_result *result = &reply->result;
        *result = (zcb_result){.id = pending->id,
                               .op = pending->op,
                               .status = status,
                               .refused = pending->op == ZCB_OP_RECEIVE,
                               .exit_code = 1};
        for (int i = 0; i < ZCB_FIELDS; i++)
            result->field[i] = (zcb_text){reply->texts + length + 1, 0};
        result->field[ZCB_FIELD_ERR] = (zcb_text){reply->texts, length};
        if (zcbi_pending_join(pending, reply)) {
            zcb_result_free(result);
            reply = NULL;
        }
    }
    zcbi_pending_finish(session, pending, reply ? reply : zcbi_pending_spare(pending, status));
}

/* The engine runs commands in order: only the oldest one can be running. */
static bool may_be_running(const zcb_session *session, const struct pending *pending)
{
    const struct pending *oldest = session->first;
    while (oldest && (oldest->op != ZCB_OP_RUN || oldest->done))
        oldest = oldest->next;
    return oldest == pending;
}

static void kill_engine(zcb_session *session)
{
    zcbi_session_kill(session);
    zcbi_session_end(
        session, "a command did not stop within %lld ms of its timeout, and the engine was killed",
        (long long)session->grace_ms);
}

static void expire_one(zcb_session *session, struct pending *pending, int64_t now)
{
    bool queued = pending->op == ZCB_OP_RUN && !may_be_running(session, pending);
    if (!pending->timed_out) {
        pending->timed_out = true;
        pending->deadline_ns = now + session->grace_ms * 1000000;
        (void)zcbi_session_stop(session, pending->id); /* else its grace ends it */
        if (queued)
            zcbi_pending_finish_here(session, pending, ZCB_STATUS_TIMED_OUT,
                                     "the timeout passed before the command's turn came");
    } else if (pending->op == ZCB_OP_RUN && !queued) {
        kill_engine(session);
    } else {
        zcbi_pending_finish_here(session, pending, ZCB_STATUS_TIMED_OUT, "the timeout passed");
    }
}

void zcbi_pending_expire(zcb_session *session)
{
    int64_t now = zcbi_plat_now_ns();
    for (struct pending *p = session->first; p && !session->ended; p = p->next)
        if (!p->done && p->deadline_ns <= now)
            expire_one(session, p, now);
    session->next_deadline = ZCB_NEVER;
    for (struct pending *p = session->first, *next; p; p = next) {
        next = p->next;
        if (!p->done && p->deadline_ns < session->next_deadline)
            session->next_deadline = p->deadline_ns;
        if (p->done && p->abandoned) {
            struct reply *reply = zcbi_pending_take(session, p);
            zcb_result_free(reply ? &reply->result : NULL);
        }
    }
}

static bool reserve(struct collected *collected, size_t more)
{
    if (more < collected->capacity - collected->bytes)
        return true;
    size_t capacity = (collected->bytes + more + 1) * 2;
    char *text = realloc(collected->text, capacity);
    if (!text)
        return false;
    collected->text = text;
    collected->capacity = capacity;
    return true;
}

static bool append(struct collected *collected, const zcb_text *more)
{
    if (!reserve(collected, more->bytes))
        return false;
    memcpy(collected->text + collected->bytes, more->text, more->bytes);
    collected->bytes += more->bytes;
    collected->text[collected->bytes] = 0;
    return true;
}

void zcbi_pending_collect(struct pending *pending, const struct reply *reply)
{
    for (int i = 0; i < ZCB_FIELDS; i++)
        if (reply->result.field[i].bytes > 0 &&
            !append(&pending->collected[i], &reply->result.field[i]))
            pending->starved = true;
}

zcb_error zcbi_pending_join(struct pending *pending, struct reply *reply)
{
    if (pending->starved)
        return ZCB_ERR_NO_MEMORY;
    for (int i = 0; i < ZCB_FIELDS; i++) {
        struct collected *collected = &pending->collected[i];
        zcb_text *field = &reply->result.field[i];
        if (collected->bytes == 0)
            continue;
        if (!append(collected, field))
            return ZCB_ERR_NO_MEMORY;
        reply->joined[i] = collected->text;
        *field = (zcb_text){collected->text, collected->bytes};
        *collected = (struct collected){0};
    }
    return ZCB_OK;
}

void zcb_result_free(zcb_result *result)
{
    if (!result)
        return;
    struct reply *reply = (struct reply *)result;
    for (int i = 0; i < ZCB_FIELDS; i++)
        free(reply->joined[i]);
    free(reply);
}
