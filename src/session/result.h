/* The result of a command: while its replies arrive, and complete. */
#ifndef ZCB_RESULT_H
#define ZCB_RESULT_H

#include "protocol/message.h"

/* Text of one stream: in memory of its own, or, with capacity 0, in memory of something else. */
struct text {
    const char *text;
    size_t bytes;
    char *own;
    size_t capacity;
};

struct zcb_result {
    uint64_t id;
    uint32_t op;
    zcb_completion completion;
    bool incomplete; /* there was no memory for all of its text */
    struct text text[ZCB_STREAMS];
    unsigned char *message; /* the completing reply, which text may lie in; from malloc */
};

/* NULL: no memory. */
zcb_result *zcbi_result_create(uint64_t id, uint32_t op);
/* True when a message is a reply: parts of known kinds, with a completion at the end of a
 * completing one. */
bool zcbi_reply_makes_sense(const unsigned char *message, size_t bytes, bool completes);
/* Adds a reply that makes sense to the result, and takes over its memory (from malloc). NULL: there
 * was no memory for the reply. True when the result is complete now. */
bool zcbi_result_add_reply(zcb_result *result, unsigned char *message, size_t bytes,
                           bool completes);
/* Completes the result without a reply. err: the text of ZCB_PART_ERR. */
void zcbi_result_end(zcb_result *result, zcb_status status, const char *err);

#endif
