#include "users.h"

struct user user_of(zcb_session *session, uint64_t id)
{
    return (struct user){.session = session, .id = id, .wait = patience()};
}

void *wait_here(void *arg)
{
    struct user *user = arg;
    user->error = zcb_session_wait(user->session, user->id, &user->result, &user->wait);
    return NULL;
}

void *next_here(void *arg)
{
    struct user *user = arg;
    user->error = zcb_session_next(user->session, &user->result, &user->wait);
    return NULL;
}

void assert_done(struct user *user, pthread_t thread, zcb_status status)
{
    join_thread(thread);
    assert_int_equal(user->error, ZCB_OK);
    assert_int_equal(zcb_result_status(user->result), status);
    zcb_result_free(user->result);
}

unsigned sleeping_followers(zcb_session *session)
{
    unsigned count = 0;
    zcbi_plat_mutex_lock(&session->lock);
    for (struct follower *f = session->followers; f; f = f->next)
        count += atomic_load(&f->waiter.asleep) != 0;
    zcbi_plat_mutex_unlock(&session->lock);
    return count;
}
