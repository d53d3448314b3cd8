/* An engine for the tests of sessions and bridges: the library's engine side without PowerShell. A command
 * is a word and its argument (run, in commands.c); variables hold bytes. FAKE_ENGINE says how to start wrongly. */
#include "commands.h"
#include "transfers.h"

static void *listen_to_program(void *arg)
{
    (void)arg;
    for (;;) {
        zcb_urgent request;
        uint64_t id;
        zcb_error error = zcb_agent_listen(agent, &request, &id, NULL);
        if (error && error != ZCB_ERR_CLOSED)
            zcb_agent_end_process(1);
        pthread_mutex_lock(&lock);
        if (error) {
            ending = true;
            pthread_cond_broadcast(&changed);
        } else if (request == ZCB_URGENT_STOP && !stop_transfer(id)) {
            tell_to_stop(id);
        }
        pthread_mutex_unlock(&lock);
        if (error)
            return NULL;
        if (request == ZCB_URGENT_CLOSE_CHANNEL)
            close_bridge((uint32_t)id);
    }
}

static void serve(const zcb_command *command)
{
    char *text = malloc(command->parts->bytes + 1);
    memcpy(text, command->parts->data, command->parts->bytes);
    text[command->parts->bytes] = 0;
    if (command->op == ZCB_OP_RUN)
        run_command(command, text);
    else
        transfer(command, text);
    free(text);
}

static void start_wrongly(const char *how)
{
    if (strcmp(how, "die") == 0) {
        fprintf(stderr, "it hurts\n");
        exit(7);
    }
    if (strcmp(how, "forbidden") == 0) {
        fprintf(stderr, "    + FullyQualifiedErrorId : UnauthorizedAccess\n");
        exit(1);
    }
    if (strcmp(how, "killed") == 0)
        end_by_force();
    if (strcmp(how, "mute") == 0)
        idle();
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "idle") == 0)
        idle();
    const char *how = getenv("FAKE_ENGINE");
    if (how)
        start_wrongly(how);
    zcb_detail why;
    if (zcb_agent_open(how && strcmp(how, "old") == 0 ? "7.3.9" : "7.5.0", &agent, &why)) {
        fprintf(stderr, "%s\n", why.text);
        return 2;
    }
    detach(listen_to_program, NULL);
    zcb_command command;
    zcb_error error;
    while ((error = zcb_agent_next(agent, &command, NULL)) == ZCB_OK || error == ZCB_ERR_ABORTED)
        if (!error)
            serve(&command);
    if (error != ZCB_ERR_CLOSED)
        zcb_agent_end_process(1);
    _exit(0);
}
