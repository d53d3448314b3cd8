/* A session with the stand-in for the engine, and a bridge. */
#ifndef ZCB_TEST_BRIDGES_H
#define ZCB_TEST_BRIDGES_H

#include "sessions.h"

#define FRAME (UINT64_C(1) << 20)
#define WINDOW (UINT64_C(256) << 10)
#define LONG (3 * FRAME + 5) /* too long for the frame */

/* From nothing to what is too long for the frame. */
#define SIZES 7
extern const uint64_t sizes[SIZES];

struct fixture {
    zcb_session *session;
    zcb_bridge *bridge;
};

int set_up_bridge(void **state);
int tear_down_bridge(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_bridge, tear_down_bridge)

zcb_bridge *open_bridge(zcb_session *session);

uint64_t post(struct fixture *f, const char *target, int64_t timeout_ms);
uint64_t post_send(struct fixture *f, const char *expression);

/* Content and length are one, so that it can be recognized. */
zcb_error send_bytes(zcb_bridge *bridge, uint64_t bytes, uint64_t *refused_by,
                     const zcb_wait *wait);
/* Safe on any thread. */
bool receive_bytes(zcb_bridge *bridge, zcb_message *message);

void assert_sent(struct fixture *f, uint64_t bytes);
void assert_arrived(struct fixture *f, uint64_t id, const char *target, uint64_t bytes);
void assert_transfer_failed(struct fixture *f, uint64_t id, bool refused);
void assert_bridge_works(struct fixture *f);

/* send_bytes on a thread of its own. */
struct sender {
    zcb_bridge *bridge;
    uint64_t bytes, refused_by;
    zcb_wait wait;
    zcb_error error;
    bool untold; /* asks not by whom it was refused */
};

void *send_here(void *sender);

#endif
