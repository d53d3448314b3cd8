/*
 * A process on a real session that misbehaves: for so many seconds, rounds with a hostile engine and rounds with a
 * hostile program. The side that works must neither crash nor hang; the sanitizers watch both.
 *
 * usage: hostile_peer SECONDS [SEED]
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "peer.h"

#define MOST_SECONDS_A_ROUND 120 /* every wait in it is far shorter */

int main(int argc, char **argv)
{
    static char self[PATH_MAX];
    const char *role = getenv(ROLE_VARIABLE), *seed_text = getenv(SEED_VARIABLE);
    signal(SIGPIPE, SIG_IGN);
    if (role && seed_text)
        return play_engine(role, strtoull(seed_text, NULL, 10));
    if (argc < 2 || !realpath("/proc/self/exe", self)) {
        fprintf(stderr, "usage: %s SECONDS [SEED]\n", argv[0]);
        return 2;
    }
    int64_t end = zcb_deadline_ns(1000 * strtoll(argv[1], NULL, 10));
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)zcb_now_ns();
    uint64_t rounds = 0;
    for (; zcb_now_ns() < end; rounds++, seed++) {
        fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        alarm(MOST_SECONDS_A_ROUND); /* its default action ends a process that hangs */
        meet_hostile_engine(self, seed);
        attack_agent(self, seed);
        alarm(0);
    }
    printf("%llu rounds\n", (unsigned long long)rounds);
    return 0;
}
