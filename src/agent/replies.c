/* Answering the program: parts of a reply, and how a command or a transfer ended. */
#include <string.h>

#include "agent.h"

#define MOST_REPLY_PARTS (ZCB_STREAMS + 1) /* of a completion, with itself */

static zcb_error write_parts(zcb_agent *agent, struct parts_writer *writer)
{
    struct span piece;
    zcb_error error = ZCB_OK;
    while (!error && zcbi_parts_next(writer, &piece)) {
        size_t written = 0;
        error = zcbi_tx_write(agent->commands, piece.data, piece.bytes, &written, NULL);
    }
    return error;
}

/* One message of parts. */
static zcb_error send_parts(zcb_agent *agent, uint64_t id, uint32_t reply,
                            struct parts_writer *writer, bool lazy)
{
    zcb_message message = {
        .kind = ZCB_KIND_CONTROL, .flags = reply, .id = id, .bytes = zcbi_parts_bytes(writer)};
    zcb_error error = zcbi_tx_lock(agent->commands, NULL);
    if (error)
        return error;
    error = zcbi_tx_begin(agent->commands, &message, lazy ? SEND_LAZY : 0, NULL);
    if (!error)
        error = write_parts(agent, writer);
    if (error)
        zcbi_tx_abort(agent->commands);
    zcbi_tx_unlock(agent->commands);
    return error;
}

static bool are_streams(const zcb_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (parts[i].kind < ZCB_PART_OUT || parts[i].kind >= ZCB_PART_OUT + ZCB_STREAMS ||
            parts[i].flags != 0 || (parts[i].bytes > 0 && !parts[i].data))
            return false;
    return true;
}

zcb_error zcb_agent_output(zcb_agent *agent, uint64_t id, const zcb_part *parts, size_t count)
{
    if (!agent || count == 0 || !parts || !are_streams(parts, count))
        return ZCB_ERR_INVALID;
    struct parts_writer writer = {.parts = parts, .count = count};
    zcb_error error = send_parts(agent, id, 0, &writer, false);
    if (error)
        atomic_store(&agent->starved, id); /* partner: zcb_agent_complete */
    return error;
}

/* The completion goes behind the parts. */
static zcb_error send_completion(zcb_agent *agent, uint64_t id, const zcb_completion *completion,
                                 const zcb_part *parts, size_t count, bool lazy)
{
    struct completion_wire wire = {.status = completion->status,
                                   .success = completion->success,
                                   .refused = completion->refused,
                                   .exit_code = completion->exit_code,
                                   .execution_ns = completion->execution_ns};
    zcb_part all[MOST_REPLY_PARTS];
    if (count > 0)
        memcpy(all, parts, count * sizeof(*parts));
    all[count] = (zcb_part){.kind = PART_COMPLETION, .data = &wire, .bytes = sizeof(wire)};
    struct parts_writer writer = {.parts = all, .count = count + 1};
    return send_parts(agent, id, REPLY_COMPLETES, &writer, lazy);
}

/* Rather a completion without its texts, and rather no session, than a program that waits for
 * ever. */
static zcb_error complete_without_texts(zcb_agent *agent, uint64_t id,
                                        const zcb_completion *completion, bool lazy)
{
    static const char lost[] = "the engine has no memory for what the command wrote";
    const zcb_part part = {.kind = ZCB_PART_ERR, .data = lost, .bytes = sizeof(lost) - 1};
    zcb_completion failed = *completion;
    failed.success = false;
    zcb_error error = send_completion(agent, id, &failed, &part, 1, lazy);
    if (zcbi_error_is_shortage(error))
        zcb_channel_close(agent->commands);
    return error;
}

zcb_error zcb_agent_complete(zcb_agent *agent, uint64_t id, const zcb_completion *completion,
                             const zcb_part *parts, size_t count, bool lazy)
{
    if (!agent || !completion || count >= MOST_REPLY_PARTS || (count > 0 && !parts) ||
        !are_streams(parts, count))
        return ZCB_ERR_INVALID;
    if (lazy)
        agent->unrung = true;
    zcb_error error = ZCB_ERR_NO_MEMORY;
    if (atomic_load(&agent->starved) != id) /* partner: zcb_agent_output */
        error = send_completion(agent, id, completion, parts, count, lazy);
    return zcbi_error_is_shortage(error) ? complete_without_texts(agent, id, completion, lazy)
                                         : error;
}

void zcb_agent_flush(zcb_agent *agent)
{
    if (agent->unrung)
        zcbi_tx_flush(agent->commands);
    agent->unrung = false;
}

/* ---------------------------------------------------------------- transfers */

struct span zcbi_text(const char *text)
{
    return (struct span){text, strlen(text)};
}

void zcbi_runtime_release(zcb_agent *agent, void *owner)
{
    if (owner)
        agent->runtime.release(agent->runtime.arg, owner);
}

void zcbi_transfer_end(zcb_agent *agent, struct ending ending)
{
    bool success = !ending.stopped && ending.reason.bytes == 0;
    const zcb_completion completion = {
        .status = ending.stopped ? ZCB_STATUS_STOPPED : ZCB_STATUS_DONE,
        .success = success,
        .refused = ending.refused,
        .exit_code = success ? 0 : 1,
        .execution_ns = ending.start_ns ? zcbi_plat_now_ns() - ending.start_ns : 0};
    const zcb_part why = {
        .kind = ZCB_PART_ERR, .data = ending.reason.data, .bytes = ending.reason.bytes};
    bool says_why = !ending.stopped && ending.reason.bytes > 0;
    /* Fails with the session alone. */
    (void)zcb_agent_complete(agent, ending.id, &completion, &why, says_why, ending.lazy);
}
