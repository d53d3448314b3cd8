/* Copying into shared memory. */
#ifndef ZCB_COPY_H
#define ZCB_COPY_H

#include <stddef.h>

/* As memcpy, for memory that another processor has read lately and will read next: past the caches, because
 * taking the lines back from the other's cache one by one takes longer than the copying. All is there for who
 * sees a release store that follows. */
void zcbi_copy_for_reader(void *to, const void *from, size_t bytes);

#endif
