/* The start of a session, up to the engine's answer. start.c calls engine_find.c, module.c,
 * handshake.c, launch.c and handshake.c again, in this order. */
#ifndef ZCB_START_H
#define ZCB_START_H

#include "session.h"

#define PATH_BYTES 4096

struct starting {
    const zcb_session_options *options;
    zcb_session *session;
    char engine[PATH_BYTES];
    char module[PATH_BYTES];
    plat_handle engine_link; /* the end that the engine inherits */
    plat_handle out, err;    /* become its standard output and error */
    const zcb_wait *wait;
    zcb_detail *why;
};

/* All fill in start->why on errors, but for ZCB_ERR_NO_MEMORY and the like. */

/* Finds the module for the engine. ZCB_ERR_NOT_FOUND, _INVALID. */
zcb_error zcbi_start_find_module(struct starting *start);
/* Makes the link, the session's channels and the files that the engine inherits; sends the first
 * records. */
zcb_error zcbi_start_prepare(struct starting *start);
/* Starts the engine's process. Errors as zcbi_plat_process_spawn. */
zcb_error zcbi_start_launch(struct starting *start);
/* Waits for the engine's hello. ZCB_ERR_START when it ended before; _VERSION, _PROTOCOL, and the
 * errors of a wait. */
zcb_error zcbi_start_await_hello(struct starting *start);

#endif
