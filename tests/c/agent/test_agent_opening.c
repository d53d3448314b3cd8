/* The engine's side: how it opens, and what it refuses. */
#include "channel/block.h"
#include "program.h"

/* Where nothing is opened. */
static const zcb_runtime no_runtime = {NULL, runtime_allocate, runtime_release, runtime_reclaim};

static void opening_says_hello_and_hides_the_connection(void **state)
{
    struct program *program = *state;
    struct link_record hello;
    size_t bytes;
    unsigned count;
    int64_t sender;
    assert_false(zcbi_plat_has_variable(ZCB_LINK_VARIABLE));
    assert_int_equal(zcb_agent_width(program->agent), 99);
    assert_ok(zcbi_plat_link_receive(program->link, &hello, sizeof(hello), &bytes, NULL, 0, &count,
                                     &sender));
    assert_int_equal(bytes, sizeof(hello));
    assert_int_equal(hello.type, LINK_HELLO);
    assert_int_equal(hello.pid, zcbi_plat_getpid());
    assert_int_equal(sender, zcbi_plat_getpid());
    assert_string_equal(hello.engine_version, "7.5.0");
}

static void a_process_that_no_program_started_finds_nothing(void **state)
{
    (void)state;
    zcb_agent *agent;
    zcb_detail why;
    const char *const values[] = {NULL, "", "x", "-1", "99999999999999999999", "0", "12345"};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        unsetenv(ZCB_LINK_VARIABLE);
        if (values[i])
            setenv(ZCB_LINK_VARIABLE, values[i], 1);
        assert_int_equal(zcb_agent_open("7.5.0", &no_runtime, &agent, &why), ZCB_ERR_NOT_FOUND);
        assert_string_equal(why.text, "the inherited connection: not found");
        assert_false(zcbi_plat_has_variable(ZCB_LINK_VARIABLE));
    }
    assert_int_equal(zcb_agent_open(NULL, &no_runtime, &agent, &why), ZCB_ERR_INVALID);
    zcb_agent_free(NULL);
}

static void assert_not_opened(plat_handle link, zcb_error expected)
{
    zcb_agent *agent;
    zcb_detail why;
    assert_int_equal(zcb_agent_open("7.5.0", &no_runtime, &agent, &why), expected);
    assert_ptr_equal(strstr(why.text, "the program's welcome: "), why.text);
    zcbi_plat_close(link);
}

static void a_senseless_welcome_is_refused(void **state)
{
    (void)state;
    unsigned before = open_descriptors();
    zcb_channel *channel = open_channel();
    const struct link_record welcome = {.type = LINK_WELCOME};
    struct link_record record = {
        .magic = LINK_MAGIC, .version = PROTOCOL_VERSION + 1, .type = LINK_WELCOME};

    plat_handle link = inherit_link();
    assert_ok(zcbi_plat_link_send(link, &record, sizeof(record), NULL, 0));
    assert_not_opened(link, ZCB_ERR_VERSION);

    link = inherit_link();
    record.magic++;
    assert_ok(zcbi_plat_link_send(link, &record, sizeof(record), channel->region->bells, 1));
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    assert_ok(zcbi_plat_link_send(link, "short", 5, NULL, 0));
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    char longer[PLAT_LINK_BYTES] = {0};
    assert_ok(zcbi_plat_link_send(link, longer, sizeof(longer), NULL, 0));
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    send_channel(link, CHANNEL_COMMANDS, channel, 1 + BELLS); /* not the welcome */
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    assert_ok(send_record(link, welcome, NULL, 0));
    send_channel(link, CHANNEL_COMMANDS, channel, BELLS); /* a bell is missing */
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    assert_ok(send_record(link, welcome, NULL, 0));
    send_channel(link, CHANNEL_URGENT, channel, 1 + BELLS); /* the wrong one */
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    assert_ok(send_record(link, welcome, NULL, 0));
    assert_ok(send_record(link, welcome, NULL, 0));
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    zcb_channel_free(channel);
    assert_int_equal(open_descriptors(), before);
}

static void a_program_that_hangs_up_is_gone(void **state)
{
    (void)state;
    plat_handle link = inherit_link();
    zcbi_plat_close(link);
    assert_not_opened(PLAT_NO_HANDLE, ZCB_ERR_PEER_GONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opening_says_hello_and_hides_the_connection),
        cmocka_unit_test(a_process_that_no_program_started_finds_nothing),
        cmocka_unit_test(a_senseless_welcome_is_refused),
        cmocka_unit_test(a_program_that_hangs_up_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
