/* Our end of a channel, and a peer that writes what it likes between and after our calls. */
#include <string.h>

#include "channel/block.h"
#include "vandal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FRAME_BYTES ZCB_MIN_FRAME_BYTES
#define MOST_WINDOW_BYTES (2 * ZCB_MIN_WINDOW_BYTES)
#define MOST_BYTES (FRAME_BYTES + MOST_WINDOW_BYTES)
#define HELD 4 /* leases and blocks at a time */
#define BRIEFLY_NS 20000

static unsigned char bytes[MOST_BYTES + 1];

struct world {
    zcb_channel *ours;
    struct vandal vandal;
    struct input input;
    bool receiving, sending; /* a turn is ours */
    zcb_lease *leases[HELD];
    zcb_block *blocks[HELD];
};

static void require_documented(zcb_error error)
{
    switch (error) {
    case ZCB_OK:
    case ZCB_ERR_TIMEOUT:
    case ZCB_ERR_CLOSED:
    case ZCB_ERR_PEER_CLOSED:
    case ZCB_ERR_PROTOCOL:
    case ZCB_ERR_ABORTED:
    case ZCB_ERR_REFUSED:
    case ZCB_ERR_TOO_LARGE:
    case ZCB_ERR_INVALID:
        return;
    default:
        abort();
    }
}

/* Whatever was published: what this side goes on to read and write lies where it may. */
static void require_inside(const zcb_channel *channel)
{
    const struct receiving *in = &channel->rx.now;
    const struct sending *out = &channel->tx.now;
    const struct geometry *geometry = &channel->region->geometry;
    uint64_t most = geometry->frame_bytes + geometry->window_bytes;
    if (in->active && in->left > 0)
        require(in->offset <= most && in->left <= most - in->offset);
    if (in->active)
        require(in->arrived <= in->message.bytes && in->read <= in->arrived);
    require(out->published <= out->message.bytes && out->written <= out->message.bytes);
    require(channel->tx.frame.free_extent_count <= CHUNKS + 1);
    require(channel->tx.frame.free_piece_count <= geometry->pieces);
}

static zcb_wait limits(struct input *input)
{
    return (zcb_wait){.deadline_ns = input_pick(input, 16) == 0 ? zcb_now_ns() + BRIEFLY_NS : 0};
}

/* ---------------------------------------------------------------- receiving */

static void receive_begin(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    zcb_message message;
    if (world->receiving)
        return;
    zcb_wish wish = input_bit(&world->input) ? ZCB_WISH_COPY : ZCB_WISH_LEASE;
    zcb_error error = zcb_receive_begin(world->ours, wish, &message, &wait);
    require_documented(error);
    world->receiving = error == ZCB_OK;
}

static void receive_read(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    size_t count = (size_t)input_take(&world->input, 3) % sizeof(bytes), done = 0;
    if (!world->receiving)
        return;
    if (input_bit(&world->input) && world->ours->rx.now.message.bytes < sizeof(bytes))
        count = (size_t)(world->ours->rx.now.message.bytes - world->ours->rx.now.read);
    zcb_error error = zcb_receive_read(world->ours, bytes, count, &done, &wait);
    require_documented(error);
    const struct receiving *now = &world->ours->rx.now;
    bool met_end = now->message.bytes == ZCB_OPEN_ENDED && now->last && now->left == 0;
    require(error || met_end ? done <= count : done == count);
    if (error == ZCB_ERR_ABORTED || error == ZCB_ERR_PROTOCOL) {
        zcb_receive_drop(world->ours);
        world->receiving = false;
    }
}

static void receive_lease(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    zcb_lease **lease = &world->leases[input_pick(&world->input, HELD)];
    if (!world->receiving || *lease)
        return;
    zcb_error error = zcb_receive_lease(world->ours, lease, &wait);
    require_documented(error);
    if (!error) {
        const unsigned char *at = zcb_lease_data(*lease);
        const unsigned char *first = world->ours->rx.data;
        require(at >= first && at <= first + MOST_BYTES);
        require(zcb_lease_bytes(*lease) <= MOST_BYTES - (uint64_t)(at - first));
    } else if (error == ZCB_ERR_ABORTED || error == ZCB_ERR_PROTOCOL) {
        zcb_receive_drop(world->ours);
        world->receiving = false;
    }
}

static void receive_end(struct world *world)
{
    if (world->receiving && zcb_receive_end(world->ours) == ZCB_OK)
        world->receiving = false;
}

static void receive_drop(struct world *world)
{
    if (world->receiving)
        zcb_receive_drop(world->ours);
    world->receiving = false;
}

/* The common case in one step, so that short inputs get far. */
static void receive_message(struct world *world)
{
    receive_begin(world);
    (input_bit(&world->input) ? receive_lease : receive_read)(world);
    (input_bit(&world->input) ? receive_end : receive_drop)(world);
}

static void lease_free(struct world *world)
{
    zcb_lease **lease = &world->leases[input_pick(&world->input, HELD)];
    zcb_lease_free(*lease);
    *lease = NULL;
}

/* ---------------------------------------------------------------- sending */

static zcb_message some_message(struct input *input)
{
    return (zcb_message){.kind = ZCB_KIND_BYTES, .bytes = input_take(input, 3) % sizeof(bytes)};
}

static void send_message(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    zcb_message message = some_message(&world->input);
    if (!world->sending)
        require_documented(zcb_send(world->ours, &message, bytes, &wait));
}

static void send_begin(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    zcb_message message = some_message(&world->input);
    if (input_pick(&world->input, 3) == 0)
        message.bytes = ZCB_OPEN_ENDED;
    if (world->sending)
        return;
    zcb_error error = zcb_send_begin(world->ours, &message, &wait);
    require_documented(error);
    world->sending = error == ZCB_OK;
}

static void send_write(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    size_t count = (size_t)input_take(&world->input, 3) % sizeof(bytes), done = 0;
    if (!world->sending)
        return;
    uint64_t left = world->ours->tx.now.message.bytes - world->ours->tx.now.written;
    if (input_bit(&world->input) && count > left)
        count = (size_t)left;
    zcb_error error = zcb_send_write(world->ours, bytes, count, &done, &wait);
    require_documented(error);
    require(error ? done <= count : done == count);
    if (error && error != ZCB_ERR_TIMEOUT && error != ZCB_ERR_INVALID) {
        zcb_send_drop(world->ours);
        world->sending = false;
    }
}

static void send_flush(struct world *world)
{
    if (world->sending)
        require_documented(zcb_send_flush(world->ours));
}

static void send_end(struct world *world)
{
    if (world->sending && zcb_send_end(world->ours) == ZCB_OK)
        world->sending = false;
}

static void send_drop(struct world *world)
{
    if (world->sending)
        zcb_send_drop(world->ours);
    world->sending = false;
}

static void block_allocate(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    zcb_block **block = &world->blocks[input_pick(&world->input, HELD)];
    uint64_t count = input_take(&world->input, 3) % (FRAME_BYTES + 2);
    if (world->sending || *block)
        return;
    zcb_error error = zcb_block_allocate(world->ours, count, block, &wait);
    require_documented(error);
    if (!error)
        memset(zcb_block_data(*block), 1, (size_t)count);
}

static void block_send(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    const zcb_block *block = world->blocks[input_pick(&world->input, HELD)];
    if (world->sending || !block)
        return;
    zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = zcb_block_bytes(block)};
    require_documented(zcb_send(world->ours, &message, zcb_block_data(block), &wait));
}

static void block_free(struct world *world)
{
    zcb_block **block = &world->blocks[input_pick(&world->input, HELD)];
    zcb_block_free(*block);
    *block = NULL;
}

/* ---------------------------------------------------------------- both */

static void close_ours(struct world *world)
{
    if (input_pick(&world->input, 8) == 0)
        zcb_channel_close(world->ours);
}

static void scribble(struct world *world)
{
    vandal_scribble(&world->vandal, &world->input);
}

static void publish(struct world *world)
{
    vandal_publish(&world->vandal, &world->input);
}

static void send_well(struct world *world)
{
    static const unsigned char payload[1024];
    zcb_message message = {.kind = ZCB_KIND_BYTES,
                           .bytes = input_take(&world->input, 2) % sizeof(payload)};
    vandal_send(&world->vandal, &message, payload, 1 + input_pick(&world->input, 4));
}

static void send_open_well(struct world *world)
{
    static const unsigned char payload[1024];
    size_t count = input_take(&world->input, 2) % sizeof(payload);
    vandal_send_open_ended(&world->vandal, payload, count, 1 + input_pick(&world->input, 4),
                           input_pick(&world->input, 3));
}

static void consume(struct world *world)
{
    vandal_consume(&world->vandal, input_pick(&world->input, 4) != 0);
}

static void expect(struct world *world)
{
    vandal_expect(&world->vandal, input_pick(&world->input, 3));
}

static void ring(struct world *world)
{
    zcbi_plat_event_set(world->ours->region->bells[input_pick(&world->input, BELLS)]);
}

static void (*const steps[])(struct world *) = {
    receive_begin,   receive_read, receive_lease, receive_end, receive_drop,    lease_free,
    send_message,    send_begin,   send_write,    send_end,    send_drop,       block_allocate,
    block_send,      block_free,   close_ours,    scribble,    scribble,        publish,
    send_well,       consume,      ring,          expect,      receive_message, receive_message,
    receive_message, send_well,    consume,       consume,     send_message,    expect,
    send_flush,      send_write,   send_begin,    send_write,  send_open_well,  send_open_well,
};

static void let_go(struct world *world)
{
    receive_drop(world);
    send_drop(world);
    zcb_channel_free(world->ours);
    for (int i = 0; i < HELD; i++) {
        zcb_lease_free(world->leases[i]);
        zcb_block_free(world->blocks[i]);
    }
}

static void begin(struct world *world)
{
    const zcb_channel_options options = {.frame_bytes = FRAME_BYTES,
                                         .window_bytes = ZCB_MIN_WINDOW_BYTES *
                                                         (1 + input_pick(&world->input, 2))};
    *world = (struct world){.input = world->input};
    if (zcbi_channel_open(&options, PLAT_NO_HANDLE, &world->ours))
        abort();
    vandal_init(&world->vandal, world->ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.input = {data, size}};
    begin(&world);
    while (world.input.left > 0) {
        steps[input_pick(&world.input, sizeof(steps) / sizeof(*steps))](&world);
        require_inside(world.ours);
        if (zcbi_channel_state(world.ours) == ZCB_ERR_PROTOCOL && input_bit(&world.input)) {
            let_go(&world); /* nothing goes on that one any more */
            begin(&world);
        }
    }
    let_go(&world);
    return 0;
}
