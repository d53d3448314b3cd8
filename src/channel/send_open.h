/* Sending open-ended messages, whose length is not known before their end. Under the sending
 * lock. */
#ifndef ZCB_SEND_OPEN_H
#define ZCB_SEND_OPEN_H

#include "end.h"

/* Waits until a descriptor is free. Nothing of the message is visible yet. */
zcb_error zcbi_open_begin(zcb_channel *channel, const zcb_wait *wait);
/* As zcbi_tx_write. */
zcb_error zcbi_open_write(zcb_channel *channel, const unsigned char *bytes, size_t count,
                          size_t *written, struct pace *pace);
/* Publishes what was written. */
zcb_error zcbi_open_flush(zcb_channel *channel);
/* Publishes the last part. ZCB_ERR_NO_MEMORY only for a message that fits in its first chunk; it
 * can then only be given up. */
zcb_error zcbi_open_end(zcb_channel *channel);

#endif
