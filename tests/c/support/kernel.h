/* A kernel that refuses a system call, or interrupts by signals. */
#ifndef ZCB_TEST_KERNEL_H
#define ZCB_TEST_KERNEL_H

#include "support.h"

/* From here on the kernel answers one system call of this process with an error: in a forked child. */
bool refuse_call(int call, int error);

void start_timer(long every_us);
void stop_timer(void);

#endif
