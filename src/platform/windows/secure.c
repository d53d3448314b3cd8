/* Security attributes and secret names. */
#include "windows.h"

#include <bcrypt.h>
#include <sddl.h>
#include <stdlib.h>
#include <wchar.h>

#define SID_CHARACTERS 192

static zcb_error token_information(TOKEN_INFORMATION_CLASS what, void **information)
{
    HANDLE token;
    DWORD bytes = 0;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
        return windows_last_error();
    GetTokenInformation(token, what, NULL, 0, &bytes);
    void *taken = malloc(bytes > 0 ? bytes : 1);
    zcb_error error = taken ? ZCB_OK : ZCB_ERR_NO_MEMORY;
    if (!error && !GetTokenInformation(token, what, taken, bytes, &bytes))
        error = windows_last_error();
    CloseHandle(token);
    if (error)
        free(taken);
    else
        *information = taken;
    return error;
}

static zcb_error sid_text(PSID sid, wchar_t text[SID_CHARACTERS])
{
    wchar_t *made;
    if (!ConvertSidToStringSidW(sid, &made))
        return windows_last_error();
    bool fits = wcslen(made) < SID_CHARACTERS;
    if (fits)
        wcscpy(text, made);
    LocalFree(made);
    return fits ? ZCB_OK : ZCB_ERR_SYSTEM;
}

static zcb_error user_text(wchar_t text[SID_CHARACTERS])
{
    void *information;
    zcb_error error = token_information(TokenUser, &information);
    if (error)
        return error;
    error = sid_text(((TOKEN_USER *)information)->User.Sid, text);
    free(information);
    return error;
}

static zcb_error integrity_text(wchar_t text[SID_CHARACTERS])
{
    void *information;
    zcb_error error = token_information(TokenIntegrityLevel, &information);
    if (error)
        return error;
    error = sid_text(((TOKEN_MANDATORY_LABEL *)information)->Label.Sid, text);
    free(information);
    return error;
}

zcb_error zcbi_windows_security_init(windows_security *security)
{
    wchar_t user[SID_CHARACTERS];
    wchar_t integrity[SID_CHARACTERS];
    wchar_t text[2 * SID_CHARACTERS + 64];
    zcb_error error = user_text(user);
    if (!error)
        error = integrity_text(integrity);
    if (error)
        return error;
    /* All access for the user and the system, nothing inherited. Processes below this one's
     * integrity level can neither read nor write, which keeps AppContainers out as well. */
    swprintf(text, sizeof(text) / sizeof(*text), L"D:P(A;;GA;;;%ls)(A;;GA;;;SY)S:(ML;;NWNR;;;%ls)",
             user, integrity);
    *security = (windows_security){.attributes = {.nLength = sizeof(SECURITY_ATTRIBUTES)}};
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(text, SDDL_REVISION_1,
                                                              &security->descriptor, NULL))
        return windows_last_error();
    security->attributes.lpSecurityDescriptor = security->descriptor;
    return ZCB_OK;
}

void zcbi_windows_security_destroy(windows_security *security)
{
    LocalFree(security->descriptor);
    security->descriptor = NULL;
}

zcb_error zcbi_windows_secret(wchar_t text[WINDOWS_SECRET_CHARACTERS])
{
    unsigned char random[(WINDOWS_SECRET_CHARACTERS - 1) / 2];
    if (BCryptGenRandom(NULL, random, sizeof(random), BCRYPT_USE_SYSTEM_PREFERRED_RNG) < 0)
        return ZCB_ERR_SYSTEM;
    for (size_t i = 0; i < sizeof(random); i++)
        swprintf(text + 2 * i, 3, L"%02x", random[i]);
    return ZCB_OK;
}
