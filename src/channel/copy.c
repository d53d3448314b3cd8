#include "copy.h"

#include <stdint.h>
#include <string.h>

#include "platform/platform.h"

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>

#define LINE 64

void zcbi_copy_for_reader(void *to, const void *from, size_t bytes)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    size_t lead = (size_t)(-(uintptr_t)target % LINE);
    if (lead > bytes)
        lead = bytes;
    memcpy(target, source, lead);
    size_t at = lead;
    for (; bytes - at >= LINE; at += LINE) {
        __m128i part[4];
        memcpy(part, source + at, LINE);
        __m128i *line = (__m128i *)(void *)(target + at);
        for (int i = 0; i < 4; i++)
            _mm_stream_si128(&line[i], part[i]);
    }
    memcpy(target + at, source + at, bytes - at);
    _mm_sfence(); /* streaming stores are not ordered with others */
}

#else

void zcbi_copy_for_reader(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

#endif

void zcb_advise_huge(void *memory, size_t bytes)
{
    if (memory)
        zcbi_plat_advise_huge(memory, bytes);
}
