#include "links.h"

struct links make_links(void)
{
    struct links links;
    assert_ok(zcbi_plat_link_pair(&links.a, &links.b));
    return links;
}

void close_links(const struct links *links)
{
    zcbi_plat_close(links->a);
    zcbi_plat_close(links->b);
}

zcb_error receive_record(plat_handle link, char *record, size_t *bytes, unsigned *count)
{
    plat_handle handles[PLAT_LINK_HANDLES];
    zcb_error error = zcbi_plat_link_receive(link, record, PLAT_LINK_BYTES, bytes, handles,
                                             PLAT_LINK_HANDLES, count, NULL);
    for (unsigned i = 0; error == ZCB_OK && i < *count; i++)
        zcbi_plat_close(handles[i]);
    return error;
}
