#include "parts.h"

#include <string.h>

/* ---------------------------------------------------------------- writing */

enum { STEP_HEAD, STEP_WIRE, STEP_DATA, STEP_ZEROES };

/* The number of zeroes behind the data of a part: at least one. */
static uint64_t zeroes_behind(uint64_t bytes)
{
    return PART_ALIGN - bytes % PART_ALIGN;
}

uint64_t zcbi_parts_bytes(const struct parts_writer *writer)
{
    uint64_t bytes = writer->head.bytes;
    for (size_t i = 0; i < writer->count; i++) {
        uint64_t data = writer->parts[i].bytes;
        bytes += sizeof(struct part_wire) + data + zeroes_behind(data);
    }
    return bytes;
}

bool zcbi_parts_next(struct parts_writer *writer, struct span *span)
{
    static const char zeroes[PART_ALIGN];
    if (writer->step == STEP_HEAD) {
        *span = writer->head;
        writer->step = STEP_WIRE;
        return true;
    }
    if (writer->next == writer->count)
        return false;
    const zcb_part *part = &writer->parts[writer->next];
    switch (writer->step) {
    case STEP_WIRE:
        writer->wire =
            (struct part_wire){.kind = part->kind, .flags = part->flags, .bytes = part->bytes};
        *span = (struct span){&writer->wire, sizeof(writer->wire)};
        writer->step = STEP_DATA;
        return true;
    case STEP_DATA:
        *span = (struct span){part->data, part->bytes};
        writer->step = STEP_ZEROES;
        return true;
    default:
        *span = (struct span){zeroes, (size_t)zeroes_behind(part->bytes)};
        writer->step = STEP_WIRE;
        writer->next++;
        return true;
    }
}

/* ---------------------------------------------------------------- reading */

static struct part_wire wire_at(const unsigned char *bytes)
{
    struct part_wire wire;
    memcpy(&wire, bytes, sizeof(wire));
    return wire;
}

zcb_error zcbi_parts_count(const unsigned char *bytes, size_t length, size_t *count)
{
    static const char zeroes[PART_ALIGN];
    *count = 0;
    while (length > 0) {
        if (length < sizeof(struct part_wire) + PART_ALIGN)
            return ZCB_ERR_PROTOCOL;
        struct part_wire wire = wire_at(bytes);
        uint64_t left = length - sizeof(wire);
        if (wire.bytes >= left || wire.flags != 0)
            return ZCB_ERR_PROTOCOL;
        uint64_t padding = zeroes_behind(wire.bytes);
        if (padding > left - wire.bytes ||
            memcmp(bytes + sizeof(wire) + wire.bytes, zeroes, (size_t)padding) != 0)
            return ZCB_ERR_PROTOCOL;
        size_t whole = (size_t)(sizeof(wire) + wire.bytes + padding);
        bytes += whole;
        length -= whole;
        (*count)++;
    }
    return ZCB_OK;
}

zcb_part zcbi_parts_take(const unsigned char *bytes, size_t *at)
{
    struct part_wire wire = wire_at(bytes + *at);
    zcb_part part = {.kind = wire.kind,
                     .flags = wire.flags,
                     .data = bytes + *at + sizeof(wire),
                     .bytes = (size_t)wire.bytes};
    *at += (size_t)(sizeof(wire) + wire.bytes + zeroes_behind(wire.bytes));
    return part;
}
