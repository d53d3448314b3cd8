#include "check.h"

#include <string.h>

#define E(name) (UINT32_C(1) << ZCB_ERR_##name)

/* Every call that makes something or may wait; every wait; every use of a channel. See zcb.h. */
#define SHORTAGE (E(NO_MEMORY) | E(NO_HANDLES) | E(SYSTEM))
#define WAIT (E(TIMEOUT) | E(CANCELLED) | SHORTAGE)
#define CHANNEL (WAIT | E(CLOSED) | E(PEER_CLOSED) | E(PEER_GONE) | E(PROTOCOL))
#define SESSION (WAIT | E(CLOSED) | E(PEER_GONE))

static const struct {
    const char *function;
    uint32_t errors;
} documented[] = {
    {"zcb_cancel_create", SHORTAGE},
    {"zcb_channel_pair", SHORTAGE},
    {"zcb_send", CHANNEL | E(REFUSED)},
    {"zcb_send_begin", CHANNEL},
    {"zcb_send_write", CHANNEL | E(REFUSED)},
    {"zcb_send_flush", E(NO_MEMORY)},
    {"zcb_send_end", E(NO_MEMORY)},
    {"zcb_block_allocate", CHANNEL | E(TOO_LARGE)},
    {"zcb_receive_begin", CHANNEL},
    {"zcb_receive_read", CHANNEL | E(ABORTED)},
    {"zcb_receive_end", 0},
    {"zcb_receive_lease", CHANNEL | E(ABORTED) | E(TOO_LARGE)},
    {"zcb_engine_find", SHORTAGE | E(NOT_FOUND)},
    {"zcb_session_start", WAIT | E(NOT_FOUND) | E(START) | E(PROTOCOL)},
    {"zcb_session_submit", SESSION},
    {"zcb_session_run", SESSION},
    {"zcb_session_wait", SESSION | E(NOT_FOUND)},
    {"zcb_session_next", SESSION},
    {"zcb_session_event", SHORTAGE},
    {"zcb_session_stop", SHORTAGE | E(NOT_FOUND)},
    {"zcb_session_ping", SESSION},
    {"zcb_bridge_open", SHORTAGE | E(CLOSED) | E(PEER_GONE)},
    {"zcb_bridge_post_receive", SESSION},
    {"zcb_bridge_post_send", SESSION},
    {"zcb_bridge_send", CHANNEL | E(REFUSED)},
    {"zcb_bridge_receive_begin", CHANNEL},
    {"zcb_agent_open", SHORTAGE | E(NOT_FOUND)},
    {"zcb_agent_next", WAIT},
    {"zcb_agent_output", SHORTAGE},
    {"zcb_agent_complete", SHORTAGE},
    {"zcb_agent_listen", WAIT},
    {"zcb_agent_allocate", CHANNEL | E(TOO_LARGE) | E(NOT_FOUND)},
    {"zcb_bridge_withdraw", SHORTAGE | E(NOT_FOUND) | E(TOO_LATE)},
};

bool is_documented(const char *function, zcb_error error)
{
    if (error == ZCB_OK)
        return true;
    for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++)
        if (strcmp(documented[i].function, function) == 0)
            return (documented[i].errors & (UINT32_C(1) << error)) != 0;
    return false;
}
