/* Open-ended messages, whose length nobody knows before their end. Under the sending turn. */
#ifndef ZCB_SEND_OPEN_H
#define ZCB_SEND_OPEN_H

#include "end.h"

/* Waits until a descriptor is free; nothing can be seen of the message yet. */
zcb_error zcbi_open_begin(zcb_channel *channel, const zcb_wait *wait);
zcb_error zcbi_open_write(zcb_channel *channel, const unsigned char *bytes, size_t count,
                          size_t *written, struct pace *pace);
/* Publishes what was written. */
zcb_error zcbi_open_flush(zcb_channel *channel);
/* Publishes the last part. ZCB_ERR_NO_MEMORY, and the message can only be given up: a short message alone. */
zcb_error zcbi_open_end(zcb_channel *channel);

#endif
