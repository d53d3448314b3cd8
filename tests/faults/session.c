/* A session with the fake engine: commands, stops, timeouts, bridges. */
#include "channel/block.h"
#include "check.h"

#include <libgen.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "session/session.h"
#include "support.h"

#define GRACE_MS 2000
#define TEXT_BYTES (300 * KIB)
#define MESSAGE_BYTES (100 * KIB)
#define LONG_BYTES (1200 * KIB) /* longer than frame and window of a bridge */

static unsigned char bytes_out[LONG_BYTES];
static unsigned char bytes_in[LONG_BYTES];

/* ---------------------------------------------------------------- commands */

static uint64_t submit(zcb_session *session, const char *text, uint32_t flags, int64_t timeout_ms)
{
    zcb_wait wait = in_time();
    zcb_command command = {
        .op = ZCB_OP_RUN, .flags = flags, .parts = TEXT_PART(text, strlen(text)), .part_count = 1};
    return CALL(zcb_session_submit, session, &command, timeout_ms, &wait) ? 0 : command.id;
}

/* A wait that fails leaves the command as it is: wait again. NULL when there is no result. */
static zcb_result *take_result(zcb_session *session, uint64_t id)
{
    zcb_wait wait = in_time();
    zcb_result *result = NULL;
    if (id == 0)
        return NULL;
    if (CALL(zcb_session_wait, session, id, &result, &wait) &&
        CALL(zcb_session_wait, session, id, &result, &wait))
        return NULL;
    return result;
}

static void expect_status(zcb_session *session, uint64_t id, zcb_status status)
{
    zcb_result *result = take_result(session, id);
    if (id != 0)
        always(result != NULL, "a command has a result");
    if (result)
        right(zcb_result_status(result) == (uint32_t)status, "a command's status");
    zcb_result_free(result);
}

static bool is_out(const zcb_result *result, const char *text)
{
    return strcmp(zcb_result_text(result, ZCB_PART_OUT, NULL), text) == 0;
}

/* Runs a command and leaves its result to the caller, or NULL. */
static zcb_result *run(zcb_session *session, const char *text, size_t bytes)
{
    zcb_wait wait = in_time();
    zcb_result *result = NULL;
    if (CALL(zcb_session_run, session, text, bytes, 0, ZCB_FOREVER, &result, &wait))
        return NULL;
    right(zcb_result_status(result) == ZCB_STATUS_DONE && zcb_result_success(result),
          "a command succeeds");
    return result;
}

static void says(zcb_session *session, const char *text, const char *answer)
{
    zcb_result *result = run(session, text, strlen(text));
    if (result && zcb_result_success(result))
        always(is_out(result, answer), "a command's output");
    zcb_result_free(result);
}

static void a_short_command(zcb_session *session)
{
    says(session, "echo hello", "hello");
}

static void a_long_command(zcb_session *session)
{
    static char text[TEXT_BYTES];
    char answer[32];
    memset(text, 'x', sizeof(text));
    memcpy(text, "size ", 5);
    snprintf(answer, sizeof(answer), "%zu", sizeof(text));
    zcb_result *result = run(session, text, sizeof(text));
    if (result && zcb_result_success(result))
        always(is_out(result, answer), "a long command arrives");
    zcb_result_free(result);
}

static void check_output(zcb_session *session, const char *text, size_t bytes)
{
    zcb_result *result = run(session, text, strlen(text));
    if (result && zcb_result_success(result)) {
        size_t out_bytes = 0;
        const char *out = zcb_result_text(result, ZCB_PART_OUT, &out_bytes);
        always(out_bytes == bytes && is_filled(out, bytes, bytes), "a command's output");
    }
    zcb_result_free(result);
}

static void long_output(zcb_session *session)
{
    check_output(session, "out 300000", 300000);
}

static void output_in_pieces(zcb_session *session)
{
    check_output(session, "pieces 3", (size_t)3 * 65536);
}

/* ---------------------------------------------------------------- results for whoever asks */

static void take_next(zcb_session *session)
{
    zcb_wait wait = in_time();
    zcb_result *result = NULL;
    if (CALL(zcb_session_next, session, &result, &wait) &&
        CALL(zcb_session_next, session, &result, &wait))
        return;
    if (right(zcb_result_success(result), "a command succeeds"))
        always(is_out(result, "hello"), "a command's output");
    zcb_result_free(result);
}

static void results_come_by_themselves(zcb_session *session)
{
    enum { COMMANDS = 3 };
    unsigned submitted = 0;
    while (submitted < COMMANDS &&
           submit(session, "echo hello", ZCB_COMMAND_NOTIFY, ZCB_FOREVER) != 0)
        submitted++;
    while (submitted-- > 0)
        take_next(session);
}

/* What waits for the event is told of every result, whichever call before has failed. */
static void an_event_loop_is_told(zcb_session *session)
{
    static const zcb_wait at_once = {0};
    struct pollfd polled = {.events = POLLIN};
    zcb_result *result = NULL;
    intptr_t event;
    if (CALL(zcb_session_event, session, &event) && CALL(zcb_session_event, session, &event))
        return;
    polled.fd = (int)event;
    if (submit(session, "echo hello", ZCB_COMMAND_NOTIFY, CALL_LIMIT_MS) == 0)
        return;
    zcb_error error;
    do {
        error = zcb_session_next(session, &result, &at_once);
        if (error && error != ZCB_ERR_TIMEOUT)
            (void)call_ended("zcb_session_next", error, ZCB_OK);
    } while (error && !zcb_error_is_final(error) && poll(&polled, 1, CALL_LIMIT_MS) == 1);
    if (right(!error, "the event tells of a result"))
        right(zcb_result_success(result) && is_out(result, "hello"), "a command's output");
    zcb_result_free(error ? NULL : result);
}

/* ---------------------------------------------------------------- stops and timeouts */

static void stop(zcb_session *session, uint64_t id)
{
    if (CALL(zcb_session_stop, session, id))
        (void)CALL(zcb_session_stop, session, id);
}

static void a_command_is_stopped(zcb_session *session)
{
    uint64_t id = submit(session, "wait", 0, ZCB_FOREVER);
    if (id == 0)
        return;
    stop(session, id);
    expect_status(session, id, ZCB_STATUS_STOPPED);
}

static void a_command_times_out(zcb_session *session)
{
    expect_status(session, submit(session, "wait", 0, 1), ZCB_STATUS_TIMED_OUT);
}

struct reader {
    zcb_session *session;
    uint64_t id;
    _Atomic bool over;
};

static void *read_replies(void *arg)
{
    struct reader *reader = arg;
    expect_status(reader->session, reader->id, ZCB_STATUS_STOPPED);
    atomic_store(&reader->over, true);
    return NULL;
}

/* One thread reads, and this one is told by it. */
static void two_threads_wait(zcb_session *session)
{
    struct reader reader = {.session = session, .id = submit(session, "wait", 0, ZCB_FOREVER)};
    if (reader.id == 0)
        return;
    pthread_t thread = start_thread(read_replies, &reader);
    _Atomic uint32_t *asleep = &session->commands->rx.control->consumer_asleep;
    while (atomic_load(asleep) != SLEEP_BELL && !atomic_load(&reader.over))
        sched_yield();
    uint64_t id = submit(session, "echo hello", 0, ZCB_FOREVER);
    stop(session, reader.id);
    expect_status(session, id, ZCB_STATUS_DONE);
    join_thread(thread);
}

static void the_listener_answers(zcb_session *session)
{
    zcb_wait wait = in_time();
    (void)CALL(zcb_session_ping, session, &wait);
}

/* ---------------------------------------------------------------- bridges */

static zcb_bridge *open_bridge(zcb_session *session)
{
    static const zcb_channel_options options = {
        .frame_bytes = 256 * KIB, .window_bytes = 64 * KIB, .label = "bridge"};
    zcb_bridge *bridge = NULL;
    zcb_detail why = {""};
    if (!CALL(zcb_bridge_open, session, &options, &bridge, &why))
        return bridge;
    always(why.text[0] != 0, "why no bridge was opened");
    return NULL;
}

static uint64_t post_receive(zcb_bridge *bridge)
{
    zcb_wait wait = in_time();
    uint64_t id = 0;
    (void)CALL(zcb_bridge_post_receive, bridge, "$v", 2, 0, ZCB_FOREVER, &id, &wait);
    return id;
}

static zcb_error send(zcb_bridge *bridge, size_t bytes)
{
    zcb_wait wait = in_time();
    fill(bytes_out, bytes, bytes);
    return zcb_bridge_send(bridge, ZCB_KIND_BYTES, bytes_out, bytes, NULL, &wait);
}

/* The end of a transfer, and of the call that moved its bytes: nobody else reads results here, so the call learns
 * only by its deadline that the engine could not open the bridge. */
static bool ended_as(zcb_session *session, uint64_t id, bool well, const char *function,
                     zcb_error error)
{
    zcb_result *result = take_result(session, id);
    bool unopened = result && zcb_result_refused(result) && error == ZCB_ERR_TIMEOUT;
    bool success = result && zcb_result_success(result);
    if (!unopened)
        (void)call_ended(function, error, ZCB_OK);
    always(result != NULL, "a transfer has a result");
    right(success == well, "how a transfer ends");
    zcb_result_free(result);
    return success && !error;
}

static void check_variable(zcb_session *session, size_t bytes)
{
    char answer[32];
    snprintf(answer, sizeof(answer), "%zu right", bytes);
    says(session, "check $v", answer);
}

static void into_the_engine(zcb_session *session, size_t bytes)
{
    zcb_bridge *bridge = open_bridge(session);
    if (!bridge)
        return;
    uint64_t id = post_receive(bridge);
    zcb_error error = id != 0 ? send(bridge, bytes) : ZCB_OK;
    if (error && error != ZCB_ERR_TIMEOUT)
        zcb_bridge_close(bridge);
    if (id != 0 && ended_as(session, id, true, "zcb_bridge_send", error))
        check_variable(session, bytes);
    zcb_bridge_free(bridge);
}

static void bytes_go_into_the_engine(zcb_session *session)
{
    into_the_engine(session, MESSAGE_BYTES);
}

static void long_ones_go_into_the_engine(zcb_session *session)
{
    into_the_engine(session, LONG_BYTES);
}

static void a_queued_message_is_taken(zcb_session *session)
{
    zcb_bridge *bridge = open_bridge(session);
    if (!bridge)
        return;
    zcb_error error = call_ended("zcb_bridge_send", send(bridge, MESSAGE_BYTES), ZCB_OK);
    uint64_t id = error ? 0 : post_receive(bridge);
    if (id != 0 && ended_as(session, id, true, "zcb_bridge_send", error))
        check_variable(session, MESSAGE_BYTES);
    zcb_bridge_free(bridge);
}

static zcb_error receive(zcb_bridge *bridge, zcb_kind kind, size_t bytes)
{
    zcb_wait wait = in_time();
    zcb_message message;
    zcb_channel *channel = zcb_bridge_channel(bridge);
    zcb_error error = zcb_bridge_receive_begin(bridge, ZCB_WISH_COPY, &message, &wait);
    if (error)
        return error;
    error = zcb_receive_read(channel, bytes_in, (size_t)message.bytes, NULL, &wait);
    if (error) {
        zcb_receive_drop(channel);
        return error;
    }
    (void)CALL(zcb_receive_end, channel);
    if (right(message.kind == (uint32_t)kind, "the kind of a message") && kind == ZCB_KIND_BYTES)
        always(message.bytes == bytes && is_filled(bytes_in, bytes, bytes), "what was received");
    return ZCB_OK;
}

/* expression: a number of bytes, or a variable that is not there. */
static void out_of_the_engine(zcb_session *session, const char *expression, zcb_kind kind)
{
    zcb_bridge *bridge = open_bridge(session);
    if (!bridge)
        return;
    zcb_wait wait = in_time();
    uint64_t id = 0;
    (void)CALL(zcb_bridge_post_send, bridge, expression, strlen(expression), 0, 0, ZCB_FOREVER, &id,
               &wait);
    zcb_error error =
        id != 0 ? receive(bridge, kind, (size_t)strtoull(expression, NULL, 10)) : ZCB_OK;
    if (error && error != ZCB_ERR_TIMEOUT)
        zcb_bridge_close(bridge);
    if (id != 0)
        (void)ended_as(session, id, kind == ZCB_KIND_BYTES, "zcb_receive_read", error);
    zcb_bridge_free(bridge);
}

static void bytes_come_out_of_the_engine(zcb_session *session)
{
    out_of_the_engine(session, "100000", ZCB_KIND_BYTES);
}

static void long_ones_come_out_of_the_engine(zcb_session *session)
{
    out_of_the_engine(session, "1200000", ZCB_KIND_BYTES);
}

static void an_error_comes_out_of_the_engine(zcb_session *session)
{
    out_of_the_engine(session, "$nothing", ZCB_KIND_ERROR);
}

static void a_posted_receive_is_withdrawn(zcb_session *session)
{
    zcb_bridge *bridge = open_bridge(session);
    if (!bridge)
        return;
    uint64_t id = post_receive(bridge);
    if (id != 0 && CALL(zcb_bridge_withdraw, bridge, id))
        zcb_bridge_close(bridge);
    expect_status(session, id, ZCB_STATUS_STOPPED);
    zcb_bridge_free(bridge);
}

static void a_withdrawn_message_leaves_its_receive_waiting(zcb_session *session)
{
    zcb_bridge *bridge = open_bridge(session);
    if (!bridge)
        return;
    zcb_wait at_once = {0};
    uint64_t blocking = submit(session, "wait", 0, ZCB_FOREVER); /* the engine receives nothing */
    uint64_t id = post_receive(bridge);
    (void)CALL_FOR(ZCB_ERR_TIMEOUT, zcb_bridge_send, bridge, ZCB_KIND_BYTES, bytes_out, LONG_BYTES,
                   NULL, &at_once);
    if (blocking != 0)
        stop(session, blocking);
    expect_status(session, blocking, ZCB_STATUS_STOPPED);
    zcb_error error = id != 0 ? send(bridge, MESSAGE_BYTES) : ZCB_OK;
    if (error && error != ZCB_ERR_TIMEOUT)
        zcb_bridge_close(bridge);
    if (id != 0 && ended_as(session, id, true, "zcb_bridge_send", error))
        check_variable(session, MESSAGE_BYTES);
    zcb_bridge_free(bridge);
}

static void a_failure_that_was_seen_is_not_told_again(zcb_session *session)
{
    zcb_bridge *bridge = open_bridge(session);
    if (!bridge)
        return;
    zcb_wait wait = in_time();
    zcb_message message = {.id = 0};
    uint64_t bad = 0, good = 0;
    (void)CALL(zcb_bridge_post_send, bridge, "$nothing", 8, 0, 0, ZCB_FOREVER, &bad, &wait);
    zcb_result_free(take_result(session, bad));
    zcb_bridge_seen(bridge, bad);
    (void)CALL(zcb_bridge_post_send, bridge, "5", 1, 0, 0, ZCB_FOREVER, &good, &wait);
    if (good != 0 && zcb_bridge_receive_begin(bridge, ZCB_WISH_COPY, &message, &wait) == ZCB_OK) {
        always(message.id == good, "what comes after a failure that was seen");
        zcb_receive_drop(zcb_bridge_channel(bridge));
    }
    zcb_result_free(take_result(session, good));
    zcb_bridge_free(bridge);
}

/* ---------------------------------------------------------------- the scenario */

static void (*const steps[])(zcb_session *) = {
    a_short_command,
    a_long_command,
    long_output,
    output_in_pieces,
    results_come_by_themselves,
    a_command_is_stopped,
    a_command_times_out,
    two_threads_wait,
    the_listener_answers,
    bytes_go_into_the_engine,
    long_ones_go_into_the_engine,
    a_queued_message_is_taken,
    bytes_come_out_of_the_engine,
    long_ones_come_out_of_the_engine,
    an_error_comes_out_of_the_engine,
    a_posted_receive_is_withdrawn,
    a_withdrawn_message_leaves_its_receive_waiting,
    a_failure_that_was_seen_is_not_told_again,
    an_event_loop_is_told,
};

/* Built beside this program. */
static const char *engine_path(void)
{
    static char path[4096];
    char self[4000];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[bytes > 0 ? bytes : 0] = 0;
    snprintf(path, sizeof(path), "%s/faulty_engine", dirname(self));
    return path;
}

/* Sanitizers end the engine by a signal, too. */
static bool crashed(const zcb_detail *why)
{
    return strstr(why->text, "signal") != NULL;
}

static zcb_session *start(void)
{
    const char *const environment[] = {plan_variable(), "ASAN_OPTIONS=abort_on_error=1",
                                       "UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1", NULL};
    zcb_session_options options = {.engine = engine_path(),
                                   .module = "/nowhere/module.dll",
                                   .working_directory = "/",
                                   .environment = environment,
                                   .grace_ms = GRACE_MS};
    zcb_wait wait = in_time();
    zcb_detail why = {""};
    zcb_session *session = NULL;
    if (!CALL(zcb_session_start, &options, &session, &why, &wait))
        return session;
    always(why.text[0] != 0 && !crashed(&why), "why no session was started");
    return NULL;
}

/* A session goes on, or says that it is over. */
static bool is_over(zcb_session *session)
{
    zcb_detail why = {""};
    suspend_faults();
    next_step();
    says(session, "echo still here", "still here");
    bool over = !zcb_session_alive(session, &why);
    always(over == (why.text[0] != 0) && !crashed(&why), "why the session is over");
    resume_faults();
    return over;
}

void run_session(void)
{
    next_step();
    zcb_session *session = start();
    if (!session)
        return;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        next_step();
        steps[i](session);
    }
    bool over = is_over(session);
    zcb_session_close(session, GRACE_MS);
    zcb_session_free(session);
    conclude(over);
}
