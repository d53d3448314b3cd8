/* What the roles of the hostile process share. It plays both sides of a session, one of them hostile:
 * peer_program.c starts the session, peer_engine.c is what it starts. */
#ifndef ZCB_FUZZ_PEER_H
#define ZCB_FUZZ_PEER_H

#include "channel/block.h"
#include "random.h"
#include "session/session.h"
#include "vandal.h"

/* Tells the started process which part it plays. */
#define ROLE_VARIABLE "HOSTILE_ROLE"
#define ROLE_HOSTILE_ENGINE "hostile engine"
#define ROLE_AGENT "agent"
#define SEED_VARIABLE "HOSTILE_SEED"

/* One step of a hostile peer on one of its channels: in shared memory, on the bells, on the memory itself. */
void misbehave(struct vandal *vandal, const struct region *region, struct input *input);

/* In the started process; returns its exit code. */
int play_engine(const char *role, uint64_t seed);
/* Rounds in the starting process: work with a hostile engine; attack an agent. */
void meet_hostile_engine(const char *self, uint64_t seed);
void attack_agent(const char *self, uint64_t seed);

#endif
