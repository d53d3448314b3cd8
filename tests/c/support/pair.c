#include "pair.h"
#include "channel/block.h"

struct pair make_pair(uint64_t frame_bytes, uint64_t window_bytes)
{
    struct pair pair = {0};
    zcb_channel_options options = {.frame_bytes = frame_bytes, .window_bytes = window_bytes};
    assert_ok(zcb_channel_pair(&options, &pair.a, &pair.b));
    return pair;
}

void free_pair(struct pair *pair)
{
    zcb_channel_free(pair->a);
    zcb_channel_free(pair->b);
}

int set_up_pair(void **state)
{
    static struct pair pair;
    pair = make_pair(FRAME, WINDOW);
    assert_int_equal(pair.a->region->geometry.piece_bytes, PIECE);
    *state = &pair;
    return 0;
}

int tear_down_pair(void **state)
{
    free_pair(*state);
    return 0;
}
