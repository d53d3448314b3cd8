/* What the crash sweeps share: how often they run, at which random moments something happens, how fast the end of
 * one side is seen by the other, and what is left behind. */
#ifndef ZCB_CRASH_SWEEP_H
#define ZCB_CRASH_SWEEP_H

#include "support.h"

struct sweep {
    unsigned runs;
    uint64_t seed;
};

/* From `--runs N --seed S`; without a seed a new one. Prints both, so that a run can be repeated. */
struct sweep sweep_options(int argc, char **argv, unsigned runs);
/* The random state of one run. */
uint64_t sweep_random(const struct sweep *sweep, unsigned run);
/* Ends the program when a run hangs; to be called at the beginning of each. */
void sweep_guard(unsigned run);
/* Runs all of them, in one phase after the other, and asserts that none leaves anything. */
void sweep_phases(const struct sweep *sweep, unsigned phases,
                  void (*run_once)(uint64_t random, unsigned phase));
/* The end of a program that a run has started, and that found something wrong. */
_Noreturn void exit_with(const char *what);

/* Orphans become this process's children, so that they are seen. Where it is allowed to, this process also gets a
 * /dev/shm, a /tmp and a network namespace (which counts AF_UNIX sockets) of its own, in which nobody else leaves
 * anything, and goes before all others, whose load is not what is measured. */
void isolate(void);

/* From `least` to `most` ns; each order of magnitude is as likely as the next. */
int64_t random_ns(uint64_t *random, int64_t least, int64_t most);
/* Lets this much time pass: a random moment, not a wait for something. */
void pass_ns(int64_t ns);

/* How long this thread has waited for a processor so far, which is nobody's fault but the machine's. */
int64_t starved_ns(void);

/* Stops a process and returns when none of its threads runs any more; lets it go on. Nothing for one that has ended. */
void stop_process(pid_t pid);
void continue_process(pid_t pid);

/* What this process holds, and what lies in the places that others share with it. */
struct footprint {
    unsigned descriptors;
    unsigned mappings; /* of memory that is shared by descriptor */
    unsigned sockets;  /* 0 without a namespace of its own */
    unsigned files;    /* likewise */
};

struct footprint footprint_now(void);
/* Waits for the end of all children, which must not have crashed, and compares. */
void assert_nothing_left(const struct footprint *before);

/* Times from the kernel's word that a process has ended to what follows from it. */
struct delays {
    int64_t *ns;
    size_t count;
    size_t capacity;
    int64_t longest_fed; /* when the time without a processor does not count */
};

/* One that came before the word was heard counts as 0. starved: as from starved_ns. */
void delays_add(struct delays *delays, int64_t ns, int64_t starved);
/* Prints median, 99th percentile and the longest, asserts that none took more than 100 ms of its own
 * (1 s with a sanitizer), and frees. */
void delays_report(struct delays *delays, const char *what);

#endif
