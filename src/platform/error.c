#include "error.h"

#include <stdarg.h>
#include <stdio.h>

const char *zcb_version(void)
{
    return ZCB_VERSION;
}

const char *zcb_error_name(zcb_error error)
{
    switch (error) {
#define NAME(code, name, text)                                                                     \
    case ZCB_##name:                                                                               \
        return "ZCB_" #name;
        ZCB_ERRORS(NAME)
#undef NAME
    }
    return "ZCB_ERR_UNKNOWN";
}

const char *zcb_error_text(zcb_error error)
{
    switch (error) {
#define TEXT(code, name, text)                                                                     \
    case ZCB_##name:                                                                               \
        return text;
        ZCB_ERRORS(TEXT)
#undef TEXT
    }
    return "unknown error";
}

bool zcb_error_is_final(zcb_error error)
{
    return error == ZCB_ERR_CLOSED || error == ZCB_ERR_PEER_CLOSED || error == ZCB_ERR_PEER_GONE ||
           error == ZCB_ERR_PROTOCOL;
}

bool zcbi_error_is_shortage(zcb_error error)
{
    return error == ZCB_ERR_NO_MEMORY || error == ZCB_ERR_NO_HANDLES || error == ZCB_ERR_SYSTEM;
}

/* The length without a UTF-8 character that was cut at the end. */
static size_t whole_characters(const char *text, size_t bytes)
{
    size_t lead = bytes;
    while (lead > 0 && ((unsigned char)text[lead - 1] & 0xC0) == 0x80)
        lead--;
    if (lead == 0 || (unsigned char)text[lead - 1] < 0xC0)
        return bytes;
    unsigned char first = (unsigned char)text[--lead];
    size_t needed = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    return bytes - lead < needed ? lead : bytes;
}

void zcbi_error_detail(zcb_detail *why, const char *format, ...)
{
    if (!why)
        return;
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(why->text, sizeof(why->text), format, arguments);
    va_end(arguments);
    if (bytes < 0)
        why->text[0] = 0;
    else if ((size_t)bytes >= sizeof(why->text))
        why->text[whole_characters(why->text, sizeof(why->text) - 1)] = 0;
}
