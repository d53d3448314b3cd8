/* The bytes of a fuzzer (or of a random generator) as a source of choices. When they are used up, every
 * choice is 0. */
#ifndef ZCB_FUZZ_INPUT_H
#define ZCB_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct input {
    const uint8_t *at;
    size_t left;
};

static inline uint64_t input_take(struct input *input, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes && input->left > 0; i++, input->left--)
        value |= (uint64_t)*input->at++ << (8 * i);
    return value;
}

/* From 0 to below - 1; below is at most 256. */
static inline uint32_t input_pick(struct input *input, uint32_t below)
{
    return (uint32_t)input_take(input, 1) % below;
}

static inline bool input_bit(struct input *input)
{
    return input_pick(input, 2) != 0;
}

/* What must hold whatever the peer does. */
static inline void require(bool holds)
{
    if (!holds)
        abort();
}

#endif
