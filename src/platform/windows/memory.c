#include "windows.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <winternl.h>

/* The unit in which memory is committed, and noted in plat_memory.known. */
#define UNIT_BYTES ((size_t)65536)

/* winternl.h does not declare this. */
typedef struct section_information {
    void *base;
    ULONG attributes;
    LARGE_INTEGER bytes;
} section_information;
NTSTATUS NTAPI NtQuerySection(HANDLE section, int what, void *information, SIZE_T bytes,
                              SIZE_T *used);
#define SECTION_BASIC_INFORMATION 0

static bool is_size(size_t bytes)
{
    return bytes > 0 && bytes % PLAT_PAGE_BYTES == 0 && bytes <= (size_t)INT64_MAX;
}

static bool is_range(const plat_memory *memory, size_t offset, size_t bytes)
{
    return offset % PLAT_PAGE_BYTES == 0 && bytes % PLAT_PAGE_BYTES == 0 &&
           offset <= memory->bytes && bytes <= memory->bytes - offset;
}

/* On failure the section stays the caller's. */
static zcb_error map_memory(HANDLE section, size_t bytes, plat_memory *memory)
{
    size_t units = (bytes + UNIT_BYTES - 1) / UNIT_BYTES;
    _Atomic unsigned char *known = calloc(units, sizeof(*known));
    if (!known)
        return ZCB_ERR_NO_MEMORY;
    void *base = MapViewOfFile(section, FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, bytes);
    if (!base) {
        DWORD number = GetLastError();
        free((void *)known);
        return number == ERROR_ACCESS_DENIED ? ZCB_ERR_PROTOCOL : zcbi_windows_error(number);
    }
    *memory =
        (plat_memory){.handle = (plat_handle)section, .base = base, .bytes = bytes, .known = known};
    return ZCB_OK;
}

zcb_error zcbi_plat_memory_create(size_t bytes, plat_memory *memory)
{
    if (!is_size(bytes))
        return ZCB_ERR_INVALID;
    HANDLE section =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | SEC_RESERVE,
                           (DWORD)((uint64_t)bytes >> 32), (DWORD)(bytes & UINT32_MAX), NULL);
    if (!section)
        return windows_last_error();
    zcb_error error = map_memory(section, bytes, memory);
    if (error)
        CloseHandle(section);
    return error;
}

/* True for memory of the page file. Its size cannot change, and no file behind it can fail to be
 * read. */
static bool is_section(HANDLE section, size_t bytes)
{
    section_information information = {0};
    return NtQuerySection(section, SECTION_BASIC_INFORMATION, &information, sizeof(information),
                          NULL) >= 0 &&
           information.bytes.QuadPart == (LONGLONG)bytes &&
           (information.attributes & (SEC_FILE | SEC_IMAGE)) == 0 &&
           (information.attributes & (SEC_RESERVE | SEC_COMMIT)) != 0;
}

zcb_error zcbi_plat_memory_attach(plat_handle handle, size_t bytes, plat_memory *memory)
{
    if (!is_size(bytes) || !is_section(windows_handle(handle), bytes))
        return ZCB_ERR_PROTOCOL;
    return map_memory(windows_handle(handle), bytes, memory);
}

void zcbi_plat_memory_poke(plat_handle handle, size_t offset, uint32_t value)
{
    size_t lead = offset % UNIT_BYTES;
    uint64_t from = offset - lead;
    unsigned char *view = MapViewOfFile(windows_handle(handle), FILE_MAP_WRITE, (DWORD)(from >> 32),
                                        (DWORD)(from & UINT32_MAX), lead + sizeof(value));
    if (!view)
        return;
    if (VirtualAlloc(view + lead, sizeof(value), MEM_COMMIT, PAGE_READWRITE))
        memcpy(view + lead, &value, sizeof(value));
    UnmapViewOfFile(view);
}

/* Commits whole units. Those that are committed already keep their contents. */
static zcb_error commit_units(const plat_memory *memory, size_t first, size_t end)
{
    size_t from = first * UNIT_BYTES;
    size_t to = end * UNIT_BYTES < memory->bytes ? end * UNIT_BYTES : memory->bytes;
    if (!VirtualAlloc(memory->base + from, to - from, MEM_COMMIT, PAGE_READWRITE))
        return windows_last_error();
    for (size_t unit = first; unit < end; unit++)
        /* partner: is_known */
        atomic_store_explicit(&memory->known[unit], 1, memory_order_relaxed);
    return ZCB_OK;
}

static bool is_known(const plat_memory *memory, size_t unit)
{
    /* partner: commit_units */
    return atomic_load_explicit(&memory->known[unit], memory_order_relaxed) != 0;
}

zcb_error zcbi_plat_memory_ensure(const plat_memory *memory, size_t offset, size_t bytes)
{
    if (offset > memory->bytes || bytes > memory->bytes - offset)
        return ZCB_ERR_INVALID;
    size_t unit = offset / UNIT_BYTES;
    size_t end = (offset + bytes + UNIT_BYTES - 1) / UNIT_BYTES;
    while (unit < end) {
        size_t first = unit;
        while (unit < end && !is_known(memory, unit))
            unit++;
        zcb_error error = unit > first ? commit_units(memory, first, unit) : ZCB_OK;
        if (error)
            return error;
        while (unit < end && is_known(memory, unit))
            unit++;
    }
    return ZCB_OK;
}

zcb_error zcbi_plat_memory_commit(const plat_memory *memory, size_t offset, size_t bytes)
{
    return is_range(memory, offset, bytes) ? zcbi_plat_memory_ensure(memory, offset, bytes)
                                           : ZCB_ERR_INVALID;
}

void zcbi_plat_memory_populate(const plat_memory *memory, size_t offset, size_t bytes)
{
    /* Windows has no such call: PrefetchVirtualMemory reads pages from disk, and these are new. */
    (void)memory;
    (void)offset;
    (void)bytes;
}

void zcbi_plat_memory_release_handle(plat_memory *memory)
{
    zcbi_plat_close(memory->handle);
    memory->handle = PLAT_NO_HANDLE;
}

void zcbi_plat_memory_unmap(plat_memory *memory)
{
    if (memory->base)
        UnmapViewOfFile(memory->base);
    free((void *)memory->known);
    memory->base = NULL;
    memory->known = NULL;
    memory->bytes = 0;
}

void zcbi_plat_advise_huge(void *memory, size_t bytes)
{
    /* Large pages need a privilege that users do not have. */
    (void)memory;
    (void)bytes;
}
