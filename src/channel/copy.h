/* Copying into shared memory. */
#ifndef ZCB_COPY_H
#define ZCB_COPY_H

#include <stddef.h>

/* As memcpy, but past the caches: for memory that another processor has read lately and will read
 * next. To take its cache lines back one by one would take longer than the copying. A thread that
 * sees a release store which follows this call sees all of the copy. */
void zcbi_copy_for_reader(void *to, const void *from, size_t bytes);

#endif
