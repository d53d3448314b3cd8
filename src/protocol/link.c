#include "link.h"

#include <stdio.h>
#include <string.h>

zcb_error zcbi_link_send(plat_handle link, const struct link_record *record)
{
    struct link_record sent = *record;
    sent.magic = LINK_MAGIC;
    sent.version = PROTOCOL_VERSION;
    return zcbi_plat_link_send(link, &sent, sizeof(sent), NULL, 0);
}

zcb_error zcbi_link_send_channel(plat_handle link, uint32_t number, const char *label,
                                 const zcb_channel *channel)
{
    struct region_handles region;
    zcbi_channel_handles(channel, &region);
    struct link_record record = {.magic = LINK_MAGIC,
                                 .version = PROTOCOL_VERSION,
                                 .type = LINK_CHANNEL,
                                 .number = number,
                                 .frame_bytes = region.frame_bytes,
                                 .window_bytes = region.window_bytes};
    snprintf(record.label, sizeof(record.label), "%s", label ? label : "");
    plat_handle handles[1 + BELLS] = {region.memory};
    memcpy(&handles[1], region.bells, sizeof(region.bells));
    return zcbi_plat_link_send(link, &record, sizeof(record), handles, 1 + BELLS);
}

static void close_message_handles(struct link_message *message)
{
    for (unsigned i = 0; i < message->count; i++)
        zcbi_plat_close(message->handles[i]);
    message->count = 0;
}

zcb_error zcbi_link_receive(plat_handle link, struct link_message *message, int64_t *sender_pid)
{
    size_t bytes = 0;
    message->count = 0;
    zcb_error error =
        zcbi_plat_link_receive(link, &message->record, sizeof(message->record), &bytes,
                               message->handles, 1 + BELLS, &message->count, sender_pid);
    if (error)
        return error;
    struct link_record *record = &message->record;
    record->engine_version[sizeof(record->engine_version) - 1] = 0;
    record->label[sizeof(record->label) - 1] = 0;
    if (bytes != sizeof(*record) || record->magic != LINK_MAGIC)
        error = ZCB_ERR_PROTOCOL;
    else if (record->version != PROTOCOL_VERSION)
        error = ZCB_ERR_VERSION;
    if (error)
        close_message_handles(message);
    return error;
}

static bool is_channel(const struct link_message *message)
{
    return message->record.type == LINK_CHANNEL && message->count == 1 + BELLS;
}

static struct region_handles region_of(const struct link_message *message)
{
    struct region_handles region = {.frame_bytes = message->record.frame_bytes,
                                    .window_bytes = message->record.window_bytes,
                                    .memory = message->handles[0]};
    memcpy(region.bells, &message->handles[1], sizeof(region.bells));
    return region;
}

zcb_error zcbi_link_join(struct link_message *message, plat_handle peer, zcb_channel **channel)
{
    if (!is_channel(message)) {
        close_message_handles(message);
        return ZCB_ERR_PROTOCOL;
    }
    struct region_handles region = region_of(message);
    return zcbi_channel_join(&region, peer, channel);
}

void zcbi_link_refuse(struct link_message *message)
{
    if (is_channel(message)) {
        struct region_handles region = region_of(message);
        zcbi_region_refuse(&region);
    } else {
        close_message_handles(message);
    }
}
