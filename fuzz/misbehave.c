/* One step of a hostile process: in shared memory, on the bells, on the memory itself. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "peer.h"

#define MOST_MOMENTS 256

/* Some bells are filled and some made to block, but none both: SECURITY.md names that case. */
static void spoil_bell(const struct region *region, struct input *input)
{
    unsigned which = input_pick(input, BELLS);
    int bell = (int)region->bells[which];
    uint64_t count = UINT64_MAX - 1;
    if (which % 2)
        (void)fcntl(bell, F_SETFL, fcntl(bell, F_GETFL) & ~O_NONBLOCK);
    else
        (void)!write(bell, &count, sizeof(count));
}

static void spoil_memory(const struct region *region, struct input *input)
{
    int fd = (int)region->memory.handle;
    off_t pages = (off_t)(region->memory.bytes / PLAT_PAGE_BYTES);
    off_t at = (off_t)input_take(input, 4) % pages * PLAT_PAGE_BYTES;
    if (input_bit(input))
        (void)!ftruncate(fd, at);
    else
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, PLAT_PAGE_BYTES);
}

/* It does not know how far the honest part of its process has come. */
static void catch_up(struct vandal *vandal)
{
    unsigned char *base = vandal->base;
    const struct geometry *geometry = vandal->geometry;
    struct stream_control *out =
        (struct stream_control *)(void *)(base + geometry->control_at[vandal->sends]);
    struct stream_control *in =
        (struct stream_control *)(void *)(base + geometry->control_at[1 - vandal->sends]);
    vandal->head = atomic_load(&out->head);
    vandal->sent = atomic_load(&out->sent);
    vandal->tail = atomic_load(&in->tail);
    vandal->returned = atomic_load(&in->returned);
}

/* A value that mostly is there for a moment only: between two looks at it, perhaps. */
static void flicker(struct vandal *vandal, struct input *input)
{
    vandal_scribble(vandal, input);
    for (uint64_t moment = input_take(input, 2) % MOST_MOMENTS; moment > 0; moment--)
        zcbi_plat_cpu_relax();
    if (input_pick(input, 256) != 0)
        vandal_undo(vandal);
}

void misbehave(struct vandal *vandal, const struct region *region, struct input *input)
{
    catch_up(vandal);
    switch (input_pick(input, 32)) {
    case 0:
        spoil_bell(region, input);
        break;
    case 1:
        spoil_memory(region, input);
        break;
    case 2:
        if (input_pick(input, 64) == 0)
            vandal_publish(vandal, input);
        break;
    case 3:
        if (input_pick(input, 64) == 0)
            vandal_consume(vandal, input_bit(input));
        break;
    default:
        flicker(vandal, input);
        break;
    }
    zcbi_plat_event_set(region->bells[input_pick(input, BELLS)]);
}
