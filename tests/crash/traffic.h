/* What a program does with its session, on several threads, with contents that are checked. */
#ifndef ZCB_CRASH_TRAFFIC_H
#define ZCB_CRASH_TRAFFIC_H

#include "support.h"

enum work {
    WORK_COMMANDS,
    WORK_FUTURES,
    WORK_TO_ENGINE,
    WORK_FROM_ENGINE,
    WORK_LEASES,
    WORK_OPEN_ENDED_TO_ENGINE,
    WORK_OPEN_ENDED_FROM_ENGINE,
    WORK_PINGS,
    WORKS_THAT_END,
    WORK_RECEIVE_NOTHING = WORKS_THAT_END, /* waits for what never comes */
    WORK_SEND_TO_NOBODY,
    WORKS
};

#define MOST_WORKERS WORKS
#define FOR_EVER UINT64_MAX

struct worker {
    pthread_t thread;
    enum work work;
    uint64_t steps; /* that it is to do; 0 when it has done all */
    uint64_t random;
    zcb_session *session;
    zcb_bridge *bridge;
    zcb_lease *lease;
    uint64_t lease_seed;
    const char *fault; /* what it saw that must not be, or NULL */
    zcb_error error;   /* what ended it */
    int64_t ended_ns;
    int64_t starved_ns; /* how long it waited for a processor in its last step */
};

struct traffic {
    struct worker workers[MOST_WORKERS];
    unsigned count;
};

/* Starts one worker for each work whose bit is set in `works`. */
void traffic_start(struct traffic *traffic, zcb_session *session, unsigned works, uint64_t steps,
                   uint64_t random);
/* Waits for the end of all workers: they have done their steps, or the session is over. NULL, or what one of them
 * saw that must not be. */
const char *traffic_join(struct traffic *traffic);
/* Frees what the workers hold, once the session may be gone: leases stay readable until then. NULL, or what is
 * wrong with one. */
const char *traffic_free(struct traffic *traffic);

#endif
