/* What the tests ask of the operating system beyond platform.h, and how a test is left out, with its reason,
 * where a system has not what it is about. */
#ifndef ZCB_TEST_SYSTEM_H
#define ZCB_TEST_SYSTEM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/platform.h"

/* Reasons. */
#define NO_FORK "there is no fork: no process is a copy of another one"
#define NO_SIGNALS "signals interrupt nothing"
#define NO_DESCRIPTOR_FLAGS "handles have no flags that a peer could change"
#define NO_LIMITS "the system has no such limit for a process"

static inline void leave_out(void **state)
{
    print_message("left out: %s\n", (const char *)*state);
    skip();
}
#define LEFT_OUT(test, reason)                                                                     \
    {                                                                                              \
#test, leave_out, NULL, NULL, (void *)(uintptr_t)(reason)                                  \
    }

/* A test of the list that POSIX (Windows) alone runs. */
#if defined(_WIN32)
#define ON_POSIX(test, reason) LEFT_OUT(test, reason)
#define TEST_ON_POSIX(test, reason) LEFT_OUT(test, reason)
#else
#define ON_POSIX(test, reason) cmocka_unit_test(test)
#define TEST_ON_POSIX(test, reason) TEST(test) /* with the file's own set-up */
#endif

#if defined(_WIN32)
#include "system_windows.h"
#else
#include "system_posix.h"
#endif

#endif
