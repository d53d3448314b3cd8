/* The result of a command, while it arrives and when it is there. */
#ifndef ZCB_RESULT_H
#define ZCB_RESULT_H

#include "protocol/message.h"

/* Text of one stream: memory of its own, or, with capacity 0, text that lies elsewhere. */
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
    bool incomplete; /* there was no memory for some of its text */
    struct text text[ZCB_STREAMS];
    unsigned char *message; /* text lies in here */
};

/* NULL without memory. */
zcb_result *zcbi_result_create(uint64_t id, uint32_t op);
/* True when a message is a reply: parts of known kinds, with a completion at their end if it is a completing one. */
bool zcbi_reply_makes_sense(const unsigned char *message, size_t bytes, bool completes);
/* Takes in a reply that makes sense, and its memory (malloc). NULL: there was no memory for the reply. Returns true when
 * the result is complete now. */
bool zcbi_result_add_reply(zcb_result *result, unsigned char *message, size_t bytes,
                           bool completes);
/* It ends without a word from the engine. */
void zcbi_result_end(zcb_result *result, zcb_status status, const char *err);

#endif
