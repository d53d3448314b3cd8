/* Bridges and their posted transfers: each bridge has a thread that receives and one that sends. */
#ifndef ZCB_TEST_FAKE_ENGINE_TRANSFERS_H
#define ZCB_TEST_FAKE_ENGINE_TRANSFERS_H

#include "state.h"

/* Posts what the command asks for. */
void transfer(const zcb_command *command, const char *text);
/* True when the transfer was stopped, or will be. Under the lock. */
bool stop_transfer(uint64_t id);
void close_bridge(uint32_t number);

void detach(void *(*work)(void *), void *arg);

#endif
