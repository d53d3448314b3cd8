/* What inbox.c and intake.c share: judging and taking out what is posted. */
#ifndef ZCB_INBOX_H
#define ZCB_INBOX_H

#include "agent.h"

/* ---- intake.c ---- */

/* Deals with the message at the head of the stream, if there is one that can be dealt with; by
 * whoever serves. After a passing error go on, on any thread; after others the inbox has ended.
 * lazy: on the pipeline's thread. */
zcb_error zcbi_inbox_take_one(struct bridge_end *end, bool lazy, const zcb_wait *wait);
/* Never under the lock. */
void zcbi_contents_free(zcb_agent *agent, struct contents *contents);

/* All that follow are under the lock. */

/* What is to be done with the message at the head of the stream. */
enum verdict { VERDICT_WAIT, VERDICT_DELIVER, VERDICT_KEEP, VERDICT_DISCARD };

/* link: where the receive stands that it is for. */
enum verdict zcbi_inbox_judge(struct inbox *inbox, struct receive ***link);
/* Notes how many messages are done with, and tells who waits for that. */
void zcbi_inbox_settle(struct bridge_end *end);

static inline bool inbox_has_ended(const struct inbox *inbox)
{
    return inbox->ended.text[0] != 0;
}

static inline struct receive **inbox_find(struct inbox *inbox, uint64_t id)
{
    struct receive **link = &inbox->posted;
    while (*link && (*link)->id != id)
        link = &(*link)->next;
    return link;
}

static inline struct receive *inbox_take(struct receive **link)
{
    struct receive *receive = *link;
    if (receive)
        *link = receive->next;
    return receive;
}

#endif
