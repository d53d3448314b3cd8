/* What POSIX systems add to the contract of links: descriptors that a peer sends by hand. */
#include "links.h"

#include <sys/socket.h>

static void link_carries_handles_that_programs_do_not_inherit(void **state)
{
    (void)state;
    struct links links = make_links();
    plat_handle sent[PLAT_LINK_HANDLES];
    plat_handle received[PLAT_LINK_HANDLES];
    char record[8];
    size_t bytes;
    unsigned count;
    unsigned ready;
    for (int i = 0; i < PLAT_LINK_HANDLES; i++)
        assert_int_equal(zcbi_plat_event_create(&sent[i]), ZCB_OK);
    assert_int_equal(zcbi_plat_link_send(links.a, "x", 1, sent, PLAT_LINK_HANDLES), ZCB_OK);
    assert_int_equal(zcbi_plat_link_receive(links.b, record, sizeof(record), &bytes, received,
                                            PLAT_LINK_HANDLES, &count, NULL),
                     ZCB_OK);
    assert_int_equal(count, PLAT_LINK_HANDLES);
    for (int i = 0; i < PLAT_LINK_HANDLES; i++) {
        assert_int_equal(fcntl((int)received[i], F_GETFD), FD_CLOEXEC);
        assert_int_equal(zcbi_plat_wait(&sent[i], 1, 0, &ready), ZCB_ERR_TIMEOUT);
        zcbi_plat_event_set(received[i]);
        assert_int_equal(zcbi_plat_wait(&sent[i], 1, 0, &ready), ZCB_OK);
        zcbi_plat_close(received[i]);
        zcbi_plat_close(sent[i]);
    }
    close_links(&links);
}

static void link_tells_who_sent_a_record(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[8];
    size_t bytes;
    unsigned count;
    unsigned ready;
    int64_t sender = 0;
    int64_t maker = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(zcbi_plat_link_send(links.a, "x", 1, NULL, 0) == ZCB_OK ? 0 : 1);
    assert_int_equal(zcbi_plat_wait(&links.b, 1, soon(), &ready), ZCB_OK);
    assert_int_equal(
        zcbi_plat_link_receive(links.b, record, sizeof(record), &bytes, NULL, 0, &count, &sender),
        ZCB_OK);
    assert_int_equal(sender, pid);
    assert_int_equal(zcbi_plat_link_peer_pid(links.b, &maker), ZCB_OK);
    assert_int_equal(maker, getpid());
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close_links(&links);
}

static void send_by_hand(plat_handle link, size_t bytes, unsigned count)
{
    struct iovec piece = {.iov_base = (char[]){"x"}, .iov_len = bytes};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(64 * sizeof(int))];
    } room = {0};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &room,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int)); /* all of them standard input */
    assert_int_equal(sendmsg((int)link, &message, 0), bytes);
}

static void assert_receives(plat_handle link, zcb_error expected)
{
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count;
    assert_int_equal(receive_record(link, record, &bytes, &count), expected);
}

static void more_handles_than_a_record_carries_are_refused_and_closed(void **state)
{
    (void)state;
    struct links links = make_links();
    unsigned before = open_descriptors();
    int off = 0;
    send_by_hand(links.a, 1, PLAT_LINK_HANDLES + 1);
    assert_receives(links.b, ZCB_ERR_PROTOCOL);
    send_by_hand(links.a, 1, 64);
    assert_receives(links.b, ZCB_ERR_PROTOCOL);
    assert_int_equal(setsockopt((int)links.b, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off)), 0);
    send_by_hand(links.a, 1, 64);
    assert_receives(links.b, ZCB_ERR_PROTOCOL);
    assert_int_equal(open_descriptors(), before);
    close_links(&links);
}

static void handles_of_an_empty_record_are_closed(void **state)
{
    (void)state;
    struct links links = make_links();
    unsigned before = open_descriptors();
    send_by_hand(links.a, 0, 2);
    assert_receives(links.b, ZCB_ERR_PEER_GONE);
    assert_int_equal(open_descriptors(), before);
    close_links(&links);
}

static bool lack_of_descriptors_is_told(void)
{
    plat_handle a;
    plat_handle b;
    const plat_handle sent[3] = {0, 1, 2};
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count;
    if (zcbi_plat_link_pair(&a, &b) != ZCB_OK || zcbi_plat_link_send(a, "x", 1, sent, 3) != ZCB_OK)
        return false;
    int lowest_free = dup(0);
    close(lowest_free);
    struct rlimit limit = {.rlim_cur = (rlim_t)lowest_free + 1, .rlim_max = 100};
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 &&
           receive_record(b, record, &bytes, &count) == ZCB_ERR_NO_HANDLES && dup(0) == lowest_free;
}

static void receiving_tells_that_descriptors_are_used_up(void **state)
{
    (void)state;
    assert_in_child(lack_of_descriptors_is_told);
}

static void a_stream_is_not_taken_for_a_link(void **state)
{
    (void)state;
    plat_handle link;
    int stream[2];
    char number[16];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
    snprintf(number, sizeof(number), "%d", stream[0]);
    setenv(ZCB_LINK_VARIABLE, number, 1);
    assert_int_equal(zcbi_plat_link_inherited(&link), ZCB_ERR_NOT_FOUND);
    assert_null(getenv(ZCB_LINK_VARIABLE));
    close(stream[0]);
    close(stream[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_carries_handles_that_programs_do_not_inherit),
        cmocka_unit_test(link_tells_who_sent_a_record),
        cmocka_unit_test(more_handles_than_a_record_carries_are_refused_and_closed),
        cmocka_unit_test(handles_of_an_empty_record_are_closed),
        cmocka_unit_test(receiving_tells_that_descriptors_are_used_up),
        cmocka_unit_test(a_stream_is_not_taken_for_a_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
