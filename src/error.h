#ifndef ZCB_ERROR_H
#define ZCB_ERROR_H

#include "zcb/zcb.h"

/* Writes what exactly was wrong, cut at the detail's size between two characters. why may be NULL. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void error_detail(zcb_detail *why, const char *format, ...);

/* The system had too little of something: nothing is wrong with what was asked for. */
bool error_is_shortage(zcb_error error);

#endif
