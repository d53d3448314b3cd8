#include "transfers.h"

/* A posted transfer that is not done. */
struct post {
    struct post *next;
    zcb_op op;
    uint64_t id;
    bool takes_queued;
    char *text;
    unsigned char *bytes; /* SEND: what goes */
    size_t count;
    uint32_t kind;
};

struct bridge {
    struct bridge *next;
    uint32_t number;
    zcb_channel *channel;
    struct post *receives, *sends;
    uint64_t last_receive;
    uint64_t sending; /* the send that is under way, or 0 */
    zcb_cancel *cancel_receive, *cancel_send;
    bool closed;
};

static struct bridge *bridges;

static void free_post(struct post *post)
{
    free(post->text);
    free(post->bytes);
    free(post);
}

static void append(struct post **list, struct post *post)
{
    while (*list)
        list = &(*list)->next;
    *list = post;
}

static struct post *take_post(struct post **list, uint64_t id)
{
    while (*list && (*list)->id != id)
        list = &(*list)->next;
    struct post *post = *list;
    if (post)
        *list = post->next;
    return post;
}

/* Under the lock. */
static struct post *take_match(struct bridge *bridge, const zcb_message *message)
{
    if (message->id != 0)
        return take_post(&bridge->receives, message->id);
    for (struct post *post = bridge->receives; post; post = post->next)
        if (post->takes_queued)
            return take_post(&bridge->receives, post->id);
    return NULL;
}

static void take_in(struct bridge *bridge, const zcb_message *message, struct post *post)
{
    unsigned char *bytes = malloc((size_t)message->bytes + 1);
    zcb_error error = ZCB_OK;
    if (!post || strcmp(post->text, "$drop") == 0)
        error = ZCB_ERR_REFUSED;
    else
        error = zcb_receive_read(bridge->channel, bytes, (size_t)message->bytes, NULL, NULL);
    if (error)
        zcb_receive_drop(bridge->channel);
    else
        (void)zcb_receive_end(bridge->channel);
    if (post &&
        error == ZCB_ERR_ABORTED) { /* its sender gave up: another message may come for it */
        pthread_mutex_lock(&lock);
        post->next = bridge->receives;
        bridge->receives = post;
        pthread_mutex_unlock(&lock);
        post = NULL;
    }
    if (!post || error) {
        free(bytes);
    } else {
        pthread_mutex_lock(&lock);
        assign(post->text, bytes, (size_t)message->bytes);
        pthread_mutex_unlock(&lock);
    }
    if (post && error)
        report_failure(post->id, false, "it did not arrive");
    else if (post)
        complete(post->id, ZCB_STATUS_DONE, NULL, 0);
    if (post)
        free_post(post);
}

/* The system refused something now: trying again may help. */
static bool is_shortage(zcb_error error)
{
    return error == ZCB_ERR_NO_MEMORY || error == ZCB_ERR_NO_HANDLES || error == ZCB_ERR_SYSTEM;
}

static void *receive_all(void *arg)
{
    struct bridge *bridge = arg;
    zcb_wait wait = {.deadline_ns = ZCB_NEVER, .cancel = bridge->cancel_receive};
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!bridge->receives && !bridge->closed)
            pthread_cond_wait(&changed, &lock);
        bool closed = bridge->closed;
        pthread_mutex_unlock(&lock);
        zcb_message message;
        zcb_error error = closed
                              ? ZCB_ERR_CLOSED
                              : zcb_receive_begin(bridge->channel, ZCB_WISH_COPY, &message, &wait);
        if (error == ZCB_ERR_CANCELLED) {
            zcb_cancel_reset(bridge->cancel_receive);
            continue;
        }
        if (is_shortage(error))
            continue;
        if (error)
            return NULL;
        pthread_mutex_lock(&lock);
        struct post *post;
        while (!(post = take_match(bridge, &message)) && !bridge->closed &&
               (message.id == 0 || message.id > bridge->last_receive))
            pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        take_in(bridge, &message, post);
    }
}

/* Who waits for the message is told why it does not come. */
static void send_failure(struct bridge *bridge, uint64_t id, const char *text)
{
    zcb_message message = {.kind = ZCB_KIND_ERROR, .id = id, .bytes = strlen(text)};
    if (is_shortage(zcb_send(bridge->channel, &message, text, NULL)))
        zcb_channel_close(bridge->channel);
}

static void *send_all(void *arg)
{
    struct bridge *bridge = arg;
    zcb_wait wait = {.deadline_ns = ZCB_NEVER, .cancel = bridge->cancel_send};
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!bridge->sends && !bridge->closed)
            pthread_cond_wait(&changed, &lock);
        struct post *post = bridge->closed ? NULL : take_post(&bridge->sends, bridge->sends->id);
        bridge->sending = post ? post->id : 0;
        pthread_mutex_unlock(&lock);
        if (!post)
            return NULL;
        zcb_message message = {.kind = post->kind, .id = post->id, .bytes = post->count};
        zcb_error error = zcb_send(bridge->channel, &message, post->bytes, &wait);
        pthread_mutex_lock(&lock);
        bridge->sending = 0;
        zcb_cancel_reset(bridge->cancel_send);
        pthread_mutex_unlock(&lock);
        if (is_shortage(error))
            send_failure(bridge, post->id, zcb_error_text(error));
        if (post->kind == ZCB_KIND_ERROR)
            report_failure(post->id, false, "no such variable");
        else if (error == ZCB_ERR_CANCELLED)
            complete(post->id, ZCB_STATUS_STOPPED, NULL, 0);
        else if (error)
            report_failure(post->id, false, zcb_error_text(error));
        else
            complete(post->id, ZCB_STATUS_DONE, NULL, 0);
        free_post(post);
    }
}

void detach(void *(*work)(void *), void *arg)
{
    pthread_t thread;
    pthread_create(&thread, NULL, work, arg);
    pthread_detach(thread);
}

/* The bridge of a command, opened at first use; NULL when it is closed. */
static struct bridge *bridge_of(uint32_t number)
{
    pthread_mutex_lock(&lock);
    struct bridge *bridge = bridges;
    while (bridge && bridge->number != number)
        bridge = bridge->next;
    if (!bridge) {
        bridge = calloc(1, sizeof(*bridge));
        bridge->number = number;
        if (zcb_agent_channel(agent, number, &bridge->channel)) {
            free(bridge);
            bridge = NULL;
        } else {
            if (zcb_cancel_create(&bridge->cancel_receive) ||
                zcb_cancel_create(&bridge->cancel_send))
                zcb_agent_end_process(1);
            bridge->next = bridges;
            bridges = bridge;
            detach(receive_all, bridge);
            detach(send_all, bridge);
        }
    }
    pthread_mutex_unlock(&lock);
    return bridge;
}

/* The value of "$name", or so many bytes. Under the lock. */
static void evaluate(struct post *post)
{
    const struct variable *variable = variable_of(post->text);
    size_t count = variable ? variable->count : (size_t)atoll(post->text);
    post->kind = ZCB_KIND_BYTES;
    if (!variable && post->text[0] == '$') {
        post->kind = ZCB_KIND_ERROR;
        post->bytes = (unsigned char *)strdup("no such variable");
        post->count = strlen("no such variable");
        return;
    }
    post->bytes = malloc(count + 1);
    post->count = count;
    if (variable)
        memcpy(post->bytes, variable->bytes, count);
    else
        fill(post->bytes, count, count);
}

/* It ends without having taken or sent anything. */
static void stop_post(struct post *post)
{
    zcb_completion completion = completion_of(ZCB_STATUS_STOPPED);
    completion.refused = post->op == ZCB_OP_RECEIVE;
    complete_with(post->id, completion, ZCB_PART_OUT, NULL, 0, false);
    free_post(post);
}

void transfer(const zcb_command *command, const char *text)
{
    struct bridge *bridge = bridge_of(command->channel);
    bool readonly = strcmp(text, "$readonly") == 0;
    if (!bridge || readonly) {
        pthread_mutex_lock(&lock);
        if (bridge)
            bridge->last_receive = command->id;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        report_failure(command->id, true, readonly ? "it is read-only" : "the bridge was closed");
        return;
    }
    struct post *post = calloc(1, sizeof(*post));
    post->op = (zcb_op)command->op;
    post->id = command->id;
    post->takes_queued = (command->flags & ZCB_COMMAND_TAKE_QUEUED) != 0;
    post->text = strdup(text);
    pthread_mutex_lock(&lock);
    bool told = is_told_to_stop(post->id);
    if (told) {
        bridge->last_receive = post->id;
    } else if (post->op == ZCB_OP_SEND) {
        evaluate(post);
        append(&bridge->sends, post);
    } else {
        append(&bridge->receives, post);
        bridge->last_receive = post->id;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (told)
        stop_post(post);
}

bool stop_transfer(uint64_t id)
{
    for (struct bridge *bridge = bridges; bridge; bridge = bridge->next) {
        struct post *post = take_post(&bridge->receives, id);
        if (!post)
            post = take_post(&bridge->sends, id);
        if (post) {
            stop_post(post);
            zcb_cancel_set(bridge->cancel_receive);
            return true;
        }
        if (bridge->sending == id) {
            zcb_cancel_set(bridge->cancel_send);
            return true;
        }
    }
    return false;
}

void close_bridge(uint32_t number)
{
    pthread_mutex_lock(&lock);
    struct bridge **link = &bridges;
    while (*link && (*link)->number != number)
        link = &(*link)->next;
    struct bridge *bridge = *link;
    if (bridge) {
        *link = bridge->next;
        bridge->closed = true;
        zcb_channel_close(bridge->channel);
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    zcb_agent_forget_channel(agent, number);
    /* The channel's memory stays: its threads may still be on their way out. */
}
