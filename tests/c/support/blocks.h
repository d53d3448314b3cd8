/* Blocks and messages whose contents follow from their ids. Both ends are in this process and share one mapping, so
 * that a message in place has the address of its block. */
#ifndef ZCB_TEST_BLOCKS_H
#define ZCB_TEST_BLOCKS_H

#include "pair.h"

zcb_block *allocate_filled(zcb_channel *channel, uint64_t bytes, uint64_t id);
zcb_error allocate_at_once(zcb_channel *channel, uint64_t bytes, zcb_block **block);
zcb_error send_payload(zcb_channel *channel, uint64_t id, const void *payload, uint64_t bytes);
zcb_lease *take_lease_of(zcb_channel *channel, uint64_t id, uint64_t bytes);
/* Takes the message by copy: true when it is this one. Safe on any thread. */
bool copies(zcb_channel *channel, uint64_t id, uint64_t bytes);
/* The receiver holds it where the sender filled it, or elsewhere. */
void assert_taken(zcb_channel *channel, uint64_t id, uint64_t bytes, const void *place,
                  bool in_place);
/* No byte of the frame is lost or taken twice. */
void assert_frame_is_whole(zcb_channel *channel);
void assert_frame_is_taken(zcb_channel *channel);

#endif
