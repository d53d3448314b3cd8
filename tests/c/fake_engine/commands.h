/* Commands: a word and its argument. */
#ifndef ZCB_TEST_FAKE_ENGINE_COMMANDS_H
#define ZCB_TEST_FAKE_ENGINE_COMMANDS_H

#include "state.h"

/* Runs it, unless it was stopped before. */
void run_command(const zcb_command *command, const char *text);

void idle(void);
void end_by_force(void);

#endif
