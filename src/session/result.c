#include "result.h"

#include <stdlib.h>
#include <string.h>

static bool is_stream(uint32_t kind)
{
    return kind >= ZCB_PART_OUT && kind < ZCB_PART_OUT + ZCB_STREAMS;
}

/* ---------------------------------------------------------------- text */

static bool grow_text(struct text *text, size_t more)
{
    if (more < text->capacity - text->bytes && text->capacity > 0)
        return true;
    bool elsewhere = text->text != text->own;
    size_t capacity = (text->bytes + more + 1) * 2;
    char *own = realloc(text->own, capacity);
    if (!own)
        return false;
    if (elsewhere)
        memcpy(own, text->text, text->bytes);
    text->text = text->own = own;
    text->capacity = capacity;
    return true;
}

static bool append_text(struct text *text, const void *more, size_t bytes)
{
    if (!grow_text(text, bytes))
        return false;
    memcpy(text->own + text->bytes, more, bytes);
    text->bytes += bytes;
    text->own[text->bytes] = 0;
    return true;
}

static void clear_texts(zcb_result *result)
{
    for (int i = 0; i < ZCB_STREAMS; i++) {
        free(result->text[i].own);
        result->text[i] = (struct text){.text = ""};
    }
    free(result->message);
    result->message = NULL;
}

/* ---------------------------------------------------------------- adding replies */

zcb_result *zcbi_result_create(uint64_t id, uint32_t op)
{
    zcb_result *result = calloc(1, sizeof(*result));
    if (!result)
        return NULL;
    result->id = id;
    result->op = op;
    clear_texts(result);
    return result;
}

bool zcbi_reply_makes_sense(const unsigned char *message, size_t bytes, bool completes)
{
    size_t count = 0, at = 0;
    if (zcbi_parts_count(message, bytes, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        zcb_part part = zcbi_parts_take(message, &at);
        bool last = completes && i + 1 == count;
        if (last && part.kind == PART_COMPLETION)
            return part.bytes == sizeof(struct completion_wire);
        if (!is_stream(part.kind))
            return false;
    }
    return !completes;
}

static zcb_completion completion_of(const zcb_part *part)
{
    struct completion_wire wire;
    memcpy(&wire, part->data, sizeof(wire));
    return (zcb_completion){.status = wire.status,
                            .success = wire.success != 0,
                            .refused = wire.refused != 0,
                            .exit_code = wire.exit_code,
                            .execution_ns = wire.execution_ns};
}

/* kept: the memory of the part will be kept. Then it need not be copied, if it is the stream's only
 * text. */
static void add_text(zcb_result *result, const zcb_part *part, bool kept)
{
    struct text *text = &result->text[part->kind - ZCB_PART_OUT];
    if (kept && text->bytes == 0)
        *text = (struct text){.text = part->data, .bytes = part->bytes, .own = text->own};
    else if (!append_text(text, part->data, part->bytes))
        result->incomplete = true;
}

static void set_lost_text(zcb_result *result)
{
    static const char lost[] = "there was no memory for the command's result";
    clear_texts(result);
    result->text[ZCB_PART_ERR - ZCB_PART_OUT] =
        (struct text){.text = lost, .bytes = sizeof(lost) - 1};
}

/* A result that lacks some of its text is no success. */
static void end_incomplete(zcb_result *result, zcb_status status)
{
    result->completion =
        (zcb_completion){.status = status, .refused = result->op == ZCB_OP_RECEIVE, .exit_code = 1};
    set_lost_text(result);
}

bool zcbi_result_add_reply(zcb_result *result, unsigned char *message, size_t bytes, bool completes)
{
    result->incomplete = result->incomplete || !message;
    for (size_t at = 0; message && at < bytes;) {
        zcb_part part = zcbi_parts_take(message, &at);
        if (part.kind == PART_COMPLETION)
            result->completion = completion_of(&part);
        else
            add_text(result, &part, completes);
    }
    if (!completes) {
        free(message);
        return false;
    }
    result->message = message;
    if (result->incomplete)
        end_incomplete(result, ZCB_STATUS_DONE);
    return true;
}

void zcbi_result_end(zcb_result *result, zcb_status status, const char *err)
{
    result->completion =
        (zcb_completion){.status = status, .refused = result->op == ZCB_OP_RECEIVE, .exit_code = 1};
    if (!append_text(&result->text[ZCB_PART_ERR - ZCB_PART_OUT], err, strlen(err)))
        result->incomplete = true;
    if (result->incomplete)
        set_lost_text(result);
}

/* ---------------------------------------------------------------- the accessors */

uint64_t zcb_result_id(const zcb_result *result)
{
    return result->id;
}

zcb_op zcb_result_op(const zcb_result *result)
{
    return (zcb_op)result->op;
}

zcb_status zcb_result_status(const zcb_result *result)
{
    return (zcb_status)result->completion.status;
}

bool zcb_result_success(const zcb_result *result)
{
    return result->completion.success;
}

bool zcb_result_refused(const zcb_result *result)
{
    return result->completion.refused;
}

int32_t zcb_result_exit_code(const zcb_result *result)
{
    return result->completion.exit_code;
}

int64_t zcb_result_execution_ns(const zcb_result *result)
{
    return result->completion.execution_ns;
}

const char *zcb_result_text(const zcb_result *result, zcb_part_kind stream, size_t *bytes)
{
    const struct text nothing = {.text = ""};
    const struct text *text =
        is_stream((uint32_t)stream) ? &result->text[stream - ZCB_PART_OUT] : &nothing;
    if (bytes)
        *bytes = text->bytes;
    return text->text;
}

void zcb_result_free(zcb_result *result)
{
    if (!result)
        return;
    clear_texts(result);
    free(result);
}
