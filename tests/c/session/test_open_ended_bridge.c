/* Open-ended messages between two processes. */
#include "bridges.h"
#include "chunks.h"

/* A gigabyte, where that takes no minutes. */
#if defined(_WIN32) || defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define GIGABYTE (UINT64_C(1) << 26)
#else
#define GIGABYTE (UINT64_C(1) << 30)
#endif
#define SOME_BYTES (20 * MIB) /* that a process may take meanwhile for what it needs otherwise */

#if !defined(_WIN32)

/* The most memory that a process has had at a time, shared pages included. */
static uint64_t most_memory(int64_t pid)
{
    char path[64], line[256];
    unsigned long long kib = 0;
    snprintf(path, sizeof(path), "/proc/%lld/status", (long long)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (kib == 0 && fgets(line, sizeof(line), file))
        (void)sscanf(line, "VmHWM: %llu", &kib);
    fclose(file);
    return kib * KIB;
}

#else

static uint64_t most_memory(int64_t pid)
{
    (void)pid;
    return 0;
}

#endif

/* The bridge has no call for it yet: the message is sent as what the receive was posted for. */
static void send_open_ended(struct fixture *f, uint64_t bytes)
{
    char out[32];
    zcb_wait wait = patience();
    uint64_t id = post(f, "$chunks", ZCB_FOREVER);
    assert_ok(send_chunks(zcb_bridge_channel(f->bridge), id, bytes, &wait));
    zcb_result *result = wait_for(f->session, id);
    snprintf(out, sizeof(out), "%llu", (unsigned long long)bytes);
    assert_string_equal(zcb_result_text(result, ZCB_PART_OUT, NULL), out);
    zcb_result_free(result);
}

static void receive_open_ended(struct fixture *f, uint64_t bytes)
{
    char text[32];
    zcb_wait wait = patience();
    zcb_message message;
    uint64_t received = 0;
    snprintf(text, sizeof(text), "chunks %llu", (unsigned long long)bytes);
    uint64_t id = post_send(f, text);
    assert_ok(zcb_bridge_receive_begin(f->bridge, ZCB_WISH_COPY, &message, &wait));
    assert_int_equal(message.id, id);
    assert_ok(receive_chunks(zcb_bridge_channel(f->bridge), &message, &received, &wait));
    assert_int_equal(received, bytes);
    assert_int_equal(status_of(f->session, id), ZCB_STATUS_DONE);
}

static void any_length_crosses_both_ways(void **state)
{
    struct fixture *f = *state;
    static const uint64_t lengths[] = {0, 1, 65535, 65536, 65537, FRAME, FRAME + WINDOW, LONG};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        send_open_ended(f, lengths[i]);
        receive_open_ended(f, lengths[i]);
    }
}

static void a_gigabyte_crosses_in_little_memory(void **state)
{
    struct fixture *f = *state;
    int64_t engine = zcb_session_pid(f->session), own = zcbi_plat_getpid();
    send_open_ended(f, LONG);
    receive_open_ended(f, LONG);
    uint64_t own_before = most_memory(own), engine_before = most_memory(engine);
    send_open_ended(f, GIGABYTE);
    receive_open_ended(f, GIGABYTE);
    uint64_t own_after = most_memory(own), engine_after = most_memory(engine);
    print_message("most memory, in KiB: program %llu, then %llu; engine %llu, then %llu\n",
                  (unsigned long long)(own_before / KIB), (unsigned long long)(own_after / KIB),
                  (unsigned long long)(engine_before / KIB),
                  (unsigned long long)(engine_after / KIB));
    assert_true(own_after - own_before < SOME_BYTES);
    assert_true(engine_after - engine_before < SOME_BYTES);
}

/* The engine is killed while it sends, or while it receives. */
static void a_wait_in_its_middle_ends_with_the_engine(void **state)
{
    struct fixture *f = *state;
    zcb_wait wait = patience();
    zcb_message message;
    unsigned char got[CHUNK_BYTES];
    zcb_error error = ZCB_OK;
    (void)post_send(f, "chunks 1000000000");
    zcb_channel *channel = zcb_bridge_channel(f->bridge);
    assert_ok(zcb_bridge_receive_begin(f->bridge, ZCB_WISH_COPY, &message, &wait));
    assert_int_equal(message.bytes, ZCB_OPEN_ENDED);
    assert_ok(zcb_receive_read(channel, got, sizeof(got), NULL, &wait));
    message = (zcb_message){.kind = ZCB_KIND_BYTES, .bytes = ZCB_OPEN_ENDED};
    assert_ok(zcb_send_begin(channel, &message, &wait));
    kill_its_engine(f->session);
    for (size_t done = 0; !error; done = 0)
        error = zcb_send_write(channel, got, sizeof(got), &done, &wait);
    assert_int_equal(error, ZCB_ERR_PEER_GONE);
    zcb_send_drop(channel);
    do
        error = zcb_receive_read(channel, got, sizeof(got), NULL, &wait);
    while (!error); /* what was there */
    assert_int_equal(error, ZCB_ERR_PEER_GONE);
    zcb_receive_drop(channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_length_crosses_both_ways),
        TEST(a_gigabyte_crosses_in_little_memory),
        TEST(a_wait_in_its_middle_ends_with_the_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
