/* The engine's side: the channels of bridges, and their labels. */
#include "channel/block.h"
#include "program.h"

static void a_bridges_channel_is_there_when_it_is_asked_for(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel(), *first, *second;
    assert_int_equal(zcb_agent_channel(program->agent, 2, &first), ZCB_ERR_NOT_FOUND);
    send_channel(program->link, 2, ours, 1 + BELLS);
    assert_ok(zcb_agent_channel(program->agent, 2, &first));
    assert_ok(zcb_agent_channel(program->agent, 2, &second));
    assert_ptr_equal(first, second);
    zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = 3};
    assert_ok(zcb_send(first, &message, "abc", NULL));
    char got[3];
    assert_ok(zcb_receive_begin(ours, ZCB_WISH_COPY, &message, NULL));
    assert_ok(zcb_receive_read(ours, got, 3, NULL, NULL));
    assert_ok(zcb_receive_end(ours));
    assert_memory_equal(got, "abc", 3);
    zcb_agent_forget_channel(program->agent, 2);
    zcb_agent_forget_channel(program->agent, 2);
    assert_int_equal(zcb_agent_channel(program->agent, 2, &second), ZCB_ERR_NOT_FOUND);
    zcb_channel_free(first);
    assert_ok(zcb_send(second, &message, "abc", NULL)); /* one user is left */
    zcb_channel_free(second);
    message.bytes = 0;
    assert_int_equal(zcb_send(ours, &message, NULL, NULL), ZCB_ERR_PEER_CLOSED);
    zcb_channel_free(ours);
}

static void a_channel_that_was_forgotten_before_it_was_used_is_gone(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel(), *theirs;
    unsigned before = open_descriptors();
    send_channel(program->link, 2, ours, 1 + BELLS);
    zcb_agent_forget_channel(program->agent, 2);
    assert_int_equal(zcb_agent_channel(program->agent, 2, &theirs), ZCB_ERR_NOT_FOUND);
    assert_int_equal(open_descriptors(), before);
    zcb_channel_free(ours);
}

static void a_senseless_channel_fails_alone(void **state)
{
    struct program *program = *state;
    zcb_channel *good = open_channel(), *bad = open_channel(), *got;
    struct region_header *header = (struct region_header *)(void *)bad->region->memory.base;
    unsigned before = open_descriptors();
    header->magic = 0;
    send_channel(program->link, 2, bad, 1 + BELLS);
    send_channel(program->link, 3, bad, 2);
    send_channel(program->link, 4, good, 1 + BELLS);
    assert_int_equal(zcb_agent_channel(program->agent, 2, &got), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcb_agent_channel(program->agent, 3, &got), ZCB_ERR_PROTOCOL);
    assert_ok(zcb_agent_channel(program->agent, 4, &got));
    zcb_channel_free(got);
    for (uint32_t number = 2; number <= 4; number++)
        zcb_agent_forget_channel(program->agent, number);
    assert_int_equal(open_descriptors(), before);
    zcb_channel_free(good);
    zcb_channel_free(bad);
}

static zcb_error find(struct program *program, const char *label, uint32_t *number)
{
    return zcb_agent_find_channel(program->agent, label, number);
}

static void a_channel_is_found_by_its_label(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    uint32_t number = 0;
    assert_int_equal(find(program, "data", &number), ZCB_ERR_NOT_FOUND);
    send_channel(program->link, 2, ours, 1 + BELLS);
    send_labelled(program->link, 3, ours, 1 + BELLS, "data");
    send_labelled(program->link, 4, ours, 1 + BELLS, "data and more");
    assert_ok(find(program, "data", &number)); /* nobody has asked for the channel itself yet */
    assert_int_equal(number, 3);
    assert_ok(find(program, "data and more", &number));
    assert_int_equal(number, 4);
    const char *const none[] = {"", "dat", "Data", "data "};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        assert_int_equal(find(program, none[i], &number), ZCB_ERR_NOT_FOUND);
    assert_int_equal(number, 4);
    assert_int_equal(find(program, NULL, &number), ZCB_ERR_INVALID);
    assert_int_equal(find(program, "data", NULL), ZCB_ERR_INVALID);
    zcb_channel_free(ours);
}

static void the_newest_of_two_labels_is_found_until_it_is_forgotten(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    uint32_t number = 0;
    send_labelled(program->link, 2, ours, 1 + BELLS, "same");
    assert_ok(find(program, "same", &number));
    assert_int_equal(number, 2);
    send_labelled(program->link, 3, ours, 1 + BELLS, "same");
    assert_ok(find(program, "same", &number));
    assert_int_equal(number, 3);
    zcb_agent_forget_channel(program->agent, 3);
    assert_ok(find(program, "same", &number));
    assert_int_equal(number, 2);
    zcb_agent_forget_channel(program->agent, 2);
    assert_int_equal(find(program, "same", &number), ZCB_ERR_NOT_FOUND);
    send_labelled(program->link, 4, ours, 1 + BELLS, "same");
    zcb_agent_forget_channel(program->agent, 4); /* before anybody looked */
    assert_int_equal(find(program, "same", &number), ZCB_ERR_NOT_FOUND);
    zcb_channel_free(ours);
}

static void the_longest_label_is_kept_whole_and_ends(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    uint32_t number = 0;
    char label[ZCB_MAX_LABEL_BYTES + 2] = {0};
    memset(label, 'x', ZCB_MAX_LABEL_BYTES);
    send_labelled(program->link, 2, ours, 1 + BELLS, label);
    assert_ok(find(program, label, &number));
    label[ZCB_MAX_LABEL_BYTES] = 'x'; /* a record without the NUL is cut */
    send_labelled(program->link, 3, ours, 1 + BELLS, label);
    assert_int_equal(find(program, label, &number), ZCB_ERR_NOT_FOUND);
    label[ZCB_MAX_LABEL_BYTES] = 0;
    assert_ok(find(program, label, &number));
    assert_int_equal(number, 3);
    zcb_channel_free(ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bridges_channel_is_there_when_it_is_asked_for),
        TEST(a_channel_that_was_forgotten_before_it_was_used_is_gone),
        TEST(a_senseless_channel_fails_alone),
        TEST(a_channel_is_found_by_its_label),
        TEST(the_newest_of_two_labels_is_found_until_it_is_forgotten),
        TEST(the_longest_label_is_kept_whole_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
