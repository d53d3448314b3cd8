#include "pairing.h"

#include <stdlib.h>

/* ---------------------------------------------------------------- queues of posts */

static void put_first(struct posts *posts, struct post *post)
{
    post->next = posts->first;
    posts->first = post;
    if (!post->next)
        posts->end = &post->next;
}

static void put_last(struct posts *posts, struct post *post)
{
    *posts->end = post;
    posts->end = &post->next;
}

/* The link to the post with this id; it holds NULL where there is none. */
static struct post **find_post(struct posts *posts, uint64_t id)
{
    struct post **link = &posts->first;
    while (*link && (*link)->id != id)
        link = &(*link)->next;
    return link;
}

/* Removes the post that `link` holds (may be NULL) and returns it. It is the caller's. */
static struct post *take_post(struct posts *posts, struct post **link)
{
    struct post *post = *link;
    if (!post)
        return NULL;
    *link = post->next;
    if (!post->next)
        posts->end = link;
    post->next = NULL;
    return post;
}

static void free_posts(struct posts *posts)
{
    while (posts->first)
        free(take_post(posts, &posts->first));
}

void zcbi_pairing_init(struct pairing *pairing)
{
    *pairing = (struct pairing){0};
    pairing->receives.end = &pairing->receives.first;
    pairing->sends.end = &pairing->sends.first;
}

void zcbi_pairing_destroy(struct pairing *pairing)
{
    free_posts(&pairing->receives);
    free_posts(&pairing->sends);
    free(pairing->taker);
}

/* ---------------------------------------------------------------- posted transfers */

bool zcbi_pairing_post(struct pairing *pairing, uint64_t id, uint32_t op, uint32_t *flags)
{
    struct post *post = malloc(sizeof(*post));
    if (!post)
        return false;
    *post = (struct post){.id = id, .lease = (*flags & ZCB_COMMAND_LEASE) != 0};
    if (op == ZCB_OP_SEND) {
        put_last(&pairing->sends, post);
    } else if (pairing->unmatched == 0) {
        put_last(&pairing->receives, post);
    } else {
        pairing->unmatched--;
        free(pairing->taker);
        pairing->taker = post;
        *flags |= ZCB_COMMAND_TAKE_QUEUED;
    }
    return true;
}

void zcbi_pairing_unpost(struct pairing *pairing, uint64_t id, uint32_t op, uint32_t flags,
                         bool done)
{
    struct posts *posts = op == ZCB_OP_SEND ? &pairing->sends : &pairing->receives;
    bool took = (flags & ZCB_COMMAND_TAKE_QUEUED) && !done;
    struct post *post = take_post(posts, find_post(posts, id));
    if (!post && took)
        pairing->unmatched++;
    free(post);
}

/* A receive without a message keeps its place until the user knows of the failure. If it should
 * have taken a queued message, the next posted receive takes that one. */
void zcbi_pairing_fail(struct pairing *pairing, uint64_t id, uint32_t flags)
{
    struct post *post = *find_post(&pairing->receives, id);
    if (post)
        post->failed = true;
    else if (flags & ZCB_COMMAND_TAKE_QUEUED)
        pairing->unmatched++;
}

bool zcbi_pairing_is_posted(struct pairing *pairing, uint64_t id)
{
    return *find_post(&pairing->receives, id) != NULL;
}

void zcbi_pairing_withdraw(struct pairing *pairing, uint64_t id)
{
    free(take_post(&pairing->receives, find_post(&pairing->receives, id)));
}

/* ---------------------------------------------------------------- messages to the engine */

zcb_error zcbi_pairing_match(struct pairing *pairing, zcb_message *message, uint64_t frame_bytes,
                             uint32_t *send_flags, struct post **taken)
{
    zcb_error error = ZCB_OK;
    const struct post *post = pairing->receives.first;
    bool lease = post && post->lease && message->kind == ZCB_KIND_BYTES;
    message->id = post ? post->id : 0;
    *send_flags = lease ? SEND_WHOLE : 0;
    if (!post)
        pairing->unmatched++;
    else if (post->failed)
        error = ZCB_ERR_REFUSED;
    else if (lease && message->bytes > frame_bytes)
        error = ZCB_ERR_TOO_LARGE;
    if (error != ZCB_ERR_TOO_LARGE)
        *taken = take_post(&pairing->receives, &pairing->receives.first);
    return error;
}

struct post *zcbi_pairing_unmatch(struct pairing *pairing, struct post *taken)
{
    if (taken)
        return taken;
    if (pairing->unmatched > 0) {
        pairing->unmatched--;
        return NULL;
    }
    struct post *taker = pairing->taker;
    pairing->taker = NULL;
    return taker;
}

void zcbi_pairing_repost(struct pairing *pairing, struct post *post)
{
    put_first(&pairing->receives, post);
}

uint64_t zcbi_pairing_taker(const struct pairing *pairing)
{
    return pairing->taker ? pairing->taker->id : 0;
}

/* ---------------------------------------------------------------- messages from the engine */

bool zcbi_pairing_arrived(struct pairing *pairing, const zcb_message *message)
{
    bool seen = false;
    struct posts *sends = &pairing->sends;
    while (sends->first && sends->first->id <= message->id) {
        struct post *post = take_post(sends, &sends->first);
        seen = post->seen && post->id == message->id && message->kind == ZCB_KIND_ERROR;
        free(post);
    }
    return seen;
}

void zcbi_pairing_seen(struct pairing *pairing, uint64_t id)
{
    struct post **receive = find_post(&pairing->receives, id);
    struct post *send = *find_post(&pairing->sends, id);
    if (*receive && (*receive)->failed)
        free(take_post(&pairing->receives, receive));
    else if (send)
        send->seen = true;
}

void zcbi_paired_close(struct paired_channel *paired)
{
    if (!paired->closed)
        zcb_channel_close(paired->channel);
    paired->closed = true;
}
