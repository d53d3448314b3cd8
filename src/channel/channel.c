#include "block.h"
#include "platform/error.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_FRAME_BYTES (UINT64_C(64) << 20)
/* A sender that waits for room is a whole window ahead: it loses nothing by sleeping soon. */
#define ROOM_SPIN_NS 10000
#define DEFAULT_WINDOW_BYTES (UINT64_C(4) << 20)

/* ---------------------------------------------------------------- region */

static void region_free(struct region *region)
{
    if (!region || atomic_fetch_sub(&region->references, 1) != 1)
        return;
    for (int i = 0; i < BELLS; i++)
        zcbi_plat_close(region->bells[i]);
    zcbi_plat_memory_release_handle(&region->memory);
    zcbi_plat_memory_unmap(&region->memory);
    free(region);
}

static struct region *region_allocate(void)
{
    struct region *region = calloc(1, sizeof(*region));
    if (!region)
        return NULL;
    atomic_init(&region->references, 1);
    region->memory.handle = PLAT_NO_HANDLE;
    for (int i = 0; i < BELLS; i++)
        region->bells[i] = PLAT_NO_HANDLE;
    return region;
}

/* What is touched from the start: the header, the controls and the return rings. */
static zcb_error commit_controls(struct region *region)
{
    const struct geometry *geometry = &region->geometry;
    zcb_error error = zcbi_plat_memory_commit(&region->memory, 0, PLAT_PAGE_BYTES);
    for (int i = 0; i < 2 && !error; i++)
        error = zcbi_plat_memory_commit(&region->memory, (size_t)geometry->control_at[i],
                                        PLAT_PAGE_BYTES + RETURNS_BYTES);
    return error;
}

/* What this end reads without a descriptor that names it may be touched, whoever was to commit it. */
static zcb_error ensure_controls(const struct region *region)
{
    const struct geometry *geometry = &region->geometry;
    zcb_error error = zcbi_plat_memory_ensure(&region->memory, 0, PLAT_PAGE_BYTES);
    for (int i = 0; i < 2 && !error; i++)
        error = zcbi_plat_memory_ensure(&region->memory, (size_t)geometry->control_at[i],
                                        (size_t)(geometry->data_at[i] - geometry->control_at[i]));
    return error;
}

static zcb_error region_create(struct region *region)
{
    zcb_error error =
        zcbi_plat_memory_create((size_t)region->geometry.region_bytes, &region->memory);
    if (error)
        return error;
    error = commit_controls(region);
    if (!error)
        error = ensure_controls(region);
    for (int i = 0; i < BELLS && !error; i++)
        error = zcbi_plat_event_create(&region->bells[i]);
    if (error)
        return error;
    *(struct region_header *)region->memory.base = (struct region_header){
        .magic = LAYOUT_MAGIC,
        .version = LAYOUT_VERSION,
        .header_bytes = sizeof(struct region_header),
        .frame_bytes = region->geometry.frame_bytes,
        .window_bytes = region->geometry.window_bytes,
    };
    return ZCB_OK;
}

static zcb_error check_header(const struct region *region)
{
    struct region_header header;
    memcpy(&header, region->memory.base, sizeof(header));
    if (header.magic != LAYOUT_MAGIC)
        return ZCB_ERR_PROTOCOL;
    if (header.version != LAYOUT_VERSION)
        return ZCB_ERR_VERSION;
    bool same = header.header_bytes == sizeof(header) &&
                header.frame_bytes == region->geometry.frame_bytes &&
                header.window_bytes == region->geometry.window_bytes;
    return same ? ZCB_OK : ZCB_ERR_PROTOCOL;
}

/* ---------------------------------------------------------------- ends */

static zcb_error producer_init(struct producer *tx, struct region *region, int stream)
{
    const struct geometry *geometry = &region->geometry;
    unsigned char *base = region->memory.base;
    tx->control = (struct stream_control *)(void *)(base + geometry->control_at[stream]);
    tx->returns = (_Atomic uint32_t *)(void *)(base + geometry->returns_at[stream]);
    tx->ring = (struct descriptor *)(void *)(base + geometry->ring_at[stream]);
    tx->ring_at = geometry->ring_at[stream];
    tx->data_bell = region->bells[stream == 0 ? BELL_DATA_0 : BELL_DATA_1];
    tx->standby_bell = stream == 0 ? PLAT_NO_HANDLE : region->bells[BELL_STANDBY_1];
    tx->room_bell = region->bells[stream == 0 ? BELL_ROOM_0 : BELL_ROOM_1];
    tx->spin.max_ns = ROOM_SPIN_NS;
    zcbi_turn_init(&tx->turn);
    zcbi_plat_mutex_init(&tx->block_lock);
    return zcbi_frame_init(&tx->frame, geometry, &region->memory, geometry->data_at[stream]);
}

static void consumer_init(struct consumer *rx, struct region *region, int stream)
{
    const struct geometry *geometry = &region->geometry;
    unsigned char *base = region->memory.base;
    rx->control = (struct stream_control *)(void *)(base + geometry->control_at[stream]);
    rx->returns = (_Atomic uint32_t *)(void *)(base + geometry->returns_at[stream]);
    rx->ring = (const struct descriptor *)(void *)(base + geometry->ring_at[stream]);
    rx->data = base + geometry->data_at[stream];
    rx->data_bell = region->bells[stream == 0 ? BELL_DATA_0 : BELL_DATA_1];
    rx->standby_bell = stream == 0 ? PLAT_NO_HANDLE : region->bells[BELL_STANDBY_1];
    rx->room_bell = region->bells[stream == 0 ? BELL_ROOM_0 : BELL_ROOM_1];
    zcbi_turn_init(&rx->turn);
    zcbi_plat_mutex_init(&rx->return_lock);
}

/* Takes a reference on region. sends: the stream that this end produces. */
static zcb_error end_create(struct region *region, int sends, plat_handle peer,
                            zcb_channel **channel)
{
    zcb_channel *made = calloc(1, sizeof(*made));
    if (!made)
        return ZCB_ERR_NO_MEMORY;
    zcb_error error = producer_init(&made->tx, region, sends);
    if (error) {
        zcbi_turn_destroy(&made->tx.turn);
        zcbi_plat_mutex_destroy(&made->tx.block_lock);
        free(made);
        return error;
    }
    consumer_init(&made->rx, region, 1 - sends);
    atomic_fetch_add(&region->references, 1);
    made->region = region;
    made->peer = peer;
    zcbi_plat_fork_mark_init(&made->owner);
    atomic_init(&made->users, 1);
    atomic_init(&made->references, 1);
    *channel = made;
    return ZCB_OK;
}

static zcb_error options_geometry(const zcb_channel_options *options, struct geometry *geometry)
{
    uint64_t frame_bytes = options ? options->frame_bytes : 0;
    uint64_t window_bytes = options ? options->window_bytes : 0;
    return zcbi_geometry_init(geometry, frame_bytes ? frame_bytes : DEFAULT_FRAME_BYTES,
                              window_bytes ? window_bytes : DEFAULT_WINDOW_BYTES);
}

static zcb_error region_from_options(const zcb_channel_options *options, struct region **region)
{
    struct region *made = region_allocate();
    if (!made)
        return ZCB_ERR_NO_MEMORY;
    zcb_error error = options_geometry(options, &made->geometry);
    if (!error)
        error = region_create(made);
    if (error) {
        region_free(made);
        return error;
    }
    *region = made;
    return ZCB_OK;
}

zcb_error zcbi_channel_open(const zcb_channel_options *options, plat_handle peer,
                            zcb_channel **channel)
{
    struct region *region;
    zcb_error error = region_from_options(options, &region);
    if (error)
        return error;
    error = end_create(region, 0, peer, channel);
    region_free(region);
    return error;
}

/* Without the memory that a channel takes. */
static void say_closed(plat_handle memory, const plat_handle *bells,
                       const struct geometry *geometry)
{
    uint64_t rx = geometry->control_at[0] + offsetof(struct stream_control, consumer_closed);
    uint64_t tx = geometry->control_at[1] + offsetof(struct stream_control, producer_closed);
    zcbi_plat_memory_poke(memory, (size_t)rx, 1);
    zcbi_plat_memory_poke(memory, (size_t)tx, 1);
    for (int i = 0; i < BELLS; i++)
        zcbi_plat_event_set(bells[i]);
}

void zcbi_channel_refuse(plat_handle memory, const plat_handle *bells, uint64_t frame_bytes,
                         uint64_t window_bytes)
{
    struct geometry geometry;
    if (!zcbi_geometry_init(&geometry, frame_bytes, window_bytes))
        say_closed(memory, bells, &geometry);
    zcbi_plat_close(memory);
    for (int i = 0; i < BELLS; i++)
        zcbi_plat_close(bells[i]);
}

zcb_error zcbi_channel_join(plat_handle memory, const plat_handle *bells, uint64_t frame_bytes,
                            uint64_t window_bytes, plat_handle peer, zcb_channel **channel)
{
    struct region *region = region_allocate();
    if (!region) {
        zcbi_channel_refuse(memory, bells, frame_bytes, window_bytes);
        return ZCB_ERR_NO_MEMORY;
    }
    region->memory.handle = memory;
    memcpy(region->bells, bells, sizeof(region->bells));
    zcb_error error = zcbi_geometry_init(&region->geometry, frame_bytes, window_bytes);
    if (error)
        error = ZCB_ERR_PROTOCOL;
    else
        error =
            zcbi_plat_memory_attach(memory, (size_t)region->geometry.region_bytes, &region->memory);
    for (int i = 0; i < BELLS && !error; i++)
        if (!zcbi_plat_is_event(bells[i]))
            error = ZCB_ERR_PROTOCOL;
    if (!error)
        error = ensure_controls(region);
    if (!error)
        error = check_header(region);
    if (!error)
        error = end_create(region, 1, peer, channel);
    if (zcbi_error_is_shortage(error))
        say_closed(region->memory.handle, region->bells, &region->geometry);
    region_free(region);
    return error;
}

zcb_error zcb_channel_pair(const zcb_channel_options *options, zcb_channel **a, zcb_channel **b)
{
    if (!a || !b)
        return ZCB_ERR_INVALID;
    struct region *region;
    zcb_error error = region_from_options(options, &region);
    if (error)
        return error;
    zcb_channel *first = NULL, *second = NULL;
    error = end_create(region, 0, PLAT_NO_HANDLE, &first);
    if (!error)
        error = end_create(region, 1, PLAT_NO_HANDLE, &second);
    region_free(region);
    if (error) {
        zcb_channel_free(first);
        return error;
    }
    *a = first;
    *b = second;
    return ZCB_OK;
}

/* ---------------------------------------------------------------- life */

void zcbi_channel_add_user(zcb_channel *channel)
{
    atomic_fetch_add(&channel->users, 1);
    zcbi_channel_keep(channel);
}

void zcbi_channel_keep(zcb_channel *channel)
{
    atomic_fetch_add(&channel->references, 1);
}

bool zcbi_channel_owned(const zcb_channel *channel)
{
    return !zcbi_plat_forked(&channel->owner);
}

zcb_error zcbi_channel_state(const zcb_channel *channel)
{
    if (!zcbi_channel_owned(channel))
        return ZCB_ERR_FORKED;
    if (atomic_load(&channel->protocol))
        return ZCB_ERR_PROTOCOL;
    return atomic_load(&channel->closed) ? ZCB_ERR_CLOSED : ZCB_OK;
}

zcb_error zcbi_channel_take_turn(zcb_channel *channel, struct turn *turn, const zcb_wait *wait)
{
    struct source watched;
    bool watches = wait && wait->watch;
    if (watches)
        watched = zcbi_rx_data_source(wait->watch);
    zcb_error error = zcbi_channel_state(channel);
    if (!error)
        error = zcbi_turn_take_unless(turn, watches ? &watched : NULL, wait);
    return error == ZCB_ERR_CLOSED ? zcbi_channel_state(channel) : error;
}

zcb_error zcbi_channel_wait(const zcb_channel *channel, struct source source, struct spin *spin,
                            const zcb_wait *wait)
{
    struct source sources[2] = {source};
    if (!wait || !wait->watch)
        return zcbi_wait_any(sources, 1, channel->peer, spin, wait);
    sources[1] = zcbi_rx_data_source(wait->watch);
    zcbi_rx_expect(
        wait->watch,
        ZCB_WISH_COPY); /* a message that has to stream comes only where it is waited for */
    zcb_error error = zcbi_wait_any(sources, 2, channel->peer, spin, wait);
    atomic_store(&wait->watch->rx.control->wish, 0);
    return error || source.ready(source.arg) ? error : ZCB_ERR_WATCHED;
}

void zcbi_channel_pace_init(struct pace *pace, const zcb_wait *wait)
{
    zcbi_pace_init(pace, wait);
    if (wait && wait->watch)
        pace->watched = zcbi_rx_data_source(wait->watch);
}

/* Tells both sides: flags first, then the bells, whether anybody says he sleeps or not. They are emptied before: to
 * set a full one would block, if the other side made it so. */
static void shut(zcb_channel *channel)
{
    atomic_store(&channel->tx.control->producer_closed, 1);
    atomic_store(&channel->rx.control->consumer_closed, 1);
    for (int i = 0; i < BELLS; i++) {
        zcbi_plat_event_clear(channel->region->bells[i]);
        zcbi_plat_event_set(channel->region->bells[i]);
    }
    zcbi_turn_end(&channel->tx.turn);
    zcbi_turn_end(&channel->rx.turn);
}

zcb_error zcbi_channel_fail(zcb_channel *channel)
{
    if (atomic_exchange(&channel->protocol, 1) == 0)
        shut(channel);
    return ZCB_ERR_PROTOCOL;
}

void zcb_channel_close(zcb_channel *channel)
{
    if (!channel || !zcbi_channel_owned(channel))
        return;
    if (atomic_exchange(&channel->closed, 1) == 0)
        shut(channel);
}

void zcbi_channel_release(zcb_channel *channel)
{
    if (atomic_fetch_sub(&channel->references, 1) != 1)
        return;
    zcbi_frame_destroy(&channel->tx.frame);
    zcbi_blocks_destroy(&channel->tx);
    zcbi_turn_destroy(&channel->tx.turn);
    zcbi_turn_destroy(&channel->rx.turn);
    zcbi_plat_mutex_destroy(&channel->rx.return_lock);
    zcbi_plat_fork_mark_destroy(&channel->owner);
    region_free(channel->region);
    free(channel);
}

void zcb_channel_free(zcb_channel *channel)
{
    if (!channel)
        return;
    if (atomic_fetch_sub(&channel->users, 1) == 1)
        zcb_channel_close(channel);
    zcbi_channel_release(channel);
}

uint64_t zcb_channel_frame_bytes(const zcb_channel *channel)
{
    return channel->region->geometry.frame_bytes;
}

void zcb_channel_counts(zcb_channel *channel, uint64_t *sent, uint64_t *received)
{
    *sent = atomic_load_explicit(&channel->rx.control->sent, memory_order_acquire);
    *received = atomic_load(&channel->rx.received);
}
