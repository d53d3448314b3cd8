/* Errors in words. */
#ifndef ZCB_ERROR_H
#define ZCB_ERROR_H

#include <stdio.h> /* defines __MINGW_PRINTF_FORMAT */

#include "zcb/zcb.h"

/* Lets the compiler check the format, argument number format_at, against the arguments from `first`
 * on. */
#if defined(__MINGW_PRINTF_FORMAT)
#define PRINTF_LIKE(format_at, first)                                                              \
    __attribute__((format(__MINGW_PRINTF_FORMAT, format_at, first)))
#elif defined(__GNUC__)
#define PRINTF_LIKE(format_at, first) __attribute__((format(printf, format_at, first)))
#else
#define PRINTF_LIKE(format_at, first)
#endif

/* Writes the sentence of a zcb_detail, cut at its size between two characters. why may be NULL. */
PRINTF_LIKE(2, 3)
void zcbi_error_detail(zcb_detail *why, const char *format, ...);

/* True for ZCB_ERR_NO_MEMORY, _NO_HANDLES and _SYSTEM: the system refused a valid request. */
bool zcbi_error_is_shortage(zcb_error error);

#endif
