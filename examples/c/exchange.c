/*
 * PowerShell from C: start it, run a command, send it 100 MB, take 100 MB back.
 *
 *     exchange [path of ZeroCopyBridge.dll]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zcb/zcb.h>

#define SIZE_BYTES ((size_t)100 * 1000 * 1000)
#define TIMEOUT_MS 60000

static int fail(const char *what, zcb_error error, const char *why)
{
    fprintf(stderr, "%s: %s%s%s\n", what, zcb_error_text(error), *why ? ": " : "", why);
    return 1;
}

/* Prints what a command wrote. Returns 0 when it succeeded. */
static int run(zcb_session *session, const char *command)
{
    zcb_result *result;
    zcb_error error =
        zcb_session_run(session, command, strlen(command), 0, TIMEOUT_MS, &result, NULL);
    if (error)
        return fail(command, error, "");
    printf("PS> %s\n%s%s", command, zcb_result_text(result, ZCB_PART_OUT, NULL),
           zcb_result_text(result, ZCB_PART_ERR, NULL));
    int failed = !zcb_result_success(result);
    zcb_result_free(result);
    return failed;
}

/* Waits for a posted transfer. Returns 0 when it succeeded. */
static int finish(zcb_session *session, uint64_t id)
{
    zcb_result *result;
    zcb_error error = zcb_session_wait(session, id, &result, NULL);
    if (error)
        return fail("transfer", error, "");
    int failed = !zcb_result_success(result);
    if (failed)
        fprintf(stderr, "transfer: %s\n", zcb_result_text(result, ZCB_PART_ERR, NULL));
    zcb_result_free(result);
    return failed;
}

static double gigabytes_per_second(int64_t since_ns)
{
    return (double)SIZE_BYTES / (double)(zcb_now_ns() - since_ns);
}

static int send_to_powershell(zcb_session *session, zcb_bridge *bridge, const unsigned char *data)
{
    int64_t begin = zcb_now_ns();
    uint64_t id;
    zcb_error error = zcb_bridge_post_receive(bridge, "$data", 5, 0, TIMEOUT_MS, &id, NULL);
    if (!error)
        error = zcb_bridge_send(bridge, ZCB_KIND_BYTES, data, SIZE_BYTES, NULL, NULL);
    if (error)
        return fail("send", error, "");
    if (finish(session, id))
        return 1;
    printf("100 MB into $data: %.1f GB/s\n", gigabytes_per_second(begin));
    return 0;
}

static int receive_from_powershell(zcb_session *session, zcb_bridge *bridge, unsigned char *data)
{
    int64_t begin = zcb_now_ns();
    uint64_t id;
    zcb_message message;
    zcb_error error = zcb_bridge_post_send(bridge, "$data", 5, 0, 0, TIMEOUT_MS, &id, NULL);
    if (!error)
        error = zcb_bridge_receive_begin(bridge, ZCB_WISH_COPY, &message, NULL);
    if (error)
        return fail("receive", error, "");
    zcb_channel *channel = zcb_bridge_channel(bridge);
    if (message.kind != ZCB_KIND_BYTES || message.bytes != SIZE_BYTES) {
        zcb_receive_drop(channel);
        return fail("receive", ZCB_ERR_INVALID, "not what was sent");
    }
    error = zcb_receive_read(channel, data, SIZE_BYTES, NULL, NULL);
    if (error) {
        zcb_receive_drop(channel);
        return fail("receive", error, "");
    }
    zcb_receive_end(channel);
    printf("100 MB out of $data: %.1f GB/s\n", gigabytes_per_second(begin));
    return finish(session, id);
}

static int exchange(zcb_session *session, zcb_bridge *bridge)
{
    unsigned char *out = malloc(SIZE_BYTES), *back = malloc(SIZE_BYTES);
    int failed = !out || !back;
    if (!failed) {
        for (size_t i = 0; i < SIZE_BYTES; i++)
            out[i] = (unsigned char)(i * 31 % 251);
        zcb_advise_huge(back, SIZE_BYTES);
        failed = send_to_powershell(session, bridge, out) ||
                 run(session, "'{0:N0} bytes, the last one {1}' -f $data.Length, $data[-1]") ||
                 receive_from_powershell(session, bridge, back) ||
                 memcmp(out, back, SIZE_BYTES) != 0;
        puts(failed ? "the round trip differs" : "the round trip is the same, byte for byte");
    }
    free(out);
    free(back);
    return failed;
}

int main(int argc, char **argv)
{
    zcb_detail why;
    zcb_session *session;
    zcb_session_options options = {.module = argc > 1 ? argv[1] : getenv("ZCB_TEST_MODULE")};
    zcb_error error = zcb_session_start(&options, &session, &why, NULL);
    if (error)
        return fail("PowerShell", error, why.text);
    printf("PowerShell %s, process %lld\n", zcb_session_version(session),
           (long long)zcb_session_pid(session));

    zcb_bridge *bridge;
    int failed = run(session, "Get-Date -Year 2026 -Month 1 -Day 1 -Hour 0 -Minute 0 -Second 0");
    error = zcb_bridge_open(session, NULL, &bridge, &why);
    if (error) {
        failed = fail("bridge", error, why.text);
    } else {
        failed = exchange(session, bridge) || failed;
        zcb_bridge_free(bridge);
    }
    zcb_session_close(session, 2000);
    zcb_session_free(session);
    return failed;
}
