/* Both ends of a channel, both honest: whatever the order of their steps, what is sent arrives, byte by byte, or is
 * withdrawn. Nothing waits, so a step that can go on must. */
#include <string.h>

#include "channel/block.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_MESSAGES 512u /* each takes a byte of input at least */
#define MOST_BYTES (UINT64_C(1) << 19)
#define HELD 4 /* leases at a time */
#define OFFSETS 251u

/* A message holds the bytes from its id % OFFSETS on. */
static unsigned char contents[MOST_BYTES + OFFSETS];
static unsigned char got[MOST_BYTES + 1];

enum fate { UNDER_WAY, SENT, WITHDRAWN };

struct sent {
    uint64_t length; /* as it was told */
    uint64_t bytes;  /* so far */
    enum fate fate;
    bool dropped; /* by its receiver */
};

struct held {
    zcb_lease *lease;
    uint64_t id;
};

struct world {
    zcb_channel *a, *b; /* a sends, b receives */
    struct input input;
    struct sent messages[MOST_MESSAGES];
    uint64_t count;
    uint64_t next; /* no earlier one arrives any more */
    zcb_message in, out;
    uint64_t read;
    bool sending, receiving;
    struct held held[HELD];
};

static const zcb_wait at_once = {0};

static const unsigned char *contents_of(uint64_t id)
{
    return contents + id % OFFSETS;
}

static bool is_open_ended(const struct sent *sent)
{
    return sent->length == ZCB_OPEN_ENDED;
}

/* ---------------------------------------------------------------- sending */

/* Neither for a piece, or else not for a descriptor. */
static void require_no_room(const zcb_channel *channel)
{
    const struct producer *tx = &channel->tx;
    if (tx->now.ring_full)
        return;
    require(tx->frame.free_piece_count == 0);
    for (uint32_t i = 0; i < tx->frame.free_extent_count; i++)
        require(tx->frame.free_extents[i].bytes < tx->frame.geometry->piece_bytes);
}

static struct sent *sent_now(struct world *world)
{
    return &world->messages[world->out.id];
}

static void begin_sending(struct world *world, uint64_t bytes)
{
    if (world->sending || world->count == MOST_MESSAGES)
        return;
    world->out = (zcb_message){.kind = ZCB_KIND_BYTES, .id = world->count, .bytes = bytes};
    *sent_now(world) = (struct sent){.length = bytes};
    zcb_error error = zcb_send_begin(world->a, &world->out, &at_once);
    require(error == ZCB_OK || error == ZCB_ERR_TIMEOUT);
    world->sending = error == ZCB_OK;
    world->count += world->sending;
}

static uint64_t some_bytes(struct input *input)
{
    return input_take(input, input_pick(input, 4)) % (MOST_BYTES + 1);
}

static void send_begin(struct world *world)
{
    begin_sending(world, some_bytes(&world->input));
}

static void send_begin_open_ended(struct world *world)
{
    begin_sending(world, ZCB_OPEN_ENDED);
}

static void send_drop(struct world *world)
{
    if (!world->sending)
        return;
    zcb_send_drop(world->a);
    if (sent_now(world)->fate == UNDER_WAY)
        sent_now(world)->fate = WITHDRAWN;
    world->sending = false;
}

static void send_write(struct world *world)
{
    size_t count = (size_t)some_bytes(&world->input), done = 0;
    if (!world->sending)
        return;
    struct sent *sent = sent_now(world);
    uint64_t end = is_open_ended(sent) ? MOST_BYTES : sent->length;
    if (count > end - sent->bytes)
        count = (size_t)(end - sent->bytes);
    zcb_error error =
        zcb_send_write(world->a, contents_of(world->out.id) + sent->bytes, count, &done, &at_once);
    require(error ? done < count : done == count);
    sent->bytes += done;
    if (sent->bytes == sent->length)
        sent->fate = SENT;
    if (error == ZCB_ERR_REFUSED) {
        require(sent->dropped);
        send_drop(world);
    } else {
        require(error == ZCB_OK || error == ZCB_ERR_TIMEOUT);
        if (error && is_open_ended(sent))
            require_no_room(world->a);
    }
}

static void send_flush(struct world *world)
{
    if (world->sending)
        require(zcb_send_flush(world->a) == ZCB_OK);
}

static void send_end(struct world *world)
{
    if (!world->sending)
        return;
    struct sent *sent = sent_now(world);
    bool whole = is_open_ended(sent) || sent->bytes == sent->length;
    require(zcb_send_end(world->a) == (whole ? ZCB_OK : ZCB_ERR_INVALID));
    if (!whole)
        return;
    sent->fate = SENT;
    world->sending = false;
}

/* In one call, which may be withdrawn after some of it was seen. */
static void send_whole(struct world *world)
{
    zcb_message message = {
        .kind = ZCB_KIND_BYTES, .id = world->count, .bytes = some_bytes(&world->input)};
    if (world->sending || world->count == MOST_MESSAGES)
        return;
    struct sent *sent = &world->messages[world->count++];
    *sent = (struct sent){.length = message.bytes, .bytes = message.bytes, .fate = SENT};
    zcb_error error = zcb_send(world->a, &message, contents_of(message.id), &at_once);
    require(error == ZCB_OK || error == ZCB_ERR_TIMEOUT);
    if (error)
        sent->fate = WITHDRAWN;
}

/* ---------------------------------------------------------------- receiving */

static struct sent *received_now(struct world *world)
{
    return &world->messages[world->in.id];
}

/* All that was sent comes in order; what does not come was withdrawn. */
static void receive_begin(struct world *world)
{
    zcb_wish wish = input_bit(&world->input) ? ZCB_WISH_COPY : ZCB_WISH_LEASE;
    if (world->receiving)
        return;
    zcb_error error = zcb_receive_begin(world->b, wish, &world->in, &at_once);
    require(error == ZCB_OK || error == ZCB_ERR_TIMEOUT);
    uint64_t id = error ? world->count : world->in.id;
    require(id >= world->next && id <= world->count);
    for (uint64_t i = world->next; i < id; i++)
        require(world->messages[i].fate != SENT || world->messages[i].dropped);
    if (error)
        return;
    const struct sent *sent = received_now(world);
    if (world->in.bytes != sent->length) /* a short one */
        require(is_open_ended(sent) && sent->fate == SENT && world->in.bytes == sent->bytes);
    world->next = id;
    world->receiving = true;
    world->read = 0;
}

static void receive_drop(struct world *world)
{
    if (!world->receiving)
        return;
    received_now(world)->dropped = true;
    zcb_receive_drop(world->b);
    world->next = world->in.id + 1;
    world->receiving = false;
}

static void read_some(struct world *world, size_t count)
{
    size_t done = 0;
    if (!world->receiving)
        return;
    const struct sent *sent = received_now(world);
    bool unknown = world->in.bytes == ZCB_OPEN_ENDED;
    if (!unknown && count > world->in.bytes - world->read)
        count = (size_t)(world->in.bytes - world->read);
    zcb_error error = zcb_receive_read(world->b, got, count, &done, &at_once);
    require(done <= count && world->read + done <= sent->bytes);
    require(memcmp(got, contents_of(world->in.id) + world->read, done) == 0);
    world->read += done;
    if (error == ZCB_ERR_ABORTED) {
        require(sent->fate == WITHDRAWN);
        receive_drop(world);
    } else if (error) {
        require(error == ZCB_ERR_TIMEOUT && sent->fate == UNDER_WAY);
    } else if (done < count) {
        require(unknown && sent->fate == SENT && world->read == sent->bytes);
    }
}

static void receive_read(struct world *world)
{
    read_some(world, (size_t)some_bytes(&world->input));
}

static void receive_end(struct world *world)
{
    if (!world->receiving || zcb_receive_end(world->b))
        return;
    require(world->read == received_now(world)->bytes);
    world->next = world->in.id + 1;
    world->receiving = false;
}

static void check_lease(const struct held *held, uint64_t bytes)
{
    require(zcb_lease_bytes(held->lease) == bytes);
    require(memcmp(zcb_lease_data(held->lease), contents_of(held->id), (size_t)bytes) == 0);
}

static void receive_lease(struct world *world)
{
    struct held *held = &world->held[input_pick(&world->input, HELD)];
    if (!world->receiving || held->lease)
        return;
    const struct sent *sent = received_now(world);
    zcb_error error = zcb_receive_lease(world->b, &held->lease, &at_once);
    if (error == ZCB_OK) {
        held->id = world->in.id;
        check_lease(held, sent->bytes);
        require(zcb_receive_end(world->b) == ZCB_OK);
        world->next = world->in.id + 1;
        world->receiving = false;
    } else if (error == ZCB_ERR_ABORTED) {
        require(sent->fate == WITHDRAWN);
        receive_drop(world);
    } else {
        require(error == ZCB_ERR_TOO_LARGE || (error == ZCB_ERR_INVALID && world->read > 0) ||
                (error == ZCB_ERR_TIMEOUT && sent->fate == UNDER_WAY));
    }
}

static void give_back(struct world *world, struct held *held)
{
    if (!held->lease)
        return;
    check_lease(held, world->messages[held->id].bytes);
    zcb_lease_free(held->lease);
    held->lease = NULL;
}

static void lease_free(struct world *world)
{
    give_back(world, &world->held[input_pick(&world->input, HELD)]);
}

/* ---------------------------------------------------------------- in any order */

static void (*const steps[])(struct world *) = {
    send_begin,
    send_begin_open_ended,
    send_begin_open_ended,
    send_write,
    send_write,
    send_write,
    send_flush,
    send_end,
    send_drop,
    send_whole,
    send_end,
    receive_begin,
    receive_begin,
    receive_read,
    receive_read,
    receive_end,
    receive_end,
    receive_drop,
    receive_lease,
    lease_free,
};

/* All that was sent is there still, and all memory comes home. */
static void finish(struct world *world)
{
    zcb_block *frame = NULL;
    if (world->sending && is_open_ended(sent_now(world)))
        send_end(world);
    send_drop(world);
    receive_drop(world);
    for (receive_begin(world); world->receiving; receive_begin(world))
        while (world->receiving) {
            read_some(world, sizeof(got));
            receive_end(world);
        }
    for (int i = 0; i < HELD; i++)
        give_back(world, &world->held[i]);
    require(zcb_block_allocate(world->a, zcb_channel_frame_bytes(world->a), &frame, &at_once) ==
            ZCB_OK);
    require(world->a->tx.frame.free_piece_count == world->a->region->geometry.pieces);
    zcb_block_free(frame);
}

static void begin(struct world *world)
{
    const zcb_channel_options options = {
        .frame_bytes = ZCB_MIN_FRAME_BYTES * (1 + input_pick(&world->input, 4)),
        .window_bytes = ZCB_MIN_WINDOW_BYTES * (1 + input_pick(&world->input, 3))};
    for (size_t i = 0; i < sizeof(contents) && contents[1] == 0; i++)
        contents[i] = (unsigned char)((i * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
    require(zcb_channel_pair(&options, &world->a, &world->b) == ZCB_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    world = (struct world){.input = {data, size}};
    begin(&world);
    while (world.input.left > 0)
        steps[input_pick(&world.input, sizeof(steps) / sizeof(*steps))](&world);
    finish(&world);
    zcb_channel_free(world.a);
    zcb_channel_free(world.b);
    return 0;
}
