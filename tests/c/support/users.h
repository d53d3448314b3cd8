/* Threads that use a session: each waits for one result, or for whichever comes. */
#ifndef ZCB_TEST_USERS_H
#define ZCB_TEST_USERS_H

#include "sessions.h"

struct user {
    zcb_session *session;
    uint64_t id, count;
    zcb_wait wait;
    zcb_error error;
    zcb_result *result;
};

struct user user_of(zcb_session *session, uint64_t id);
void *wait_here(void *user);
void *next_here(void *user);
/* Joins the thread, and frees the result. */
void assert_done(struct user *user, pthread_t thread, zcb_status status);
/* How many threads sleep while another one reads. */
unsigned sleeping_followers(zcb_session *session);

#endif
