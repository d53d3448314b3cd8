#include "started.h"

zcb_error start(const plat_spawn *wanted, struct started *program, zcb_detail *why)
{
    char self[4096];
    plat_handle theirs;
    plat_spawn spawn = *wanted;
    own_path(self);
    if (spawn.path == NULL)
        spawn.path = self;
    if (zcbi_plat_link_pair(&program->link, &theirs) != ZCB_OK ||
        zcbi_plat_file_create(&program->out) != ZCB_OK ||
        zcbi_plat_file_create(&program->err) != ZCB_OK)
        return ZCB_ERR_SYSTEM;
    spawn.link = theirs;
    spawn.other_end = program->link;
    spawn.out = program->out;
    spawn.err = program->err;
    zcb_error error = zcbi_plat_process_spawn(&spawn, &program->child, why);
    zcbi_plat_close(theirs);
    if (error == ZCB_OK)
        return ZCB_OK;
    zcbi_plat_close(program->link);
    zcbi_plat_close(program->out);
    zcbi_plat_close(program->err);
    return error;
}

struct started start_word(const char *word, const char *argument)
{
    const char *const arguments[] = {word, argument, NULL};
    struct started program;
    zcb_detail why;
    if (start(&(plat_spawn){.arguments = arguments}, &program, &why))
        fail_msg("%s", why.text);
    return program;
}

int finish(struct started *program)
{
    int exit_code;
    unsigned ready;
    if (zcbi_plat_wait(&program->child.process, 1, soon(), &ready) != ZCB_OK ||
        !zcbi_plat_process_ended(&program->child, &exit_code))
        return INT32_MIN;
    zcbi_plat_close(program->child.process);
    zcbi_plat_close(program->child.group);
    zcbi_plat_close(program->link);
    zcbi_plat_close(program->out);
    zcbi_plat_close(program->err);
    return exit_code;
}

void read_all(const struct started *program, plat_handle file, char *text, size_t room)
{
    size_t bytes = 0;
    unsigned ready;
    assert_ok(zcbi_plat_wait(&program->child.process, 1, soon(), &ready));
    assert_ok(zcbi_plat_file_read(file, 0, text, room - 1, &bytes));
    text[bytes] = '\0';
}

void assert_not_started(const plat_spawn *spawn, zcb_error expected, const char *text)
{
    struct started program;
    zcb_detail why = {""};
    unsigned before = open_descriptors();
    assert_int_equal(start(spawn, &program, &why), expected);
    if (strstr(why.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why.text, text);
    assert_int_equal(open_descriptors(), before);
    assert_no_children();
}
