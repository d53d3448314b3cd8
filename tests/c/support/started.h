/* A program that a test starts, mostly itself with a word that its main knows, and this side of what it was given. */
#ifndef ZCB_TEST_STARTED_H
#define ZCB_TEST_STARTED_H

#include "support.h"

struct started {
    plat_child child;
    plat_handle link, out, err;
};

/* Starts this program unless another one is wanted. */
zcb_error start(const plat_spawn *wanted, struct started *program, zcb_detail *why);
struct started start_word(const char *word, const char *argument);
/* Waits for the end; INT32_MIN when it does not come. */
int finish(struct started *program);
/* What it has written, NUL-terminated, once it has ended. */
void read_all(const struct started *program, plat_handle file, char *text, size_t room);

/* It does not start, says so, and leaves nothing behind. */
void assert_not_started(const plat_spawn *spawn, zcb_error expected, const char *text);

#endif
