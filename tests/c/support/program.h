/* The program's side of a session, whose records and messages are made by hand. Both sides are in this process. */
#ifndef ZCB_TEST_PROGRAM_H
#define ZCB_TEST_PROGRAM_H

#include "agent/agent.h"
#include "protocol/link.h"
#include "protocol/urgent.h"
#include "support.h"
#include "wire.h"

/* What the runtime was asked for. */
struct runtime {
    _Atomic int owned;    /* what was given and is not released, targets included */
    _Atomic bool refuses; /* memory */
    _Atomic int reclaimed;
};

struct program {
    plat_handle link;
    zcb_channel *commands, *urgent;
    zcb_agent *agent;
    struct runtime runtime;
};

/* A runtime for the agent, whose owners are the memory itself. */
zcb_runtime runtime_of(struct program *program);
/* Its parts. */
void *runtime_allocate(void *arg, uint64_t bytes, void **data, zcb_detail *why);
void runtime_release(void *arg, void *owner);
void runtime_reclaim(void *arg, bool wait);

/* The state of a test is a program whose engine's side is open. */
int set_up_program(void **state);
int tear_down_program(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_program, tear_down_program)

/* A link whose other end this process inherits, as it were. */
plat_handle inherit_link(void);
zcb_error send_record(plat_handle link, struct link_record record, const plat_handle *handles,
                      unsigned count);

zcb_channel *open_channel(void);
/* Sends the channel's memory and bells, or so many of these handles. */
void send_channel(plat_handle link, uint32_t number, zcb_channel *channel, unsigned handles_sent);
void send_labelled(plat_handle link, uint32_t number, zcb_channel *channel, unsigned handles_sent,
                   const char *label);

void send_command(struct program *program, zcb_message message, const void *payload);
/* A command of one text, up to some 200 bytes long. */
void send_text_command(struct program *program, uint64_t id, struct command_wire head,
                       const char *text);
/* zcb_agent_next on a thread of its own, which returns the address of the error. */
void *next_command_here(void *program);

#endif
