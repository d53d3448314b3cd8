/*
 * What the scenarios are checked by. A scenario is a row of steps that do not need each other. The step in
 * which a call fails may end in any error that the header documents; every other step must succeed, unless the
 * session is over by then.
 */
#ifndef ZCB_TEST_FAULTS_CHECK_H
#define ZCB_TEST_FAULTS_CHECK_H

#include <stddef.h>

#include "faults.h"
#include "zcb/zcb.h"

struct scenario {
    const char *name;
    enum side side; /* whose calls fail */
    void (*run)(void);
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;

void run_agent(void);
void run_channel(void);
void run_session(void);
void run_finding(void);

/* Long enough for a loaded machine; what ends by it has waited in vain. */
#define CALL_LIMIT_MS 5000

static inline zcb_wait in_time(void)
{
    return (zcb_wait){.deadline_ns = zcb_deadline_ns(CALL_LIMIT_MS)};
}

/* Calls a function of the library and looks at the error it returns, which is also the value. */
#define CALL(function, ...) call_ended(#function, function(__VA_ARGS__), ZCB_OK)
/* The same where a call without a fault is to end in `expected`. */
#define CALL_FOR(expected, function, ...) call_ended(#function, function(__VA_ARGS__), expected)
zcb_error call_ended(const char *function, zcb_error error, zcb_error expected);

/* What must hold, unless this step had the fault or the session is over; its value is `holds`. */
bool right(bool holds, const char *what);
/* What must hold in any case. */
bool always(bool holds, const char *what);

/* Begins the next step. */
void next_step(void);
/* Between these two nothing fails: to see what is left after the fault. */
void suspend_faults(void);
void resume_faults(void);
/* The scenario's end: what went wrong after the fault is excused when the session is over. */
void conclude(bool over);

/* ---- documented.c ---- */

/* Whether the header says that the function can return this. */
bool is_documented(const char *function, zcb_error error);

#endif
