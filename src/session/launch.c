/* Starting the engine's process: its environment and its arguments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "start.h"

/* The module's path comes by this variable, never as part of a script's text. */
#define MODULE_VARIABLE "ZCB_MODULE"
static const char *const first_arguments[] = {"-NoLogo", "-NoProfile", "-NonInteractive", NULL};
static const char *const last_arguments[] = {
    "-Command",
    "Import-Module -Name ([WildcardPattern]::Escape($env:" MODULE_VARIABLE
    ")) -ErrorAction Stop; Start-ZeroCopyAgent",
    NULL};
#define MOST_ARGUMENTS 16

/* What is told to the engine's runtime, unless the user has set it. The agent takes them out of its
 * environment again, by the list in TUNING_VARIABLE, before any command runs. */
#define TUNING_VARIABLE "ZCB_TUNING"
static const char *const tunings[] = {
    /* Large transfers (docs/performance.md) */
    "DOTNET_GCLOHThreshold=400000", /* hexadecimal: arrays up to 4 MiB die young, without a full collection */
    "DOTNET_GCRetainVM=1", /* memory that was touched once is used again */
    /* No sockets in the temporary folder by which other processes could enter the engine, and which an
     * engine that is killed leaves behind (SECURITY.md) */
    "DOTNET_EnableDiagnostics=0",
    "POWERSHELL_DIAGNOSTICS_OPTOUT=1",
};
#define TUNINGS (sizeof(tunings) / sizeof(tunings[0]))

/* The variables that are added to the user's, with the memory behind them. */
struct variables {
    char module[PATH_BYTES + sizeof(MODULE_VARIABLE)];
    char tunings[256];
};

/* The caller says something of this variable ("NAME=..." or "NAME"), or this process has it. */
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

/* Adds the tunings, and the list of their names for the agent; returns how many variables that made. */
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

/* The caller's variables, and ours behind them. */
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

/* Fills `arguments`, of MOST_ARGUMENTS. */
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
                        .out = start->out,
                        .err = start->err};
    zcb_error error = zcbi_plat_process_spawn(&spawn, &start->session->child, start->why);
    free(environment);
    return error;
}
