/* Input from a seed. */
#ifndef ZCB_FUZZ_RANDOM_H
#define ZCB_FUZZ_RANDOM_H

#include "input.h"

struct random {
    uint64_t state;
    uint8_t bytes[64]; /* as many as one step may use */
};

/* SplitMix64 */
static inline uint64_t random_number(struct random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t value = random->state;
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* Valid until the next call. */
static inline struct input random_input(struct random *random)
{
    for (size_t i = 0; i < sizeof(random->bytes); i += sizeof(uint64_t)) {
        uint64_t number = random_number(random);
        for (size_t j = 0; j < sizeof(number); j++)
            random->bytes[i + j] = (uint8_t)(number >> (8 * j));
    }
    return (struct input){random->bytes, sizeof(random->bytes)};
}

#endif
