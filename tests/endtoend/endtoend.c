/*
 * What a C program does with a real engine. All runs on every system; what is asked of the system beyond zcb.h goes
 * through platform.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/platform.h"
#include "zcb/zcb.h"

#define SKIPPED 77
#define PATIENCE_MS 60000
#define MB ((size_t)1000 * 1000)
#define MIB ((size_t)1 << 20)
#define assert_ok(call) assert_int_equal((call), ZCB_OK)

static zcb_session *shared; /* of the tests that leave it as it was */

/* ---------------------------------------------------------------- sessions and commands */

static zcb_wait patience(void)
{
    return (zcb_wait){.deadline_ns = zcb_deadline_ns(PATIENCE_MS)};
}

static zcb_session *start_session(void)
{
    zcb_session *session = NULL;
    zcb_detail why;
    zcb_wait wait = patience();
    zcb_session_options options = {.engine = getenv("ZCB_TEST_ENGINE"),
                                   .module = getenv("ZCB_TEST_MODULE")};
    if (zcb_session_start(&options, &session, &why, &wait))
        fail_msg("%s", why.text);
    return session;
}

static zcb_result *run_for(zcb_session *session, const char *text, int64_t timeout_ms)
{
    zcb_wait wait = patience();
    zcb_result *result = NULL;
    assert_ok(zcb_session_run(session, text, strlen(text), 0, timeout_ms, &result, &wait));
    return result;
}

static zcb_result *run(zcb_session *session, const char *text)
{
    zcb_result *result = run_for(session, text, ZCB_FOREVER);
    assert_int_equal(zcb_result_status(result), ZCB_STATUS_DONE);
    return result;
}

/* The output of a command that succeeds, without the line's end; static. */
static const char *out_of(zcb_session *session, const char *text)
{
    static char out[4096];
    zcb_result *result = run(session, text);
    if (!zcb_result_success(result))
        fail_msg("%s: %s", text, zcb_result_text(result, ZCB_PART_ERR, NULL));
    snprintf(out, sizeof(out), "%s", zcb_result_text(result, ZCB_PART_OUT, NULL));
    out[strcspn(out, "\r\n")] = '\0';
    zcb_result_free(result);
    return out;
}

static uint64_t submit(zcb_session *session, const char *text)
{
    zcb_wait wait = patience();
    zcb_part part = {.kind = ZCB_PART_TEXT, .data = text, .bytes = strlen(text)};
    zcb_command command = {.op = ZCB_OP_RUN, .parts = &part, .part_count = 1};
    assert_ok(zcb_session_submit(session, &command, ZCB_FOREVER, &wait));
    return command.id;
}

static size_t text_bytes(const zcb_result *result, zcb_part_kind stream)
{
    size_t bytes = 0;
    (void)zcb_result_text(result, stream, &bytes);
    return bytes;
}

static zcb_result *result_of(zcb_session *session, uint64_t id)
{
    zcb_wait wait = patience();
    zcb_result *result = NULL;
    assert_ok(zcb_session_wait(session, id, &result, &wait));
    return result;
}

/* ---------------------------------------------------------------- transfers */

static zcb_bridge *open_bridge(zcb_session *session)
{
    zcb_bridge *bridge = NULL;
    zcb_detail why;
    if (zcb_bridge_open(session, NULL, &bridge, &why))
        fail_msg("%s", why.text);
    return bridge;
}

/* It depends on the place and on the seed. */
static unsigned char byte_at(size_t place, uint64_t seed)
{
    return (unsigned char)(((place + (seed << 32)) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static void fill(unsigned char *bytes, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = byte_at(i, seed);
}

static bool is_filled(const unsigned char *bytes, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != byte_at(i, seed))
            return false;
    return true;
}

static unsigned char *filled(size_t count, uint64_t seed)
{
    unsigned char *bytes = malloc(count > 0 ? count : 1);
    assert_non_null(bytes);
    fill(bytes, count, seed);
    return bytes;
}

static uint64_t post_receive(zcb_bridge *bridge, const char *target, uint32_t flags)
{
    zcb_wait wait = patience();
    uint64_t id = 0;
    assert_ok(
        zcb_bridge_post_receive(bridge, target, strlen(target), flags, PATIENCE_MS, &id, &wait));
    return id;
}

static uint64_t post_send(zcb_bridge *bridge, const char *expression)
{
    zcb_wait wait = patience();
    uint64_t id = 0;
    assert_ok(zcb_bridge_post_send(bridge, expression, strlen(expression), 0, 0, PATIENCE_MS, &id,
                                   &wait));
    return id;
}

static void assert_arrived(zcb_session *session, uint64_t id)
{
    zcb_result *result = result_of(session, id);
    if (!zcb_result_success(result))
        fail_msg("%s", zcb_result_text(result, ZCB_PART_ERR, NULL));
    zcb_result_free(result);
}

static void send_to(zcb_session *session, zcb_bridge *bridge, const char *target, zcb_kind kind,
                    const void *data, size_t bytes)
{
    zcb_wait wait = patience();
    uint64_t id = post_receive(bridge, target, 0);
    assert_ok(zcb_bridge_send(bridge, kind, data, bytes, NULL, &wait));
    assert_arrived(session, id);
}

static void send_bytes(zcb_session *session, zcb_bridge *bridge, const char *target, size_t bytes,
                       uint64_t seed)
{
    unsigned char *data = filled(bytes, seed);
    send_to(session, bridge, target, ZCB_KIND_BYTES, data, bytes);
    free(data);
}

/* Receives the value of an expression; the caller frees. */
static unsigned char *receive_from(zcb_session *session, zcb_bridge *bridge, const char *expression,
                                   zcb_kind kind, size_t *bytes)
{
    zcb_wait wait = patience();
    zcb_message message;
    uint64_t id = post_send(bridge, expression);
    assert_ok(zcb_bridge_receive_begin(bridge, ZCB_WISH_COPY, &message, &wait));
    assert_int_equal(message.kind, kind);
    *bytes = (size_t)message.bytes;
    unsigned char *data = malloc(*bytes + 1);
    assert_non_null(data);
    data[*bytes] = '\0';
    assert_ok(zcb_receive_read(zcb_bridge_channel(bridge), data, *bytes, NULL, &wait));
    assert_ok(zcb_receive_end(zcb_bridge_channel(bridge)));
    assert_arrived(session, id);
    return data;
}

static void assert_receives_bytes(zcb_session *session, zcb_bridge *bridge, const char *expression,
                                  size_t bytes, uint64_t seed)
{
    size_t got;
    unsigned char *data = receive_from(session, bridge, expression, ZCB_KIND_BYTES, &got);
    assert_int_equal(got, bytes);
    assert_true(is_filled(data, bytes, seed));
    free(data);
}

static void assert_serves(zcb_session *session)
{
    assert_string_equal(out_of(session, "'still ' + 'here'"), "still here");
}

/* ---------------------------------------------------------------- processes */

static plat_handle open_process(int64_t pid)
{
    plat_handle process = PLAT_NO_HANDLE;
    assert_ok(zcbi_plat_process_open(pid, &process));
    return process;
}

static void await_end(plat_handle process)
{
    unsigned ready;
    assert_ok(zcbi_plat_wait(&process, 1, zcb_deadline_ns(PATIENCE_MS), &ready));
    zcbi_plat_close(process);
}

/* ---------------------------------------------------------------- commands */

static void a_command_gives_its_streams_and_its_success(void **state)
{
    (void)state;
    zcb_result *result = run(shared, "1 + 1; Write-Warning w; Write-Error e; 'end'");
    assert_false(zcb_result_success(result) && text_bytes(result, ZCB_PART_ERR) == 0);
    assert_non_null(strstr(zcb_result_text(result, ZCB_PART_OUT, NULL), "2"));
    assert_non_null(strstr(zcb_result_text(result, ZCB_PART_OUT, NULL), "end"));
    assert_non_null(strstr(zcb_result_text(result, ZCB_PART_WARNING, NULL), "w"));
    assert_non_null(strstr(zcb_result_text(result, ZCB_PART_ERR, NULL), "e"));
    zcb_result_free(result);
}

static void the_session_keeps_what_commands_leave(void **state)
{
    (void)state;
    assert_string_equal(out_of(shared, "$kept = 41; function Add-One($n) { $n + 1 }"), "");
    assert_string_equal(out_of(shared, "Add-One $kept"), "42");
}

static void an_error_fails_its_command_alone(void **state)
{
    (void)state;
    zcb_result *result = run(shared, "throw 'it hurts'");
    assert_false(zcb_result_success(result));
    assert_non_null(strstr(zcb_result_text(result, ZCB_PART_ERR, NULL), "it hurts"));
    zcb_result_free(result);
    result = run(shared, "this is no [ command");
    assert_false(zcb_result_success(result));
    zcb_result_free(result);
    assert_serves(shared);
}

static void text_of_every_script_crosses_both_ways(void **state)
{
    (void)state;
    static const char text[] = "'\xc3\xa4\xc3\xb6 \xe6\xbc\xa2\xe5\xad\x97 \xf0\x9f\x98\x80'";
    char expected[sizeof(text)];
    snprintf(expected, sizeof(expected), "%.*s", (int)sizeof(text) - 3, text + 1);
    assert_string_equal(out_of(shared, text), expected);
}

static void output_of_megabytes_arrives_whole(void **state)
{
    (void)state;
    zcb_result *result = run(shared, "'x' * 5MB");
    assert_in_range(text_bytes(result, ZCB_PART_OUT), 5 * MIB + 1, 5 * MIB + 2);
    assert_int_equal(strspn(zcb_result_text(result, ZCB_PART_OUT, NULL), "x"), 5 * MIB);
    zcb_result_free(result);
}

static void programs_write_to_their_command(void **state)
{
    (void)state;
    zcb_result *result =
        run(shared, "if ($env:ComSpec) { & $env:ComSpec /c 'echo native& exit 7' }\n"
                    "else { sh -c 'echo native; exit 7' }");
    assert_non_null(strstr(zcb_result_text(result, ZCB_PART_OUT, NULL), "native"));
    assert_int_equal(zcb_result_exit_code(result), 7);
    zcb_result_free(result);
}

static void a_command_is_stopped_at_its_timeout(void **state)
{
    (void)state;
    int64_t begin = zcb_now_ns();
    zcb_result *result = run_for(shared, "Start-Sleep 50", 300);
    assert_int_equal(zcb_result_status(result), ZCB_STATUS_TIMED_OUT);
    assert_true(zcb_now_ns() - begin < INT64_C(20000000000));
    zcb_result_free(result);
    assert_serves(shared);
}

static void a_command_is_stopped_when_asked(void **state)
{
    (void)state;
    uint64_t id = submit(shared, "while ($true) { }");
    assert_ok(zcb_session_stop(shared, id));
    zcb_result *result = result_of(shared, id);
    assert_int_equal(zcb_result_status(result), ZCB_STATUS_STOPPED);
    zcb_result_free(result);
    assert_serves(shared);
}

static void a_wait_is_cancelled_and_the_command_goes_on(void **state)
{
    (void)state;
    zcb_cancel *cancel;
    zcb_result *result;
    assert_ok(zcb_cancel_create(&cancel));
    zcb_cancel_set(cancel);
    zcb_wait wait = {.deadline_ns = ZCB_NEVER, .cancel = cancel};
    uint64_t id = submit(shared, "Start-Sleep -Milliseconds 200; 'done'");
    assert_int_equal(zcb_session_wait(shared, id, &result, &wait), ZCB_ERR_CANCELLED);
    zcb_cancel_free(cancel);
    result = result_of(shared, id);
    assert_int_equal(zcb_result_status(result), ZCB_STATUS_DONE);
    zcb_result_free(result);
}

static void an_engine_that_works_answers_pings(void **state)
{
    (void)state;
    zcb_wait wait = patience();
    uint64_t id = submit(shared, "Start-Sleep -Milliseconds 300");
    assert_ok(zcb_session_ping(shared, &wait));
    zcb_result_free(result_of(shared, id));
}

/* ---------------------------------------------------------------- transfers */

static void a_hundred_megabytes_cross_both_ways(void **state)
{
    (void)state;
    zcb_bridge *bridge = open_bridge(shared);
    send_bytes(shared, bridge, "$big", 100 * MB, 1);
    assert_string_equal(out_of(shared, "$big.GetType().Name + ' ' + $big.Length"),
                        "Byte[] 100000000");
    assert_receives_bytes(shared, bridge, "$big", 100 * MB, 1);
    assert_string_equal(out_of(shared, "$big = $null"), "");
    zcb_bridge_free(bridge);
}

static void every_length_crosses_both_ways(void **state)
{
    (void)state;
    static const size_t lengths[] = {0,     1,     4095,    4096,         65535,
                                     65536, 65537, 1048577, 3 * 1048576u, 9999999};
    zcb_bridge *bridge = open_bridge(shared);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        send_bytes(shared, bridge, "$part", lengths[i], i);
        assert_receives_bytes(shared, bridge, "$part", lengths[i], i);
    }
    zcb_bridge_free(bridge);
}

static void messages_wait_for_their_receives(void **state)
{
    (void)state;
    zcb_wait wait = patience();
    zcb_bridge *bridge = open_bridge(shared);
    for (uint64_t i = 0; i < 10; i++) {
        unsigned char *data = filled(100000, i);
        assert_ok(zcb_bridge_send(bridge, ZCB_KIND_BYTES, data, 100000, NULL, &wait));
        free(data);
    }
    for (uint64_t i = 0; i < 10; i++)
        assert_arrived(shared, post_receive(bridge, "$queued", 0));
    assert_receives_bytes(shared, bridge, "$queued", 100000, 9);
    zcb_bridge_free(bridge);
}

static void two_bridges_do_not_mix(void **state)
{
    (void)state;
    zcb_wait wait = patience();
    zcb_bridge *bridges[] = {open_bridge(shared), open_bridge(shared)};
    static const char *const targets[] = {"$first", "$second"};
    for (int round = 0; round < 5; round++) {
        uint64_t ids[2];
        for (int i = 0; i < 2; i++)
            ids[i] = post_receive(bridges[i], targets[i], 0);
        for (int i = 1; i >= 0; i--) {
            unsigned char *data = filled(2 * MIB, (uint64_t)i);
            assert_ok(zcb_bridge_send(bridges[i], ZCB_KIND_BYTES, data, 2 * MIB, NULL, &wait));
            free(data);
        }
        for (int i = 0; i < 2; i++) {
            assert_arrived(shared, ids[i]);
            assert_receives_bytes(shared, bridges[i], targets[i], 2 * MIB, (uint64_t)i);
        }
    }
    zcb_bridge_free(bridges[0]);
    zcb_bridge_free(bridges[1]);
}

static void objects_cross_as_clixml_and_are_objects_again(void **state)
{
    (void)state;
    size_t bytes;
    zcb_bridge *bridge = open_bridge(shared);
    unsigned char *clixml = receive_from(
        shared, bridge, "[pscustomobject]@{ Name = 'Spooler'; Ports = 515, 631; Up = $true }",
        ZCB_KIND_CLIXML, &bytes);
    assert_non_null(strstr((char *)clixml, "Spooler"));
    send_to(shared, bridge, "$object", ZCB_KIND_CLIXML, clixml, bytes);
    free(clixml);
    assert_string_equal(
        out_of(shared, "'{0} {1} {2}' -f $object.Name, ($object.Ports -join '+'), $object.Up"),
        "Spooler 515+631 True");
    zcb_bridge_free(bridge);
}

static void memory_is_filled_in_place_and_held_in_place(void **state)
{
    (void)state;
    zcb_wait wait = patience();
    zcb_block *block;
    zcb_bridge *bridge = open_bridge(shared);
    uint64_t id = post_receive(bridge, "$lease", ZCB_COMMAND_LEASE);
    assert_ok(zcb_block_allocate(zcb_bridge_channel(bridge), 10 * MIB, &block, &wait));
    fill(zcb_block_data(block), 10 * MIB, 5);
    assert_ok(
        zcb_bridge_send(bridge, ZCB_KIND_BYTES, zcb_block_data(block), 10 * MIB, NULL, &wait));
    zcb_block_free(block);
    assert_arrived(shared, id);
    assert_string_equal(out_of(shared, "$lease.Length"), "10485760");

    zcb_message message;
    zcb_lease *lease;
    id = post_send(bridge, "$lease");
    assert_ok(zcb_bridge_receive_begin(bridge, ZCB_WISH_LEASE, &message, &wait));
    assert_ok(zcb_receive_lease(zcb_bridge_channel(bridge), &lease, &wait));
    assert_ok(zcb_receive_end(zcb_bridge_channel(bridge)));
    assert_arrived(shared, id);
    assert_int_equal(zcb_lease_bytes(lease), 10 * MIB);
    assert_true(is_filled(zcb_lease_data(lease), 10 * MIB, 5));
    assert_string_equal(out_of(shared, "$lease.Dispose()"), "");
    zcb_bridge_free(bridge);
    assert_true(is_filled(zcb_lease_data(lease), 10 * MIB, 5)); /* it outlives the bridge */
    zcb_lease_free(lease);
}

static void a_target_that_is_no_place_is_refused(void **state)
{
    (void)state;
    zcb_bridge *bridge = open_bridge(shared);
    uint64_t id = post_receive(bridge, "$(Get-Date)", 0);
    zcb_result *result = result_of(shared, id);
    assert_false(zcb_result_success(result));
    assert_true(text_bytes(result, ZCB_PART_ERR) > 0);
    zcb_result_free(result);
    zcb_bridge_seen(bridge, id);
    send_bytes(shared, bridge, "$after", 1000, 3);
    assert_receives_bytes(shared, bridge, "$after", 1000, 3);
    zcb_bridge_free(bridge);
}

static void a_transfer_that_is_not_taken_times_out(void **state)
{
    (void)state;
    zcb_bridge *bridge = open_bridge(shared);
    unsigned char *data = filled(80 * MIB, 1); /* longer than the frame: somebody has to take it */
    zcb_wait wait = {.deadline_ns = zcb_deadline_ns(200)};
    assert_int_equal(zcb_bridge_send(bridge, ZCB_KIND_BYTES, data, 80 * MIB, NULL, &wait),
                     ZCB_ERR_TIMEOUT);
    free(data);
    send_bytes(shared, bridge, "$after", 1000, 4);
    assert_receives_bytes(shared, bridge, "$after", 1000, 4);
    zcb_bridge_free(bridge);
}

/* ---------------------------------------------------------------- ends */

static void an_exit_is_told_with_its_code(void **state)
{
    (void)state;
    zcb_detail why;
    zcb_session *session = start_session();
    plat_handle process = open_process(zcb_session_pid(session));
    zcb_result *result = run_for(session, "exit 3", ZCB_FOREVER);
    assert_int_equal(zcb_result_status(result), ZCB_STATUS_EXITED);
    assert_int_equal(zcb_result_exit_code(result), 3);
    zcb_result_free(result);
    await_end(process);
    assert_false(zcb_session_alive(session, &why));
    zcb_session_free(session);
}

static void an_engine_that_dies_in_a_transfer_ends_it_at_once(void **state)
{
    (void)state;
    zcb_detail why;
    zcb_session *session = start_session();
    zcb_bridge *bridge = open_bridge(session);
    unsigned char *data = filled(80 * MIB, 1);
    zcb_wait wait = patience();
    uint64_t id =
        submit(session,
               "Start-Sleep -Milliseconds 300; [Diagnostics.Process]::GetCurrentProcess().Kill()");
    zcb_error error = zcb_bridge_send(bridge, ZCB_KIND_BYTES, data, 80 * MIB, NULL, &wait);
    assert_int_equal(error, ZCB_ERR_PEER_GONE);
    zcb_result *result = result_of(session, id);
    assert_int_equal(zcb_result_status(result), ZCB_STATUS_LOST);
    zcb_result_free(result);
    assert_false(zcb_session_alive(session, &why));
    assert_non_null(strstr(why.text, "engine"));
    free(data);
    zcb_bridge_free(bridge);
    zcb_session_free(session);
}

static void closing_ends_an_engine_that_works(void **state)
{
    (void)state;
    zcb_session *session = start_session();
    plat_handle process = open_process(zcb_session_pid(session));
    uint64_t id = submit(session, "while ($true) { }");
    zcb_session_close(session, 200);
    zcb_result *result = result_of(session, id);
    assert_int_equal(zcb_result_status(result), ZCB_STATUS_LOST);
    zcb_result_free(result);
    await_end(process);
    zcb_session_free(session);
}

static void what_an_engine_started_ends_with_its_session(void **state)
{
    (void)state;
    zcb_session *session = start_session();
    const char *pid = out_of(
        session, "$engine = [Diagnostics.Process]::GetCurrentProcess().MainModule.FileName\n"
                 "(Start-Process $engine '-NoProfile -Command Start-Sleep 1000' -PassThru).Id");
    plat_handle started = open_process(atoll(pid));
    zcb_session_free(session);
    await_end(started);
}

static void a_second_session_is_another_world(void **state)
{
    (void)state;
    zcb_session *session = start_session();
    assert_string_equal(out_of(shared, "$world = 'first'"), "");
    assert_string_equal(out_of(session, "\"[$world]\""), "[]");
    zcb_session_close(session, 5000);
    zcb_session_free(session);
    assert_serves(shared);
}

static void a_start_of_no_engine_says_what_was_wrong(void **state)
{
    (void)state;
    zcb_session *session = NULL;
    zcb_detail why;
    zcb_session_options options = {.engine = "/nowhere/at/all",
                                   .module = getenv("ZCB_TEST_MODULE")};
    assert_int_equal(zcb_session_start(&options, &session, &why, NULL), ZCB_ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "nowhere"));
    options =
        (zcb_session_options){.engine = getenv("ZCB_TEST_ENGINE"), .module = "/nowhere/Module.dll"};
    assert_int_equal(zcb_session_start(&options, &session, &why, NULL), ZCB_ERR_START);
    assert_non_null(strstr(why.text, "nowhere"));
}

/* ---------------------------------------------------------------- main */

static int set_up(void **state)
{
    (void)state;
    shared = start_session();
    printf("PowerShell %s\n", zcb_session_version(shared));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zcb_session_close(shared, 5000);
    zcb_session_free(shared);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_gives_its_streams_and_its_success),
        cmocka_unit_test(the_session_keeps_what_commands_leave),
        cmocka_unit_test(an_error_fails_its_command_alone),
        cmocka_unit_test(text_of_every_script_crosses_both_ways),
        cmocka_unit_test(output_of_megabytes_arrives_whole),
        cmocka_unit_test(programs_write_to_their_command),
        cmocka_unit_test(a_command_is_stopped_at_its_timeout),
        cmocka_unit_test(a_command_is_stopped_when_asked),
        cmocka_unit_test(a_wait_is_cancelled_and_the_command_goes_on),
        cmocka_unit_test(an_engine_that_works_answers_pings),
        cmocka_unit_test(a_hundred_megabytes_cross_both_ways),
        cmocka_unit_test(every_length_crosses_both_ways),
        cmocka_unit_test(messages_wait_for_their_receives),
        cmocka_unit_test(two_bridges_do_not_mix),
        cmocka_unit_test(objects_cross_as_clixml_and_are_objects_again),
        cmocka_unit_test(memory_is_filled_in_place_and_held_in_place),
        cmocka_unit_test(a_target_that_is_no_place_is_refused),
        cmocka_unit_test(a_transfer_that_is_not_taken_times_out),
        cmocka_unit_test(an_exit_is_told_with_its_code),
        cmocka_unit_test(an_engine_that_dies_in_a_transfer_ends_it_at_once),
        cmocka_unit_test(closing_ends_an_engine_that_works),
        cmocka_unit_test(what_an_engine_started_ends_with_its_session),
        cmocka_unit_test(a_second_session_is_another_world),
        cmocka_unit_test(a_start_of_no_engine_says_what_was_wrong),
    };
    if (getenv("ZCB_TEST_MODULE") == NULL) {
        puts("skipped: ZCB_TEST_MODULE names no module");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
