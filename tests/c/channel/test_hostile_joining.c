/* Joining a channel whose handles, header or sizes make no sense. */
#include "channel/block.h"
#include "hostile.h"

#if !defined(_WIN32)
#include <sys/mman.h>
#endif

static zcb_error join_with_bell(const struct region *region, plat_handle memory,
                                uint64_t frame_bytes, uint64_t window_bytes, plat_handle bell)
{
    struct region_handles handles = {
        .frame_bytes = frame_bytes, .window_bytes = window_bytes, .memory = memory};
    zcb_channel *joined = NULL;
    for (int i = 0; i < BELLS; i++)
        handles.bells[i] = copy_of(i == 0 ? bell : region->bells[i]);
    zcb_error error = zcbi_channel_join(&handles, PLAT_NO_HANDLE, &joined);
    if (!error)
        zcb_channel_free(joined);
    return error;
}

static zcb_error join(const struct region *region, plat_handle memory, uint64_t frame_bytes,
                      uint64_t window_bytes)
{
    return join_with_bell(region, memory, frame_bytes, window_bytes, region->bells[0]);
}

#define OTHERS 4

/* What is no bell. */
#if defined(_WIN32)

static void open_others(plat_handle others[OTHERS])
{
    others[0] = (plat_handle)CreateMutexW(NULL, FALSE, NULL);
    others[1] = (plat_handle)CreateSemaphoreW(NULL, 1, 1, NULL);
    others[2] = (plat_handle)OpenProcess(SYNCHRONIZE, FALSE, GetCurrentProcessId());
    assert_ok(zcbi_plat_file_create(&others[3]));
}

#else

static void open_others(plat_handle others[OTHERS])
{
    int ends[2];
    plat_handle b;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_ok(zcbi_plat_link_pair(&others[0], &b));
    zcbi_plat_close(b);
    others[1] = ends[0];
    others[2] = ends[1];
    others[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

#endif

static void joining_refuses_bells_that_are_none(void **state)
{
    (void)state;
    struct pair pair = make_hostile_pair();
    const struct region *region = pair.a->region;
    plat_handle wrong[OTHERS + 1] = {region->memory.handle};
    open_others(&wrong[1]);
    unsigned before = open_descriptors();
    for (int i = 0; i <= OTHERS; i++)
        assert_int_equal(
            join_with_bell(region, copy_of(region->memory.handle), SMALL_FRAME, WINDOW, wrong[i]),
            ZCB_ERR_PROTOCOL);
    assert_int_equal(open_descriptors(), before);
    for (int i = 1; i <= OTHERS; i++)
        zcbi_plat_close(wrong[i]);
    free_pair(&pair);
}

/* Memory of this size that its maker could take away again. */
#if defined(_WIN32)

static plat_handle make_unsafe_memory(size_t bytes)
{
    plat_handle file;
    assert_ok(zcbi_plat_file_create(&file));
    HANDLE grown = ReOpenFile(windows_handle(file), FILE_READ_DATA | FILE_WRITE_DATA,
                              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, 0);
    assert_ptr_not_equal(grown, INVALID_HANDLE_VALUE);
    HANDLE section = CreateFileMappingW(grown, NULL, PAGE_READWRITE, 0, (DWORD)bytes, NULL);
    assert_non_null(section);
    CloseHandle(grown);
    zcbi_plat_close(file);
    return (plat_handle)section;
}

#else

static plat_handle make_unsafe_memory(size_t bytes)
{
    int unsealed = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(unsealed, (off_t)bytes), 0);
    return unsealed;
}

#endif

static void joining_checks_the_header_and_the_sizes(void **state)
{
    (void)state;
    struct pair pair = make_hostile_pair();
    struct region *region = pair.a->region;
    struct region_header *header = (struct region_header *)(void *)region->memory.base;
    const struct region_header good = *header;
    unsigned before = open_descriptors();
    plat_handle memory = region->memory.handle;
    assert_int_equal(join(region, copy_of(memory), 0, 0), ZCB_ERR_PROTOCOL);
    assert_int_equal(join(region, copy_of(memory), UINT64_MAX, UINT64_MAX), ZCB_ERR_PROTOCOL);
    assert_int_equal(join(region, copy_of(memory), SMALL_FRAME + COMMIT_BYTES, WINDOW),
                     ZCB_ERR_PROTOCOL);
    assert_int_equal(join(region, copy_of(memory), SMALL_FRAME - COMMIT_BYTES, WINDOW),
                     ZCB_ERR_PROTOCOL);
    assert_int_equal(
        join(region, copy_of(memory), SMALL_FRAME + COMMIT_BYTES, WINDOW - COMMIT_BYTES),
        ZCB_ERR_PROTOCOL);
    header->magic++;
    assert_int_equal(join(region, copy_of(memory), SMALL_FRAME, WINDOW), ZCB_ERR_PROTOCOL);
    *header = good;
    header->version++;
    assert_int_equal(join(region, copy_of(memory), SMALL_FRAME, WINDOW), ZCB_ERR_VERSION);
    *header = good;
    header->header_bytes++;
    assert_int_equal(join(region, copy_of(memory), SMALL_FRAME, WINDOW), ZCB_ERR_PROTOCOL);
    *header = good;
    header->window_bytes++;
    assert_int_equal(join(region, copy_of(memory), SMALL_FRAME, WINDOW), ZCB_ERR_PROTOCOL);
    *header = good;
    assert_int_equal(join(region, copy_of(region->bells[0]), SMALL_FRAME, WINDOW),
                     ZCB_ERR_PROTOCOL);
    plat_handle unsafe = make_unsafe_memory(region->memory.bytes);
    assert_int_equal(join(region, unsafe, SMALL_FRAME, WINDOW), ZCB_ERR_PROTOCOL);
    assert_ok(join(region, copy_of(memory), SMALL_FRAME, WINDOW));
    assert_int_equal(open_descriptors(), before);
    free_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joining_checks_the_header_and_the_sizes),
        cmocka_unit_test(joining_refuses_bells_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
