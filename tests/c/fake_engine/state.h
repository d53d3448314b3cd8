/* What the parts of the stand-in for the engine share: its agent, what it answers, what it is told, its variables. */
#ifndef ZCB_TEST_FAKE_ENGINE_STATE_H
#define ZCB_TEST_FAKE_ENGINE_STATE_H

#include "support.h"

extern zcb_agent *agent;
/* Guards all that follows, and the bridges; who changes it tells `changed`. */
extern pthread_mutex_t lock;
extern pthread_cond_t changed;
extern bool ending;

/* ---- answers ---- */

zcb_completion completion_of(zcb_status status);
/* With one text in that stream. */
void complete_with(uint64_t id, zcb_completion completion, zcb_part_kind stream, const void *text,
                   size_t bytes, bool soon);
/* With what went to its output. */
void complete(uint64_t id, zcb_status status, const void *out, size_t bytes);
void report_failure(uint64_t id, bool refused, const char *err);

/* ---- stopping, under the lock ---- */

bool is_told_to_stop(uint64_t id);
void tell_to_stop(uint64_t id);

/* ---- variables, under the lock ---- */

struct variable {
    struct variable *next;
    char *name;
    unsigned char *bytes;
    size_t count;
};

struct variable *variable_of(const char *name);
/* Takes the bytes over. */
void assign(const char *name, unsigned char *bytes, size_t count);

#endif
