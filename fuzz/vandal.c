#include "vandal.h"
#include "channel/block.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const size_t counters[] = {
    offsetof(struct stream_control, head),    offsetof(struct stream_control, sent),
    offsetof(struct stream_control, tail),    offsetof(struct stream_control, returned),
    offsetof(struct stream_control, dropped),
};

static const size_t flags[] = {
    offsetof(struct stream_control, wish),
    offsetof(struct stream_control, producer_closed),
    offsetof(struct stream_control, consumer_closed),
    offsetof(struct stream_control, producer_asleep),
    offsetof(struct stream_control, consumer_asleep),
};

void vandal_init(struct vandal *vandal, const zcb_channel *victim)
{
    const struct region *region = victim->region;
    const unsigned char *received = region->memory.base + region->geometry.data_at[1];
    *vandal = (struct vandal){.geometry = &region->geometry,
                              .base = region->memory.base,
                              .sends = victim->rx.data == received ? 1 : 0};
}

static struct stream_control *control_of(const struct vandal *vandal, int stream)
{
    return (struct stream_control *)(void *)(vandal->base + vandal->geometry->control_at[stream]);
}

static _Atomic uint32_t *returns_of(const struct vandal *vandal, int stream)
{
    return (_Atomic uint32_t *)(void *)(vandal->base + vandal->geometry->returns_at[stream]);
}

static struct descriptor *ring_of(const struct vandal *vandal, int stream)
{
    return (struct descriptor *)(void *)(vandal->base + vandal->geometry->ring_at[stream]);
}

static uint64_t data_bytes(const struct vandal *vandal)
{
    return vandal->geometry->frame_bytes + vandal->geometry->window_bytes;
}

/* ---------------------------------------------------------------- values */

static uint64_t boundary(const struct vandal *vandal, struct input *input)
{
    const struct geometry *geometry = vandal->geometry;
    const uint64_t values[] = {
        0,
        1,
        geometry->pieces,
        CHUNKS,
        RING_ENTRIES,
        UINT32_MAX,
        UINT64_MAX,
        UINT64_MAX / 2,
        geometry->frame_bytes,
        geometry->window_bytes,
        geometry->piece_bytes,
        data_bytes(vandal),
        geometry->region_bytes,
        vandal->head,
        vandal->tail,
        vandal->returned,
    };
    return values[input_pick(input, COUNT(values))] + input_pick(input, 3) - 1;
}

uint64_t vandal_value(struct vandal *vandal, struct input *input, uint64_t now)
{
    uint64_t former = vandal->former[input_pick(input, FORMER_VALUES)];
    vandal->former[vandal->formers++ % FORMER_VALUES] = now;
    switch (input_pick(input, 5)) {
    case 0:
        return boundary(vandal, input);
    case 1:
        return former;
    case 2:
        return now + input_pick(input, 8) - 4;
    case 3:
        return input_take(input, 1);
    default:
        return input_take(input, 8);
    }
}

static void write_counter(struct vandal *vandal, struct input *input, void *field)
{
    _Atomic uint64_t *counter = field;
    uint64_t before = atomic_load(counter), after = vandal_value(vandal, input, before);
    vandal->last.counter = counter;
    vandal->last.flag = NULL;
    vandal->last.before = before;
    vandal->last.after = after;
    atomic_store(counter, after);
}

static void write_flag(struct vandal *vandal, struct input *input, void *field)
{
    _Atomic uint32_t *flag = field;
    uint32_t before = atomic_load(flag), after = (uint32_t)vandal_value(vandal, input, before);
    vandal->last.counter = NULL;
    vandal->last.flag = flag;
    vandal->last.before = before;
    vandal->last.after = after;
    atomic_store(flag, after);
}

void vandal_undo(struct vandal *vandal)
{
    uint64_t counter = vandal->last.after;
    uint32_t flag = (uint32_t)vandal->last.after;
    if (vandal->last.counter)
        atomic_compare_exchange_strong(vandal->last.counter, &counter, vandal->last.before);
    if (vandal->last.flag)
        atomic_compare_exchange_strong(vandal->last.flag, &flag, (uint32_t)vandal->last.before);
}

/* ---------------------------------------------------------------- nonsense */

static void spoil(struct vandal *vandal, struct input *input, struct descriptor *descriptor)
{
    unsigned char *at = (unsigned char *)descriptor;
    unsigned field = input_pick(input, 8);
    if (field < 4)
        write_counter(vandal, input, at + field * sizeof(uint64_t));
    else
        write_flag(vandal, input,
                   at + offsetof(struct descriptor, kind) + (field - 4) * sizeof(uint32_t));
}

static void write_data(struct vandal *vandal, struct input *input, int stream)
{
    uint64_t at = input_take(input, 3) % data_bytes(vandal);
    vandal->base[vandal->geometry->data_at[stream] + at] = (unsigned char)input_take(input, 1);
}

void vandal_scribble(struct vandal *vandal, struct input *input)
{
    int stream = input_bit(input) ? vandal->sends : 1 - vandal->sends;
    unsigned char *control = (unsigned char *)control_of(vandal, stream);
    switch (input_pick(input, 6)) {
    case 0:
        write_counter(vandal, input, control + counters[input_pick(input, COUNT(counters))]);
        break;
    case 1:
        write_flag(vandal, input, control + flags[input_pick(input, COUNT(flags))]);
        break;
    case 2:
        write_flag(vandal, input, &returns_of(vandal, stream)[input_take(input, 2) % CHUNKS]);
        break;
    case 3:
        write_flag(vandal, input,
                   &returns_of(vandal, stream)[(vandal->returned + input_pick(input, 4)) % CHUNKS]);
        break;
    case 4:
        spoil(vandal, input,
              &ring_of(vandal, stream)[(vandal->head - input_pick(input, 16)) % RING_ENTRIES]);
        break;
    default:
        write_data(vandal, input, stream);
        break;
    }
}

/* ---------------------------------------------------------------- sending */

static void append(struct vandal *vandal, const struct descriptor *descriptor)
{
    struct stream_control *control = control_of(vandal, vandal->sends);
    ring_of(vandal, vandal->sends)[vandal->head % RING_ENTRIES] = *descriptor;
    if (descriptor->marks & MARK_LAST)
        atomic_store(&control->sent, ++vandal->sent);
    atomic_store(&control->head, ++vandal->head);
}

void vandal_publish(struct vandal *vandal, struct input *input)
{
    const struct descriptor *before =
        &ring_of(vandal, vandal->sends)[(vandal->head - 1) % RING_ENTRIES];
    static const uint32_t shapes[] = {
        MARK_FIRST | MARK_LAST | MARK_WHOLE,
        MARK_FIRST | MARK_LAST,
        MARK_FIRST | MARK_WHOLE,
        MARK_FIRST,
        MARK_LAST | MARK_WHOLE,
        MARK_LAST,
        MARK_WHOLE,
        0,
        MARK_ABORT,
    };
    uint32_t marks = shapes[input_pick(input, COUNT(shapes))];
    struct descriptor d = {.kind = 1 + input_pick(input, 4),
                           .bytes = input_take(input, input_pick(input, 3)),
                           .marks = marks};
    bool first = marks & MARK_FIRST, last = marks & MARK_LAST, whole = marks & MARK_WHOLE;
    d.message_bytes = last ? d.bytes : d.bytes + input_take(input, 1);
    if (!whole && input_pick(input, 4) == 0)
        d.message_bytes = ZCB_OPEN_ENDED;
    d.chunk = d.bytes ? input_pick(input, 64) : NO_CHUNK;
    d.offset = d.bytes ? input_take(input, 2) : 0;
    if (!first && whole) { /* the rest of a message in one block */
        d.chunk = before->chunk;
        d.offset = before->offset + before->bytes;
    }
    if (!first && last && d.message_bytes != ZCB_OPEN_ENDED)
        d.bytes = before->message_bytes - before->bytes;
    if (marks == MARK_ABORT)
        d = (struct descriptor){.chunk = NO_CHUNK, .marks = MARK_ABORT};
    if (input_bit(input))
        spoil(vandal, input, &d);
    append(vandal, &d);
}

bool vandal_has_room(const struct vandal *vandal)
{
    uint64_t tail = atomic_load(&control_of(vandal, vandal->sends)->tail);
    return vandal->head - tail < RING_ENTRIES / 2;
}

void vandal_send(struct vandal *vandal, const zcb_message *message, const void *payload,
                 unsigned parts)
{
    uint64_t room = data_bytes(vandal) - message->bytes;
    uint64_t offset = vandal->head * LINE_BYTES % (room + 1), step = message->bytes / parts + 1;
    if (message->bytes > 0)
        memcpy(vandal->base + vandal->geometry->data_at[vandal->sends] + offset, payload,
               message->bytes);
    struct descriptor d = {.id = message->id,
                           .message_bytes = message->bytes,
                           .kind = message->kind,
                           .flags = message->flags,
                           .chunk = message->bytes ? (uint32_t)(vandal->head % CHUNKS) : NO_CHUNK,
                           .marks = MARK_FIRST | MARK_WHOLE};
    uint64_t done = 0;
    do {
        d.offset = message->bytes ? offset + done : 0;
        d.bytes = step < message->bytes - done ? step : message->bytes - done;
        done += d.bytes;
        if (done == message->bytes)
            d.marks |= MARK_LAST;
        append(vandal, &d);
        d.marks &= ~(uint32_t)MARK_FIRST;
    } while (done < message->bytes);
}

void vandal_send_open_ended(struct vandal *vandal, const void *payload, uint64_t bytes,
                            unsigned pieces, unsigned end)
{
    uint64_t offset = vandal->head * LINE_BYTES % (data_bytes(vandal) - bytes + 1);
    uint64_t step = bytes / pieces + 1;
    memcpy(vandal->base + vandal->geometry->data_at[vandal->sends] + offset, payload, bytes);
    struct descriptor d = {
        .message_bytes = ZCB_OPEN_ENDED, .kind = ZCB_KIND_BYTES, .marks = MARK_FIRST};
    for (uint64_t done = 0; done < bytes; done += d.bytes) {
        d.chunk = (uint32_t)(vandal->head % CHUNKS);
        d.offset = offset + done;
        d.bytes = step < bytes - done ? step : bytes - done;
        append(vandal, &d);
        d.marks = 0;
    }
    d = (struct descriptor){.message_bytes = ZCB_OPEN_ENDED,
                            .kind = ZCB_KIND_BYTES,
                            .chunk = NO_CHUNK,
                            .marks = end == 1 ? MARK_ABORT : MARK_LAST};
    if (end > 0)
        append(vandal, &d);
}

/* ---------------------------------------------------------------- receiving */

void vandal_expect(struct vandal *vandal, uint32_t wish)
{
    atomic_store(&control_of(vandal, 1 - vandal->sends)->wish, wish);
}

void vandal_consume(struct vandal *vandal, bool gives_back)
{
    int stream = 1 - vandal->sends;
    struct stream_control *control = control_of(vandal, stream);
    if (atomic_load(&control->head) == vandal->tail)
        return;
    struct descriptor d = ring_of(vandal, stream)[vandal->tail % RING_ENTRIES];
    atomic_store(&control->tail, ++vandal->tail);
    if (!gives_back || d.chunk == NO_CHUNK || ((d.marks & MARK_WHOLE) && !(d.marks & MARK_LAST)))
        return;
    atomic_store(&returns_of(vandal, stream)[vandal->returned % CHUNKS], d.chunk);
    atomic_store(&control->returned, ++vandal->returned);
}
