/* The engine's side: the channels of bridges, and their labels. */
#include "channel/block.h"
#include "program.h"

static zcb_error get(struct program *program, uint32_t number, struct bridge_end **end)
{
    return zcbi_bridge_end_get(program->agent, number, end);
}

static void a_bridges_channel_is_there_when_it_is_asked_for(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    struct bridge_end *first, *second;
    assert_int_equal(get(program, 2, &first), ZCB_ERR_NOT_FOUND);
    send_channel(program->link, 2, ours, 1 + BELLS);
    assert_ok(get(program, 2, &first));
    assert_ok(get(program, 2, &second));
    assert_ptr_equal(first, second);
    zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = 3};
    assert_ok(zcb_send(first->channel, &message, "abc", NULL));
    char got[3];
    assert_ok(zcb_receive_begin(ours, ZCB_WISH_COPY, &message, NULL));
    assert_ok(zcb_receive_read(ours, got, 3, NULL, NULL));
    assert_ok(zcb_receive_end(ours));
    assert_memory_equal(got, "abc", 3);
    zcbi_bridge_end_close(program->agent, 2);
    zcbi_bridge_end_close(program->agent, 2);
    struct bridge_end *third;
    assert_int_equal(get(program, 2, &third), ZCB_ERR_NOT_FOUND);
    message.bytes = 0;
    assert_int_equal(zcb_send(ours, &message, NULL, NULL), ZCB_ERR_PEER_CLOSED);
    zcbi_bridge_end_release(first);
    zcbi_bridge_end_release(second);
    zcb_channel_free(ours);
}

static void a_channel_that_was_closed_before_it_was_used_is_gone(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    struct bridge_end *theirs;
    unsigned before = open_descriptors();
    send_channel(program->link, 2, ours, 1 + BELLS);
    zcbi_bridge_end_close(program->agent, 2);
    assert_int_equal(get(program, 2, &theirs), ZCB_ERR_NOT_FOUND);
    assert_int_equal(open_descriptors(), before);
    zcb_channel_free(ours);
}

static void a_senseless_channel_fails_alone(void **state)
{
    struct program *program = *state;
    zcb_channel *good = open_channel(), *bad = open_channel();
    struct bridge_end *got;
    struct region_header *header = (struct region_header *)(void *)bad->region->memory.base;
    unsigned before = open_descriptors();
    header->magic = 0;
    send_channel(program->link, 2, bad, 1 + BELLS);
    send_channel(program->link, 3, bad, 2);
    send_channel(program->link, 4, good, 1 + BELLS);
    assert_int_equal(get(program, 2, &got), ZCB_ERR_PROTOCOL);
    assert_int_equal(get(program, 3, &got), ZCB_ERR_PROTOCOL);
    assert_ok(get(program, 4, &got));
    zcbi_bridge_end_release(got);
    for (uint32_t number = 2; number <= 4; number++)
        zcbi_bridge_end_close(program->agent, number);
    assert_int_equal(open_descriptors(), before);
    zcb_channel_free(good);
    zcb_channel_free(bad);
}

/* The number of the bridge with this label; 0: there is none. */
static uint32_t find(struct program *program, const char *label)
{
    struct bridge_end *end;
    zcb_error error = zcbi_bridge_end_find(program->agent, label, &end);
    if (error) {
        assert_int_equal(error, ZCB_ERR_NOT_FOUND);
        return 0;
    }
    uint32_t number = end->number;
    zcbi_bridge_end_release(end);
    return number;
}

static void a_channel_is_found_by_its_label(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    assert_int_equal(find(program, "data"), 0);
    send_channel(program->link, 2, ours, 1 + BELLS);
    send_labelled(program->link, 3, ours, 1 + BELLS, "data");
    send_labelled(program->link, 4, ours, 1 + BELLS, "data and more");
    assert_int_equal(find(program, "data"), 3); /* no transfer has asked for it yet */
    assert_int_equal(find(program, "data and more"), 4);
    const char *const none[] = {"", "dat", "Data", "data "};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        assert_int_equal(find(program, none[i]), 0);
    zcb_channel_free(ours);
}

static void the_newest_of_two_labels_is_found_until_it_is_closed(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel(), *newer = open_channel();
    send_labelled(program->link, 2, ours, 1 + BELLS, "same");
    assert_int_equal(find(program, "same"), 2);
    send_labelled(program->link, 3, newer, 1 + BELLS, "same");
    assert_int_equal(find(program, "same"), 3);
    zcb_channel_close(newer); /* before the engine was told */
    assert_int_equal(find(program, "same"), 2);
    zcbi_bridge_end_close(program->agent, 3);
    assert_int_equal(find(program, "same"), 2);
    zcbi_bridge_end_close(program->agent, 2);
    assert_int_equal(find(program, "same"), 0);
    send_labelled(program->link, 4, ours, 1 + BELLS, "same");
    zcbi_bridge_end_close(program->agent, 4); /* before anybody looked */
    assert_int_equal(find(program, "same"), 0);
    zcb_channel_free(ours);
    zcb_channel_free(newer);
}

static void memory_is_allocated_by_the_label(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    zcb_block *block, *other;
    zcb_detail why;
    zcb_wait at_once = {0};
    zcb_agent *agent = program->agent;
    send_labelled(program->link, 2, ours, 1 + BELLS, "data");
    assert_int_equal(zcb_agent_allocate(agent, "dat", 5, &block, &why, NULL), ZCB_ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "'dat'"));
    assert_int_equal(zcb_agent_allocate(agent, "data", 0, &block, &why, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_allocate(agent, "data", MIB + 1, &block, &why, NULL),
                     ZCB_ERR_TOO_LARGE);
    assert_non_null(strstr(why.text, "1048577 bytes can't be allocated in a frame of 1048576"));
    assert_ok(zcb_agent_allocate(agent, "data", MIB, &block, &why, NULL));
    assert_int_equal(zcb_block_bytes(block), MIB);
    assert_int_equal(program->runtime.reclaimed, 0);
    assert_int_equal(zcb_agent_allocate(agent, "data", 1, &other, &why, &at_once), ZCB_ERR_TIMEOUT);
    assert_int_equal(program->runtime.reclaimed, 1);
    zcb_channel_close(ours);
    assert_int_equal(zcb_agent_allocate(agent, "data", 1, &other, &why, NULL), ZCB_ERR_NOT_FOUND);
    zcb_block_free(block);
    zcb_channel_free(ours);
}

static void the_longest_label_is_kept_whole_and_ends(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    char label[ZCB_MAX_LABEL_BYTES + 2] = {0};
    memset(label, 'x', ZCB_MAX_LABEL_BYTES);
    send_labelled(program->link, 2, ours, 1 + BELLS, label);
    assert_int_equal(find(program, label), 2);
    label[ZCB_MAX_LABEL_BYTES] = 'x'; /* a record without the NUL is cut */
    send_labelled(program->link, 3, ours, 1 + BELLS, label);
    assert_int_equal(find(program, label), 0);
    label[ZCB_MAX_LABEL_BYTES] = 0;
    assert_int_equal(find(program, label), 3);
    zcb_channel_free(ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bridges_channel_is_there_when_it_is_asked_for),
        TEST(a_channel_that_was_closed_before_it_was_used_is_gone),
        TEST(a_senseless_channel_fails_alone),
        TEST(a_channel_is_found_by_its_label),
        TEST(the_newest_of_two_labels_is_found_until_it_is_closed),
        TEST(memory_is_allocated_by_the_label),
        TEST(the_longest_label_is_kept_whole_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
