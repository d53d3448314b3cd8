/* What the C tests share: threads, contents that can be checked, and seeing that a thread sleeps. */
#ifndef ZCB_TEST_SUPPORT_H
#define ZCB_TEST_SUPPORT_H

#include "channel/block.h"
#include "system.h"

#include <pthread.h>
#include <sched.h>

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1) << 20)
#define MS INT64_C(1000000)

/* The one part of a command. */
#define TEXT_PART(chars, count)                                                                    \
    (&(zcb_part){.kind = ZCB_PART_TEXT, .data = (chars), .bytes = (count)})

static inline size_t text_bytes(const zcb_result *result, zcb_part_kind stream)
{
    size_t bytes = 0;
    (void)zcb_result_text(result, stream, &bytes);
    return bytes;
}

#define assert_ok(call) assert_int_equal((call), ZCB_OK)

/* Long enough for a loaded machine under a sanitizer; whoever runs into it fails. */
#define PATIENCE_MS 60000

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1 /* as gcc has it */
#endif
#endif

/* The same as a deadline of platform.h. */
static inline int64_t soon(void)
{
    return zcbi_plat_now_ns() + PATIENCE_MS * MS;
}

static inline zcb_wait patience(void)
{
    return (zcb_wait){.deadline_ns = zcb_deadline_ns(PATIENCE_MS)};
}

static inline zcb_wait within_ms(int64_t ms)
{
    return (zcb_wait){.deadline_ns = zcb_deadline_ns(ms)};
}

static inline pthread_t start_thread(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
    return thread;
}

static inline void join_thread(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Until somebody sleeps who has this flag in the shared state. */
static inline void await_asleep(_Atomic uint32_t *asleep)
{
    while (atomic_load(asleep) == 0)
        sched_yield();
}

static inline uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static inline uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(*state);
}

/* Contents that depend on the seed and on every byte's place. */
static inline void fill(void *bytes, size_t count, uint64_t seed)
{
    unsigned char *to = bytes;
    uint64_t state = mix(seed);
    for (; count > 0; state += UINT64_C(0x9e3779b97f4a7c15)) {
        size_t step = count < sizeof(state) ? count : sizeof(state);
        memcpy(to, &state, step);
        to += step;
        count -= step;
    }
}

static inline bool is_filled(const void *bytes, size_t count, uint64_t seed)
{
    const unsigned char *from = bytes;
    uint64_t state = mix(seed);
    for (; count > 0; state += UINT64_C(0x9e3779b97f4a7c15)) {
        size_t step = count < sizeof(state) ? count : sizeof(state);
        if (memcmp(from, &state, step) != 0)
            return false;
        from += step;
        count -= step;
    }
    return true;
}

#endif
