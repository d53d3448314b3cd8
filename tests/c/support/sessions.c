#include "sessions.h"
#include "channel/block.h"

const char *fake_engine(void)
{
    static char path[4200];
    char self[4096];
    own_path(self);
    char *name = strrchr(self, '/') ? strrchr(self, '/') : strrchr(self, '\\');
    assert_non_null(name);
    const char *extension = strrchr(name, '.') ? strrchr(name, '.') : "";
    snprintf(path, sizeof(path), "%.*sfake_engine%s", (int)(name - self + 1), self, extension);
    return path;
}

zcb_session_options fake_options(void)
{
    return (zcb_session_options){.engine = fake_engine(), .module = NOWHERE "module.dll"};
}

zcb_session *start_session(const zcb_session_options *options)
{
    zcb_session *session = NULL;
    zcb_detail why;
    if (zcb_session_start(options, &session, &why, NULL))
        fail_msg("%s", why.text);
    return session;
}

int set_up_session(void **state)
{
    zcb_session_options options = fake_options();
    *state = start_session(&options);
    return 0;
}

int tear_down_session(void **state)
{
    zcb_session_free(*state);
    assert_no_children();
    return 0;
}

uint64_t submit(zcb_session *session, const char *text, uint32_t flags, int64_t timeout_ms)
{
    zcb_wait wait = patience();
    zcb_command command = {
        .op = ZCB_OP_RUN, .flags = flags, .parts = TEXT_PART(text, strlen(text)), .part_count = 1};
    assert_ok(zcb_session_submit(session, &command, timeout_ms, &wait));
    return command.id;
}

zcb_result *wait_for(zcb_session *session, uint64_t id)
{
    zcb_wait wait = patience();
    zcb_result *result = NULL;
    assert_ok(zcb_session_wait(session, id, &result, &wait));
    assert_int_equal(zcb_result_id(result), id);
    return result;
}

zcb_status status_of(zcb_session *session, uint64_t id)
{
    zcb_result *result = wait_for(session, id);
    zcb_status status = (zcb_status)zcb_result_status(result);
    zcb_result_free(result);
    return status;
}

bool says(zcb_session *session, const char *text, const char *out)
{
    zcb_wait wait = patience();
    zcb_result *result = NULL;
    if (zcb_session_run(session, text, strlen(text), 0, ZCB_FOREVER, &result, &wait))
        return false;
    bool right = zcb_result_status(result) == ZCB_STATUS_DONE &&
                 strcmp(zcb_result_text(result, ZCB_PART_OUT, NULL), out) == 0;
    zcb_result_free(result);
    return right;
}

int64_t number_of(zcb_session *session, const char *text)
{
    zcb_result *result = wait_for(session, submit(session, text, 0, ZCB_FOREVER));
    int64_t number = atoll(zcb_result_text(result, ZCB_PART_OUT, NULL));
    zcb_result_free(result);
    return number;
}

void assert_serves(zcb_session *session)
{
    assert_true(says(session, "echo still here", "still here"));
    assert_true(zcb_session_alive(session, NULL));
}

void await_reader(zcb_session *session)
{
    await_asleep(&session->commands->rx.control->consumer_asleep);
}

void await_follower(zcb_session *session)
{
    bool follows = false;
    while (!follows) {
        zcbi_plat_mutex_lock(&session->lock);
        for (struct follower *f = session->followers; f; f = f->next)
            follows = follows || atomic_load(&f->waiter.asleep);
        zcbi_plat_mutex_unlock(&session->lock);
        sched_yield();
    }
}

void halt(zcb_session *session)
{
    halt_process(session->pid, session->process);
}

void kill_its_engine(zcb_session *session)
{
    zcbi_plat_process_kill(session->pid, session->process);
}

void await_end_of(int64_t pid)
{
    plat_handle process;
    unsigned ready;
    zcb_error error = zcbi_plat_process_open(pid, &process);
    while (error == ZCB_ERR_SYSTEM && process_runs(pid)) /* there are no handles of processes */
        sched_yield();
    if (error == ZCB_ERR_PEER_GONE || error == ZCB_ERR_SYSTEM)
        return;
    assert_ok(error);
    assert_ok(zcbi_plat_wait(&process, 1, zcb_deadline_ns(PATIENCE_MS), &ready));
    zcbi_plat_close(process);
}

plat_child start_idle_process(void)
{
    static const char *const arguments[] = {"idle", NULL};
    plat_handle ours, theirs, out;
    plat_child child;
    zcb_detail why;
    assert_ok(zcbi_plat_link_pair(&ours, &theirs));
    assert_ok(zcbi_plat_file_create(&out));
    plat_spawn spawn = {.path = fake_engine(),
                        .arguments = arguments,
                        .link = theirs,
                        .other_end = ours,
                        .out = out,
                        .err = out};
    if (zcbi_plat_process_spawn(&spawn, &child, &why))
        fail_msg("%s", why.text);
    zcbi_plat_close(ours);
    zcbi_plat_close(theirs);
    zcbi_plat_close(out);
    return child;
}

int finish_child(plat_child *child)
{
    unsigned ready;
    int code = 0;
    assert_ok(zcbi_plat_wait(&child->process, 1, zcb_deadline_ns(PATIENCE_MS), &ready));
    assert_true(zcbi_plat_process_ended(child, &code));
    zcbi_plat_close(child->process);
    zcbi_plat_close(child->group);
    return code;
}
