#ifndef ZCB_ERROR_H
#define ZCB_ERROR_H

#include <stdio.h> /* says which printf this is */

#include "zcb/zcb.h"

/* Lets the compiler check a format, the argument number `format`, against the arguments from `first` on. */
#if defined(__MINGW_PRINTF_FORMAT)
#define PRINTF_LIKE(format_at, first)                                                              \
    __attribute__((format(__MINGW_PRINTF_FORMAT, format_at, first)))
#elif defined(__GNUC__)
#define PRINTF_LIKE(format_at, first) __attribute__((format(printf, format_at, first)))
#else
#define PRINTF_LIKE(format_at, first)
#endif

/* Writes what exactly was wrong, cut at the detail's size between two characters. why may be NULL. */
PRINTF_LIKE(2, 3)
void zcbi_error_detail(zcb_detail *why, const char *format, ...);

/* The system had too little of something: nothing is wrong with what was asked for. */
bool zcbi_error_is_shortage(zcb_error error);

#endif
