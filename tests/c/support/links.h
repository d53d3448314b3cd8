/* Both ends of a link in this process. */
#ifndef ZCB_TEST_LINKS_H
#define ZCB_TEST_LINKS_H

#include "support.h"

struct links {
    plat_handle a, b;
};

struct links make_links(void);
void close_links(const struct links *links);
/* Receives into room enough and gives the handles back at once. */
zcb_error receive_record(plat_handle link, char *record, size_t *bytes, unsigned *count);

#endif
