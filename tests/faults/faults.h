/*
 * Making libzcb's calls fail. The library is linked so that every system call and allocation of its goes
 * through wrap.c; a plan says which one fails, and how. The plan lies in memory that the program shares with
 * the engine that it starts, so that the calls of either can be counted and fail.
 */
#ifndef ZCB_TEST_FAULTS_H
#define ZCB_TEST_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum side { NOBODY, PROGRAM, ENGINE };

struct plan {
    _Atomic int side;        /* whose calls count: enum side */
    _Atomic uint64_t calls;  /* that could fail, so far */
    uint64_t fail_at;        /* the call that fails; 0: none */
    unsigned way;            /* in which of the ways that it can fail */
    unsigned ways;           /* that call's; 0 while there was no such call */
    char function[32];       /* what was to fail */
    int number;              /* the errno that it failed with */
    _Atomic bool has_failed; /* after all of this was written */
};

/* ---- plan.c ---- */

/* Where the engine finds the plan: an environment variable and its value, "NAME=VALUE". */
const char *plan_variable(void);
struct plan *plan_create(void);
/* Counts a call; true, with errno set, when it is to fail. numbers: the errnos it can fail with, ending in 0. */
bool plan_fails(const char *function, const int *numbers);

/* ---- wrap.c ---- */

/* Allocations of libzcb in this process that were not freed. */
long allocations_outstanding(void);

#endif
