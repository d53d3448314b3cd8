/* Sessions with the stand-in for the engine, which is built beside the test. */
#ifndef ZCB_TEST_SESSIONS_H
#define ZCB_TEST_SESSIONS_H

#include "fake_engine.h"
#include "session/session.h"
#include "support.h"

/* The engine's path. */
const char *fake_engine(void);
zcb_session_options fake_options(void);
zcb_session *start_session(const zcb_session_options *options);

/* The state of a test is a session; it leaves no process. */
int set_up_session(void **state);
int tear_down_session(void **state);

uint64_t submit(zcb_session *session, const char *text, uint32_t flags, int64_t timeout_ms);
zcb_result *wait_for(zcb_session *session, uint64_t id);
/* Waits for it and forgets it. */
zcb_status status_of(zcb_session *session, uint64_t id);
/* Safe on any thread. */
bool says(zcb_session *session, const char *text, const char *out);
int64_t number_of(zcb_session *session, const char *text);
void assert_serves(zcb_session *session);

/* Until somebody waits for the session's replies in the kernel. */
void await_reader(zcb_session *session);
/* Until somebody sleeps while another thread reads. */
void await_follower(zcb_session *session);

void halt(zcb_session *session);
void kill_its_engine(zcb_session *session);
void await_end_of(int64_t pid);

/* A process that does nothing until it is ended; its pid comes from the child. */
plat_child start_idle_process(void);
/* Waits for the end of a child that was started, and gives its handles back. */
int finish_child(plat_child *child);

#endif
