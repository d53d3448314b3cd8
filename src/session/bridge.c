/* A bridge: a further channel of a session, whose messages are paired with posted transfers. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#define ACCEPT_WAIT_MS 10000

struct zcb_bridge {
    zcb_session *session; /* a reference */
    uint32_t number;
    char label[ZCB_MAX_LABEL_BYTES + 1];
    struct close_notice *notice; /* under the session's lock; NULL once it is closed */
    struct paired_channel paired;
};

/* ---------------------------------------------------------------- posting */

static zcb_error post_transfer(zcb_bridge *bridge, zcb_command *command, int64_t timeout_ms,
                               uint64_t *id, const zcb_wait *wait)
{
    zcb_error error = zcbi_session_owned(bridge->session);
    if (!error)
        error = zcbi_channel_state(bridge->paired.channel);
    if (error)
        return error;
    command->channel = bridge->number;
    error = zcbi_session_submit(bridge->session, command, &bridge->paired, timeout_ms, wait);
    if (!error)
        *id = command->id;
    return error;
}

/* False for text that cannot be a target in any version of PowerShell. Its parser checks the
 * rest. */
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
    zcb_part part = {.kind = ZCB_PART_TEXT, .data = target, .bytes = target_bytes};
    zcb_command command = {.op = ZCB_OP_RECEIVE,
                           .flags = flags & (ZCB_COMMAND_NOTIFY | ZCB_COMMAND_LEASE),
                           .parts = &part,
                           .part_count = 1};
    return post_transfer(bridge, &command, timeout_ms, id, wait);
}

zcb_error zcb_bridge_post_send(zcb_bridge *bridge, const char *expression, size_t expression_bytes,
                               uint32_t depth, uint32_t flags, int64_t timeout_ms, uint64_t *id,
                               const zcb_wait *wait)
{
    if (!bridge || !expression || expression_bytes == 0 || !id || depth > 100)
        return ZCB_ERR_INVALID;
    zcb_part part = {.kind = ZCB_PART_TEXT, .data = expression, .bytes = expression_bytes};
    zcb_command command = {.op = ZCB_OP_SEND,
                           .flags = flags & ZCB_COMMAND_NOTIFY,
                           .depth = depth,
                           .parts = &part,
                           .part_count = 1};
    return post_transfer(bridge, &command, timeout_ms, id, wait);
}

/* ---------------------------------------------------------------- sending */

/* Under the sending lock: finds the posted receive that the message is for. */
static zcb_error match_message(zcb_bridge *bridge, zcb_message *message, uint32_t *flags,
                               struct post **taken)
{
    zcb_session *session = bridge->session;
    uint64_t frame_bytes = zcb_channel_frame_bytes(bridge->paired.channel);
    zcbi_plat_mutex_lock(&session->lock);
    zcb_error error = zcbi_session_state(session); /* with the session all posts have failed */
    if (!error)
        error = zcbi_pairing_match(&bridge->paired.pairing, message, frame_bytes, flags, taken);
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}

/* The message was withdrawn: the receive that it was for waits for another one, unless it is
 * done. */
static void unmatch_message(zcb_bridge *bridge, struct post *taken)
{
    zcb_session *session = bridge->session;
    zcbi_plat_mutex_lock(&session->lock);
    struct post *post = zcbi_pairing_unmatch(&bridge->paired.pairing, taken);
    struct pending *pending = post ? zcbi_pending_find(session, post->id) : NULL;
    if (pending && !pending->done) {
        pending->flags &= ~(uint32_t)ZCB_COMMAND_TAKE_QUEUED; /* the next message has its id */
        zcbi_pairing_repost(&bridge->paired.pairing, post);
        post = NULL;
    }
    zcbi_plat_mutex_unlock(&session->lock);
    free(post);
}

/* The id of the posted receive that dropped this message half-way. */
static uint64_t receive_of(zcb_bridge *bridge, const zcb_message *message)
{
    if (message->id != 0)
        return message->id;
    zcbi_plat_mutex_lock(&bridge->session->lock);
    uint64_t id = zcbi_pairing_taker(&bridge->paired.pairing);
    zcbi_plat_mutex_unlock(&bridge->session->lock);
    return id;
}

static zcb_error send_paired(zcb_bridge *bridge, zcb_message *message, const void *data,
                             uint64_t *refused_by, const zcb_wait *wait)
{
    uint32_t flags = 0;
    struct post *taken = NULL;
    zcb_error error = match_message(bridge, message, &flags, &taken);
    if (error) {
        if (refused_by)
            *refused_by = message->id;
        free(taken);
        return error;
    }
    struct span payload = {data, (size_t)message->bytes};
    error = zcbi_tx_send(bridge->paired.channel, message, flags, &payload, 1, wait);
    if (error == ZCB_ERR_REFUSED && refused_by)
        *refused_by = receive_of(bridge, message);
    if (error && error != ZCB_ERR_REFUSED)
        unmatch_message(bridge, taken);
    else
        free(taken);
    return error;
}

zcb_error zcb_bridge_send(zcb_bridge *bridge, zcb_kind kind, const void *data, uint64_t bytes,
                          uint64_t *refused_by, const zcb_wait *wait)
{
    if (!bridge || (kind != ZCB_KIND_BYTES && kind != ZCB_KIND_CLIXML) || (bytes > 0 && !data) ||
        bytes == ZCB_OPEN_ENDED)
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_session_owned(bridge->session);
    if (!error)
        error = zcbi_channel_state(bridge->paired.channel);
    if (!error && !zcb_session_alive(bridge->session, NULL))
        error = ZCB_ERR_PEER_GONE;
    if (!error)
        error = zcbi_tx_lock(bridge->paired.channel, wait);
    if (error)
        return error;
    zcb_message message = {.kind = kind, .bytes = bytes};
    error = send_paired(bridge, &message, data, refused_by, wait);
    zcbi_tx_unlock(bridge->paired.channel);
    return error;
}

/* ---------------------------------------------------------------- receiving */

static bool is_known_error(zcb_bridge *bridge, const zcb_message *message)
{
    zcbi_plat_mutex_lock(&bridge->session->lock);
    bool known = zcbi_pairing_arrived(&bridge->paired.pairing, message);
    zcbi_plat_mutex_unlock(&bridge->session->lock);
    return known;
}

zcb_error zcb_bridge_receive_begin(zcb_bridge *bridge, zcb_wish wish, zcb_message *message,
                                   const zcb_wait *wait)
{
    if (!bridge || !message)
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_session_owned(bridge->session);
    while (!error) {
        error = zcb_receive_begin(bridge->paired.channel, wish, message, wait);
        if (error || !is_known_error(bridge, message))
            break;
        zcb_receive_drop(bridge->paired.channel);
    }
    return error;
}

void zcb_bridge_seen(zcb_bridge *bridge, uint64_t id)
{
    if (!bridge || zcbi_session_owned(bridge->session))
        return;
    zcbi_plat_mutex_lock(&bridge->session->lock);
    zcbi_pairing_seen(&bridge->paired.pairing, id);
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
    else if (pending->op == ZCB_OP_RECEIVE && !zcbi_pairing_is_posted(&bridge->paired.pairing, id))
        error = ZCB_ERR_TOO_LATE;
    else
        error = zcbi_urgent_stop(session, id);
    if (!error)
        zcbi_pairing_withdraw(&bridge->paired.pairing, id);
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}

/* ---------------------------------------------------------------- opening and closing */

/* Under the lock: tells the engine which bridges were closed, so that it frees their memory. A
 * notice that cannot be sent now is sent with the next bridge. */
static void send_close_notices(zcb_session *session)
{
    struct close_notice *notice;
    while ((notice = session->close_notices) &&
           !zcbi_urgent_send(session, URGENT_CLOSE_CHANNEL, notice->number)) {
        session->close_notices = notice->next;
        free(notice);
    }
}

/* Sends the channel to the engine and adds the bridge to the session, if that has not ended. */
static zcb_error add_bridge(zcb_session *session, zcb_bridge *bridge)
{
    zcbi_plat_mutex_lock(&session->lock);
    send_close_notices(session);
    zcb_error error = zcbi_session_state(session);
    if (!error) {
        bridge->number = CHANNEL_BRIDGES + session->last_channel++;
        error = zcbi_link_send_channel(session->link, bridge->number, bridge->label,
                                       bridge->paired.channel);
    }
    if (!error) {
        bridge->paired.next = session->bridges;
        session->bridges = &bridge->paired;
        zcbi_session_reference(session);
    }
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}

/* A full link holds channels that the engine has not received yet: asks it to. */
static zcb_error add_bridge_with_room(zcb_session *session, zcb_bridge *bridge)
{
    zcb_error error = add_bridge(session, bridge);
    if (error != ZCB_ERR_TIMEOUT)
        return error;
    zcb_wait wait = {.deadline_ns = zcb_deadline_ns(ACCEPT_WAIT_MS)};
    error = zcbi_urgent_send(session, URGENT_ACCEPT, 0);
    if (!error)
        error = zcb_session_ping(session, &wait); /* answered after the request before it */
    return error ? error : add_bridge(session, bridge);
}

static void explain_open(zcb_detail *why, zcb_error error, const zcb_channel_options *options)
{
    if (error == ZCB_ERR_INVALID)
        zcbi_error_detail(
            why,
            "frame_bytes %llu must be from %llu to %llu, window_bytes %llu from %llu to %llu, "
            "and a label has at most %d bytes",
            (unsigned long long)(options ? options->frame_bytes : 0),
            (unsigned long long)ZCB_MIN_FRAME_BYTES, (unsigned long long)ZCB_MAX_FRAME_BYTES,
            (unsigned long long)(options ? options->window_bytes : 0),
            (unsigned long long)ZCB_MIN_WINDOW_BYTES, (unsigned long long)ZCB_MAX_WINDOW_BYTES,
            ZCB_MAX_LABEL_BYTES);
    else
        zcbi_error_detail(why, "%s", zcb_error_text(error));
}

static zcb_bridge *bridge_allocate(void)
{
    zcb_bridge *bridge = calloc(1, sizeof(*bridge));
    if (!bridge)
        return NULL;
    zcbi_pairing_init(&bridge->paired.pairing);
    bridge->notice = malloc(sizeof(*bridge->notice));
    if (bridge->notice)
        return bridge;
    free(bridge);
    return NULL;
}

static void bridge_release(zcb_bridge *bridge)
{
    zcbi_pairing_destroy(&bridge->paired.pairing);
    free(bridge->notice);
    zcb_channel_free(bridge->paired.channel);
    free(bridge);
}

zcb_error zcb_bridge_open(zcb_session *session, const zcb_channel_options *options,
                          zcb_bridge **bridge, zcb_detail *why)
{
    const char *label = options && options->label ? options->label : "";
    bool sensible = bridge && strlen(label) <= ZCB_MAX_LABEL_BYTES;
    zcb_error error = sensible ? zcbi_session_owned(session) : ZCB_ERR_INVALID;
    zcb_bridge *made = error ? NULL : bridge_allocate();
    if (!error && !made)
        error = ZCB_ERR_NO_MEMORY;
    if (!error)
        error = zcbi_channel_open(options, session->process, &made->paired.channel);
    if (!error) {
        made->session = session;
        snprintf(made->label, sizeof(made->label), "%s", label);
        error = add_bridge_with_room(session, made);
    }
    if (error) {
        explain_open(why, error, options);
        if (made)
            bridge_release(made);
        return error;
    }
    *bridge = made;
    return ZCB_OK;
}

zcb_channel *zcb_bridge_channel(zcb_bridge *bridge)
{
    return bridge->paired.channel;
}

/* Under the lock, as the next two: ends the transfers that are not done. */
static void finish_transfers(zcb_session *session, const struct paired_channel *paired)
{
    for (struct pending *p = session->first; p; p = p->next) {
        if (p->paired != paired)
            continue;
        p->paired = NULL;
        if (!p->done) {
            (void)zcbi_urgent_stop(session, p->id);
            zcbi_pending_finish_here(session, p, ZCB_STATUS_STOPPED, "the bridge was closed");
        }
    }
}

static void remove_bridge(zcb_session *session, const zcb_bridge *bridge)
{
    struct paired_channel **link = &session->bridges;
    while (*link && *link != &bridge->paired)
        link = &(*link)->next;
    if (*link)
        *link = bridge->paired.next;
}

static void announce_close(zcb_session *session, zcb_bridge *bridge)
{
    struct close_notice *notice = bridge->notice;
    bridge->notice = NULL;
    *notice = (struct close_notice){.next = session->close_notices, .number = bridge->number};
    session->close_notices = notice;
    send_close_notices(session);
}

void zcb_bridge_close(zcb_bridge *bridge)
{
    if (!bridge || zcbi_session_owned(bridge->session))
        return;
    zcb_session *session = bridge->session;
    zcbi_plat_mutex_lock(&session->lock);
    bool first = !bridge->paired.closed;
    /* First this side, then the engine: else a wait here might see the engine's close first. */
    zcbi_paired_close(&bridge->paired);
    if (first && !session->ended)
        announce_close(session, bridge);
    finish_transfers(session, &bridge->paired);
    remove_bridge(session, bridge);
    zcbi_plat_mutex_unlock(&session->lock);
}

void zcb_bridge_free(zcb_bridge *bridge)
{
    if (!bridge)
        return;
    zcb_bridge_close(bridge);
    zcb_session *session = bridge->session;
    bridge_release(bridge);
    zcbi_session_release(session);
}
