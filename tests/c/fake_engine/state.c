#include "state.h"

zcb_agent *agent;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
bool ending;

static struct variable *variables;
static uint64_t *stops; /* ids that were told to stop and are not done */
static size_t stop_count;

void complete_with(uint64_t id, zcb_completion completion, zcb_part_kind stream, const void *text,
                   size_t bytes, bool soon)
{
    const zcb_part part = {.kind = stream, .data = text, .bytes = bytes};
    completion.execution_ns = 1;
    (void)zcb_agent_complete(agent, id, &completion, &part, bytes > 0, soon);
}

zcb_completion completion_of(zcb_status status)
{
    bool done = status == ZCB_STATUS_DONE;
    return (zcb_completion){.status = status, .success = done, .exit_code = done ? 0 : 1};
}

void complete(uint64_t id, zcb_status status, const void *out, size_t bytes)
{
    complete_with(id, completion_of(status), ZCB_PART_OUT, out, bytes, false);
}

void report_failure(uint64_t id, bool refused, const char *err)
{
    zcb_completion completion = {.status = ZCB_STATUS_DONE, .refused = refused, .exit_code = 1};
    complete_with(id, completion, ZCB_PART_ERR, err, strlen(err), false);
}

bool is_told_to_stop(uint64_t id)
{
    for (size_t i = 0; i < stop_count; i++)
        if (stops[i] == id)
            return true;
    return false;
}

void tell_to_stop(uint64_t id)
{
    stops = realloc(stops, (stop_count + 1) * sizeof(*stops));
    stops[stop_count++] = id;
    pthread_cond_broadcast(&changed);
}

struct variable *variable_of(const char *name)
{
    struct variable *variable = variables;
    while (variable && strcmp(variable->name, name) != 0)
        variable = variable->next;
    return variable;
}

void assign(const char *name, unsigned char *bytes, size_t count)
{
    struct variable *variable = variable_of(name);
    if (!variable) {
        variable = calloc(1, sizeof(*variable));
        variable->name = strdup(name);
        variable->next = variables;
        variables = variable;
    }
    free(variable->bytes);
    variable->bytes = bytes;
    variable->count = count;
}
