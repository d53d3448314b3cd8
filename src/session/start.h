/* What is needed until the engine has answered: start.c runs module.c, launch.c and handshake.c in turn. */
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

/* Finds the module for the engine. ZCB_ERR_NOT_FOUND; why says more. */
zcb_error zcbi_start_find_module(struct starting *start);
/* Starts the engine's process. */
zcb_error zcbi_start_launch(struct starting *start);
/* Before the launch: makes the link, the session's channels and the files that the engine inherits. */
zcb_error zcbi_start_prepare(struct starting *start);
/* Waits for the engine's hello. ZCB_ERR_START when it ended before. */
zcb_error zcbi_start_await_hello(struct starting *start);

#endif
