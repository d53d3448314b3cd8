/* Starting the engine's process: its environment and its arguments. */
#include "start.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The variable with the module's path, which is never part of the text of a script. */
#define MODULE_VARIABLE "ZCB_MODULE"
static const char *const first_arguments[] = {"-NoLogo", "-NoProfile", "-NonInteractive", NULL};
static const char *const last_arguments[] = {
    "-Command",
    "Import-Module -Name ([WildcardPattern]::Escape($env:" MODULE_VARIABLE
    ")) -ErrorAction Stop; Start-ZeroCopyAgent",
    NULL};
#define MOST_ARGUMENTS 16

/* Variables for the engine's runtime, each unless the user has set it. Before any command runs, the
 * agent removes them from its environment, by the list in TUNING_VARIABLE. */
#define TUNING_VARIABLE "ZCB_TUNING"
static const char *const tunings[] = {
    /* For large transfers (docs/performance.md). Hexadecimal: arrays up to 4 MiB are collected
     * young, without a full collection. */
    "DOTNET_GCLOHThreshold=400000",
    /* Memory that was touched once is used again. */
    "DOTNET_GCRetainVM=1",
    /* No sockets in the temporary folder: other processes could enter the engine by them, and an
     * engine that is killed leaves them behind (SECURITY.md). */
    "DOTNET_EnableDiagnostics=0",
    "POWERSHELL_DIAGNOSTICS_OPTOUT=1",
};
#define TUNINGS (sizeof(tunings) / sizeof(tunings[0]))

/* The texts of variables that are not constant. */
struct variables {
    char module[PATH_BYTES + sizeof(MODULE_VARIABLE)];
    char tunings[256];
};

/* True when the options set or remove this variable, or this process has it. */
static bool is_set_already(const struct starting *start, const char *variable)
{
    size_t length = strcspn(variable, "=");
    for (const char *const *given = start->options->environment; given && *given; given++)
        if (strncmp(*given, variable, length) == 0 &&
            ((*given)[length] == 0 || (*given)[length] == '='))
            return true;
    char name[64];
    snprintf(name, sizeof(name), "%.*s", (int)length, variable);
    return zcbi_plat_has_variable(name);
}

/* Adds the tunings, and a list of their names for the agent. Returns the number of variables. */
static size_t add_tunings(const struct starting *start, struct variables *own,
                          const char **environment)
{
    size_t count = 0;
    int used = snprintf(own->tunings, sizeof(own->tunings), TUNING_VARIABLE "=");
    for (size_t i = 0; i < TUNINGS; i++) {
        if (is_set_already(start, tunings[i]))
            continue;
        environment[count++] = tunings[i];
        used += snprintf(own->tunings + used, sizeof(own->tunings) - (size_t)used, "%.*s;",
                         (int)strcspn(tunings[i], "="), tunings[i]);
    }
    environment[count++] = own->tunings;
    return count;
}

/* The variables of the options, and then ours. NULL: no memory. Freed by free(). */
static const char **make_engine_environment(const struct starting *start, struct variables *own)
{
    size_t count = 0;
    const char *const *given = start->options->environment;
    while (given && given[count])
        count++;
    const char **environment = calloc(count + TUNINGS + 3, sizeof(*environment));
    if (!environment)
        return NULL;
    for (size_t i = 0; i < count; i++)
        environment[i] = given[i];
    snprintf(own->module, sizeof(own->module), MODULE_VARIABLE "=%s", start->module);
    environment[count++] = own->module;
    (void)add_tunings(start, own, &environment[count]);
    return environment;
}

/* Fills `arguments`, which has MOST_ARGUMENTS entries. */
static void gather_arguments(const char **arguments)
{
    const char *const *const lists[] = {first_arguments, zcbi_plat_engine_arguments(),
                                        last_arguments};
    size_t count = 0;
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        for (const char *const *argument = lists[i]; *argument; argument++)
            if (count < MOST_ARGUMENTS - 1)
                arguments[count++] = *argument;
    arguments[count] = NULL;
}

zcb_error zcbi_start_launch(struct starting *start)
{
    const char *arguments[MOST_ARGUMENTS];
    struct variables own;
    const char **environment = make_engine_environment(start, &own);
    if (!environment)
        return ZCB_ERR_NO_MEMORY;
    gather_arguments(arguments);
    plat_spawn spawn = {.path = start->engine,
                        .arguments = arguments,
                        .environment = environment,
                        .working_directory = start->options->working_directory,
                        .link = start->engine_link,
                        .other_end = start->session->link,
                        .out = start->out,
                        .err = start->err};
    zcb_error error = zcbi_plat_process_spawn(&spawn, &start->session->child, start->why);
    free(environment);
    return error;
}
