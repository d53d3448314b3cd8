/*
 * A bridge: one more channel of a session, and the pairing of posted receives with sent messages.
 *
 * Both come in order, and this side decides who belongs to whom: a message carries the id of the posted
 * receive that it is for; one that is sent before any receive is posted carries 0, and the next posted
 * receive is told to take it. So the engine never guesses, whatever fails or is withdrawn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define ACCEPT_WAIT_MS 10000

/* A posted receive that no message has been given to. */
struct post {
    struct post *next;
    uint64_t id;
    bool lease;
    bool failed; /* and nobody has seen it yet */
};

struct zcb_bridge {
    zcb_session *session; /* a reference */
    zcb_channel *channel;
    uint32_t number;
    char label[ZCB_MAX_LABEL_BYTES + 1];

    /* All that follows under the session's lock. */
    zcb_bridge *next;
    bool shut;
    struct post *posts;
    uint64_t unmatched;    /* messages sent with id 0 that no posted receive was told to take */
    uint64_t last_taker;   /* the last posted receive that was told to take one */
    uint64_t last_arrived; /* id of the last message received */
    uint64_t *seen;        /* failures of sends that the user saw before their error message came */
    size_t seen_count, seen_capacity;
};

/* ---------------------------------------------------------------- posts */

static bool add_post(zcb_bridge *bridge, uint64_t id, bool lease, bool in_front)
{
    struct post *post = malloc(sizeof(*post));
    if (!post)
        return false;
    struct post **link = &bridge->posts;
    while (*link && !in_front)
        link = &(*link)->next;
    *post = (struct post){.next = *link, .id = id, .lease = lease};
    *link = post;
    return true;
}

static struct post **find_post(zcb_bridge *bridge, uint64_t id)
{
    struct post **link = &bridge->posts;
    while (*link && (*link)->id != id)
        link = &(*link)->next;
    return link;
}

static bool remove_post(struct post **link)
{
    struct post *post = *link;
    if (!post)
        return false;
    *link = post->next;
    free(post);
    return true;
}

bool zcbi_bridge_posted(zcb_bridge *bridge, uint64_t id, uint32_t *flags)
{
    if (bridge->unmatched == 0)
        return add_post(bridge, id, (*flags & ZCB_COMMAND_LEASE) != 0, false);
    bridge->unmatched--;
    bridge->last_taker = id;
    *flags |= ZCB_COMMAND_TAKE_QUEUED;
    return true;
}

void zcbi_bridge_post_failed(zcb_bridge *bridge, const struct pending *pending)
{
    bool took = (pending->flags & ZCB_COMMAND_TAKE_QUEUED) && !pending->done;
    if (!remove_post(find_post(bridge, pending->id)) && took)
        bridge->unmatched++;
}

/* A receive that failed without taking a message: the message that it was told to take is free again; one
 * that waits for a message stays in its place until the user knows. A send of which not even an error comes as a
 * message: the engine doesn't have the channel, and whoever receives would wait for ever. */
void zcbi_bridge_finished(zcb_bridge *bridge, const struct pending *pending,
                          const struct reply *reply)
{
    if (!reply->result.refused)
        return;
    struct post *post = *find_post(bridge, pending->id);
    if (pending->op == ZCB_OP_SEND)
        zcbi_bridge_shut(bridge);
    else if (post)
        post->failed = true;
    else if (pending->flags & ZCB_COMMAND_TAKE_QUEUED)
        bridge->unmatched++;
}

static zcb_error post_transfer(zcb_bridge *bridge, zcb_command *command, int64_t timeout_ms,
                               uint64_t *id, const zcb_wait *wait)
{
    zcb_error error = zcbi_session_owned(bridge->session);
    if (!error)
        error = zcbi_channel_state(bridge->channel);
    if (error)
        return error;
    command->channel = bridge->number;
    error = zcbi_session_submit(bridge->session, command, bridge, timeout_ms, wait);
    if (!error)
        *id = command->id;
    return error;
}

/* What can't be a target whatever the engine's parser thinks; the rest is the parser's. */
static bool target_may_be(const char *target, size_t bytes)
{
    size_t start = 0;
    while (start < bytes && (target[start] == ' ' || target[start] == '\t'))
        start++;
    return start < bytes && (target[start] == '$' || target[start] == '[') &&
           !memchr(target, 0, bytes);
}

zcb_error zcb_bridge_post_receive(zcb_bridge *bridge, const char *target, size_t target_bytes,
                                  uint32_t flags, int64_t timeout_ms, uint64_t *id,
                                  const zcb_wait *wait)
{
    if (!bridge || !target || !id || !target_may_be(target, target_bytes))
        return ZCB_ERR_INVALID;
    zcb_command command = {.op = ZCB_OP_RECEIVE,
                           .flags = flags & (ZCB_COMMAND_NOTIFY | ZCB_COMMAND_LEASE),
                           .text = target,
                           .text_bytes = target_bytes};
    return post_transfer(bridge, &command, timeout_ms, id, wait);
}

zcb_error zcb_bridge_post_send(zcb_bridge *bridge, const char *expression, size_t expression_bytes,
                               uint32_t depth, uint32_t flags, int64_t timeout_ms, uint64_t *id,
                               const zcb_wait *wait)
{
    if (!bridge || !expression || expression_bytes == 0 || !id || depth > 100)
        return ZCB_ERR_INVALID;
    zcb_command command = {.op = ZCB_OP_SEND,
                           .flags = flags & ZCB_COMMAND_NOTIFY,
                           .depth = depth,
                           .text = expression,
                           .text_bytes = expression_bytes};
    return post_transfer(bridge, &command, timeout_ms, id, wait);
}

/* ---------------------------------------------------------------- sending */

/* Under the lock. */
static zcb_error match_first(zcb_bridge *bridge, zcb_message *message)
{
    zcb_error error = ZCB_OK;
    zcb_channel *channel = bridge->channel;
    struct post *post = bridge->posts;
    bool lease = post && post->lease && message->kind == ZCB_KIND_BYTES;
    message->id = post ? post->id : 0;
    channel->tx.keep_whole = lease;
    if (!post)
        bridge->unmatched++;
    else if (post->failed)
        error = ZCB_ERR_REFUSED;
    else if (lease && message->bytes > zcb_channel_frame_bytes(channel))
        error = ZCB_ERR_TOO_LARGE;
    if (post && error != ZCB_ERR_TOO_LARGE)
        remove_post(&bridge->posts);
    return error;
}

/* Under the sending turn: gives the message the posted receive that it is for, or none yet (id 0). One that
 * wants the message in place gets it in one piece. */
static zcb_error match(zcb_bridge *bridge, zcb_message *message)
{
    zcb_session *session = bridge->session;
    zcb_error error;
    zcbi_plat_mutex_lock(&session->lock);
    if (session->ended) /* all that was posted has failed with it */
        error = session->closing ? ZCB_ERR_CLOSED : ZCB_ERR_PEER_GONE;
    else
        error = match_first(bridge, message);
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}

/* The message was withdrawn: who it was for waits again. */
static void unmatch(zcb_bridge *bridge, uint64_t id)
{
    zcb_session *session = bridge->session;
    zcbi_plat_mutex_lock(&session->lock);
    if (id == 0 && bridge->unmatched > 0) {
        bridge->unmatched--;
    } else {
        uint64_t taker = id ? id : bridge->last_taker;
        const struct pending *pending = zcbi_pending_find(session, taker);
        if (pending && !pending->done)
            (void)add_post(bridge, taker, (pending->flags & ZCB_COMMAND_LEASE) != 0, true);
    }
    zcbi_plat_mutex_unlock(&session->lock);
}

/* Which posted receive a message that was refused half-way belongs to. */
static uint64_t taker_of(zcb_bridge *bridge, uint64_t id)
{
    if (id != 0)
        return id;
    zcbi_plat_mutex_lock(&bridge->session->lock);
    id = bridge->last_taker;
    zcbi_plat_mutex_unlock(&bridge->session->lock);
    return id;
}

static zcb_error send_in_turn(zcb_bridge *bridge, zcb_message *message, const void *data,
                              uint64_t *refused_by, const zcb_wait *wait)
{
    zcb_error error = match(bridge, message);
    if (error) {
        if (refused_by)
            *refused_by = message->id;
        return error;
    }
    zcb_text part = {data, (size_t)message->bytes};
    error = zcbi_tx_send(bridge->channel, message, &part, 1, wait);
    if (error == ZCB_ERR_REFUSED && refused_by)
        *refused_by = taker_of(bridge, message->id);
    if (error && error != ZCB_ERR_REFUSED)
        unmatch(bridge, message->id);
    return error;
}

zcb_error zcb_bridge_send(zcb_bridge *bridge, zcb_kind kind, const void *data, uint64_t bytes,
                          uint64_t *refused_by, const zcb_wait *wait)
{
    if (!bridge || (kind != ZCB_KIND_BYTES && kind != ZCB_KIND_CLIXML) || (bytes > 0 && !data))
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_session_owned(bridge->session);
    if (!error)
        error = zcbi_channel_state(bridge->channel);
    if (!error && !zcb_session_alive(bridge->session, NULL))
        error = ZCB_ERR_PEER_GONE;
    if (!error)
        error = zcbi_channel_take_turn(bridge->channel, &bridge->channel->tx.turn, wait);
    if (error)
        return error;
    zcb_message message = {.kind = kind, .bytes = bytes};
    error = send_in_turn(bridge, &message, data, refused_by, wait);
    zcbi_turn_give(&bridge->channel->tx.turn);
    return error;
}

/* ---------------------------------------------------------------- receiving */

/* Notes that this message has come; true when it is an error that the user knows of already. */
static bool already_seen(zcb_bridge *bridge, const zcb_message *message)
{
    bool seen = false;
    zcbi_plat_mutex_lock(&bridge->session->lock);
    bridge->last_arrived = message->id;
    size_t kept = 0;
    for (size_t i = 0; i < bridge->seen_count; i++) {
        if (bridge->seen[i] == message->id)
            seen = message->kind == ZCB_KIND_ERROR;
        else if (bridge->seen[i] > message->id)
            bridge->seen[kept++] = bridge->seen[i];
    }
    bridge->seen_count = kept;
    zcbi_plat_mutex_unlock(&bridge->session->lock);
    return seen;
}

zcb_error zcb_bridge_receive_begin(zcb_bridge *bridge, zcb_wish wish, zcb_message *message,
                                   const zcb_wait *wait)
{
    if (!bridge || !message)
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_session_owned(bridge->session);
    while (!error) {
        error = zcb_receive_begin(bridge->channel, wish, message, wait);
        if (error || !already_seen(bridge, message))
            break;
        zcb_receive_drop(bridge->channel);
    }
    return error;
}

static bool remember_seen(zcb_bridge *bridge, uint64_t id)
{
    if (bridge->seen_count == bridge->seen_capacity) {
        size_t capacity = bridge->seen_capacity ? bridge->seen_capacity * 2 : 8;
        uint64_t *seen = realloc(bridge->seen, capacity * sizeof(*seen));
        if (!seen)
            return false;
        bridge->seen = seen;
        bridge->seen_capacity = capacity;
    }
    bridge->seen[bridge->seen_count++] = id;
    return true;
}

void zcb_bridge_seen(zcb_bridge *bridge, uint64_t id)
{
    if (!bridge || zcbi_session_owned(bridge->session))
        return;
    zcbi_plat_mutex_lock(&bridge->session->lock);
    struct post **link = find_post(bridge, id);
    if (*link) {
        if ((*link)->failed)
            (void)remove_post(link);
    } else if (id > bridge->last_arrived) {
        (void)remember_seen(bridge, id);
    }
    zcbi_plat_mutex_unlock(&bridge->session->lock);
}

zcb_error zcb_bridge_withdraw(zcb_bridge *bridge, uint64_t id)
{
    if (!bridge)
        return ZCB_ERR_INVALID;
    zcb_session *session = bridge->session;
    zcb_error error = zcbi_session_owned(session);
    if (error)
        return error;
    zcbi_plat_mutex_lock(&session->lock);
    const struct pending *pending = zcbi_pending_find(session, id);
    if (!pending || pending->done)
        error = ZCB_ERR_NOT_FOUND;
    else if (pending->op == ZCB_OP_RECEIVE && !*find_post(bridge, id))
        error = ZCB_ERR_TOO_LATE;
    else
        error = zcbi_session_stop(session, id);
    if (!error)
        (void)remove_post(find_post(bridge, id));
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}

/* ---------------------------------------------------------------- opening and closing */

static zcb_error hand_over(zcb_session *session, const zcb_bridge *bridge)
{
    struct region *region = bridge->channel->region;
    struct link_record record = {.magic = LINK_MAGIC,
                                 .version = PROTOCOL_VERSION,
                                 .type = LINK_CHANNEL,
                                 .number = bridge->number,
                                 .frame_bytes = region->geometry.frame_bytes,
                                 .window_bytes = region->geometry.window_bytes};
    plat_handle handles[1 + BELLS] = {region->memory.handle};
    memcpy(&handles[1], region->bells, sizeof(region->bells));
    memcpy(record.label, bridge->label, sizeof(record.label));
    return zcbi_plat_link_send(session->link, &record, sizeof(record), handles, 1 + BELLS);
}

/* The session must go on, or the bridge is not entered. */
static zcb_error enter(zcb_session *session, zcb_bridge *bridge)
{
    zcb_error error = ZCB_OK;
    zcbi_plat_mutex_lock(&session->lock);
    if (session->ended) {
        error = session->closing ? ZCB_ERR_CLOSED : ZCB_ERR_PEER_GONE;
    } else {
        bridge->number = CHANNEL_BRIDGES + session->last_channel++;
        error = hand_over(session, bridge);
    }
    if (!error) {
        bridge->next = session->bridges;
        session->bridges = bridge;
        zcbi_session_reference(session);
    }
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}

/* A link that is full holds channels that the engine has not looked at yet: it takes them in when asked. */
static zcb_error enter_with_room(zcb_session *session, zcb_bridge *bridge)
{
    zcb_error error = enter(session, bridge);
    if (error != ZCB_ERR_TIMEOUT)
        return error;
    zcb_wait wait = {.deadline_ns = zcb_deadline_ns(ACCEPT_WAIT_MS)};
    error = zcbi_session_urgent(session, URGENT_ACCEPT, 0);
    if (!error)
        error = zcb_session_ping(session, &wait); /* answered after what was asked before */
    return error ? error : enter(session, bridge);
}

static void explain(zcb_detail *why, zcb_error error, const zcb_channel_options *options)
{
    if (!why)
        return;
    if (error == ZCB_ERR_INVALID)
        snprintf(why->text, sizeof(why->text),
                 "frame_bytes %llu must be from %llu to %llu, window_bytes %llu from %llu to %llu, "
                 "and a "
                 "label has at most %d bytes",
                 (unsigned long long)(options ? options->frame_bytes : 0),
                 (unsigned long long)ZCB_MIN_FRAME_BYTES, (unsigned long long)ZCB_MAX_FRAME_BYTES,
                 (unsigned long long)(options ? options->window_bytes : 0),
                 (unsigned long long)ZCB_MIN_WINDOW_BYTES, (unsigned long long)ZCB_MAX_WINDOW_BYTES,
                 ZCB_MAX_LABEL_BYTES);
    else
        snprintf(why->text, sizeof(why->text), "%s", zcb_error_text(error));
}

zcb_error zcb_bridge_open(zcb_session *session, const zcb_channel_options *options,
                          zcb_bridge **bridge, zcb_detail *why)
{
    const char *label = options && options->label ? options->label : "";
    bool sensible = bridge && strlen(label) <= ZCB_MAX_LABEL_BYTES;
    zcb_error error = sensible ? zcbi_session_owned(session) : ZCB_ERR_INVALID;
    zcb_bridge *made = error ? NULL : calloc(1, sizeof(*made));
    if (!error && !made)
        error = ZCB_ERR_NO_MEMORY;
    if (!error)
        error = zcbi_channel_open(options, session->process, &made->channel);
    if (!error) {
        made->session = session;
        snprintf(made->label, sizeof(made->label), "%s", label);
        error = enter_with_room(session, made);
    }
    if (error) {
        explain(why, error, options);
        if (made)
            zcb_channel_free(made->channel);
        free(made);
        return error;
    }
    *bridge = made;
    return ZCB_OK;
}

zcb_channel *zcb_bridge_channel(zcb_bridge *bridge)
{
    return bridge->channel;
}

zcb_bridge *zcbi_bridge_next(const zcb_bridge *bridge)
{
    return bridge->next;
}

void zcbi_bridge_shut(zcb_bridge *bridge)
{
    if (bridge->shut)
        return;
    bridge->shut = true;
    zcb_channel_close(bridge->channel);
}

static void finish_transfers(zcb_session *session, zcb_bridge *bridge)
{
    for (struct pending *p = session->first; p; p = p->next) {
        if (p->bridge != bridge)
            continue;
        p->bridge = NULL;
        if (!p->done) {
            (void)zcbi_session_stop(session, p->id);
            zcbi_pending_finish_here(session, p, ZCB_STATUS_STOPPED, "the bridge was closed");
        }
    }
}

static void leave(zcb_session *session, const zcb_bridge *bridge)
{
    zcb_bridge **link = &session->bridges;
    while (*link && *link != bridge)
        link = &(*link)->next;
    if (*link)
        *link = bridge->next;
}

void zcb_bridge_close(zcb_bridge *bridge)
{
    if (!bridge || zcbi_session_owned(bridge->session))
        return;
    zcb_session *session = bridge->session;
    zcbi_plat_mutex_lock(&session->lock);
    bool first = !bridge->shut;
    zcbi_bridge_shut(
        bridge); /* before the engine hears of it: its own close must not be seen first */
    if (first && !session->ended)
        (void)zcbi_session_urgent(session, URGENT_CLOSE_CHANNEL, bridge->number);
    finish_transfers(session, bridge);
    leave(session, bridge);
    zcbi_plat_mutex_unlock(&session->lock);
}

void zcb_bridge_free(zcb_bridge *bridge)
{
    if (!bridge)
        return;
    zcb_bridge_close(bridge);
    while (remove_post(&bridge->posts))
        ;
    free(bridge->seen);
    zcb_channel_free(bridge->channel);
    zcbi_session_release(bridge->session);
    free(bridge);
}
