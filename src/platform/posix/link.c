#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for the handles of a record and for its sender's credentials. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(PLAT_LINK_HANDLES * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

/* The contents of a control buffer. Without credentials it has room for more handles than a record
 * may have. */
struct cargo {
    int fds[sizeof(union control) / sizeof(int)];
    unsigned count;
    int64_t sender_pid;
};

static int pass_credentials(int fd)
{
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
}

zcb_error zcbi_plat_link_pair(plat_handle *a, plat_handle *b)
{
    int ends[2] = {-1, -1};
    int number = zcbi_posix_ends_make(ends);
    /* Both now, before anything is sent: a record sent earlier arrives without its sender. */
    if (number == 0 && (pass_credentials(ends[0]) != 0 || pass_credentials(ends[1]) != 0))
        number = errno;
    if (number != 0) {
        zcbi_plat_close(ends[0]);
        zcbi_plat_close(ends[1]);
        return zcbi_posix_error(number);
    }
    *a = ends[0];
    *b = ends[1];
    return ZCB_OK;
}

bool zcbi_posix_is_link(int fd)
{
    int type = 0;
    int domain = 0;
    socklen_t type_bytes = sizeof(type);
    socklen_t domain_bytes = sizeof(domain);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_bytes) == 0 && type == SOCK_SEQPACKET &&
           getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_bytes) == 0 && domain == AF_UNIX;
}

/* The number in a text of digits alone, or -1. */
static int parse_descriptor(const char *text)
{
    if (*text == 0 || text[strspn(text, "0123456789")] != 0)
        return -1;
    errno = 0;
    long number = strtol(text, NULL, 10);
    return errno == 0 && number <= INT_MAX ? (int)number : -1;
}

zcb_error zcbi_plat_link_inherited(plat_handle *link)
{
    const char *text = getenv(ZCB_LINK_VARIABLE);
    if (!text)
        return ZCB_ERR_NOT_FOUND;
    int fd = parse_descriptor(text);
    unsetenv(ZCB_LINK_VARIABLE);
    if (fd < 0 || !zcbi_posix_is_link(fd))
        return ZCB_ERR_NOT_FOUND;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return zcbi_posix_error(errno);
    int number = zcbi_posix_end_inherit(fd);
    if (number != 0)
        return zcbi_posix_error(number);
    *link = fd;
    return ZCB_OK;
}

static zcb_error send_error(int number)
{
    switch (number) {
    case EAGAIN:
        return ZCB_ERR_TIMEOUT;
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
    case ENOTCONN:
        return ZCB_ERR_PEER_GONE;
    default:
        return zcbi_posix_error(number);
    }
}

static void attach_handles(struct msghdr *message, union control *room, const plat_handle *handles,
                           unsigned count)
{
    int fds[PLAT_LINK_HANDLES];
    for (unsigned i = 0; i < count; i++)
        fds[i] = (int)handles[i];
    message->msg_control = room;
    message->msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
}

zcb_error zcbi_plat_link_send(plat_handle link, const void *record, size_t bytes,
                              const plat_handle *handles, unsigned count)
{
    /* A receiver could not tell an empty record from the end of the link. */
    if (bytes == 0 || bytes > PLAT_LINK_BYTES || count > PLAT_LINK_HANDLES)
        return ZCB_ERR_INVALID;
    struct iovec piece = {.iov_base = (void *)(uintptr_t)record, .iov_len = bytes};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    union control room = {0};
    if (count > 0)
        attach_handles(&message, &room, handles, count);
    while (sendmsg((int)link, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        if (errno != EINTR)
            return send_error(errno);
    return ZCB_OK;
}

static struct cargo unpack_control(struct msghdr *message)
{
    struct cargo cargo = {.count = 0};
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET)
            continue;
        size_t bytes = header->cmsg_len - CMSG_LEN(0);
        if (header->cmsg_type == SCM_RIGHTS) {
            memcpy(cargo.fds + cargo.count, CMSG_DATA(header), bytes);
            cargo.count += (unsigned)(bytes / sizeof(int));
        } else if (header->cmsg_type == SCM_CREDENTIALS && bytes == sizeof(struct ucred)) {
            struct ucred sender;
            memcpy(&sender, CMSG_DATA(header), sizeof(sender));
            cargo.sender_pid = sender.pid;
        }
    }
    return cargo;
}

/* The error for a record that arrived, or ZCB_OK. */
static zcb_error check_record(ssize_t bytes, int flags, const struct cargo *cargo,
                              unsigned handle_capacity)
{
    if (bytes == 0)
        return ZCB_ERR_PEER_GONE;
    if ((flags & MSG_TRUNC) || cargo->count > handle_capacity)
        return ZCB_ERR_PROTOCOL;
    /* Truncated although there was room: this process has no descriptors left. */
    if (flags & MSG_CTRUNC)
        return cargo->count < PLAT_LINK_HANDLES ? ZCB_ERR_NO_HANDLES : ZCB_ERR_PROTOCOL;
    return ZCB_OK;
}

/* A peer that closed its end without reading all leaves one ECONNRESET ahead of its last
 * records. */
static ssize_t receive_message(int link, struct msghdr *message, int flags)
{
    ssize_t received;
    do
        received = recvmsg(link, message, flags | MSG_DONTWAIT);
    while (received < 0 && (errno == EINTR || errno == ECONNRESET));
    return received;
}

/* Removes the record that was peeked at from the link. The handles that came with the peek stay
 * open. */
static zcb_error remove_first(int link)
{
    struct msghdr nothing = {0};
    return receive_message(link, &nothing, 0) < 0 ? zcbi_posix_error(errno) : ZCB_OK;
}

zcb_error zcbi_plat_link_receive(plat_handle link, void *record, size_t capacity, size_t *bytes,
                                 plat_handle *handles, unsigned handle_capacity, unsigned *count,
                                 int64_t *sender_pid)
{
    union control room;
    struct iovec piece = {.iov_base = record, .iov_len = capacity};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof(room)};
    ssize_t received = receive_message((int)link, &message, MSG_PEEK | MSG_CMSG_CLOEXEC);
    if (received < 0)
        return errno == EAGAIN ? ZCB_ERR_TIMEOUT : zcbi_posix_error(errno);

    struct cargo cargo = unpack_control(&message);
    zcb_error error = check_record(received, message.msg_flags, &cargo, handle_capacity);
    if (error != ZCB_ERR_NO_HANDLES) {
        zcb_error removing = remove_first((int)link);
        error = error ? error : removing;
    }
    if (error) {
        for (unsigned i = 0; i < cargo.count; i++)
            close(cargo.fds[i]);
        return error;
    }
    for (unsigned i = 0; i < cargo.count; i++)
        handles[i] = cargo.fds[i];
    *count = cargo.count;
    *bytes = (size_t)received;
    if (sender_pid)
        *sender_pid = cargo.sender_pid;
    return ZCB_OK;
}

zcb_error zcbi_plat_link_peer_pid(plat_handle link, int64_t *pid)
{
    struct ucred maker;
    socklen_t bytes = sizeof(maker);
    if (getsockopt((int)link, SOL_SOCKET, SO_PEERCRED, &maker, &bytes) != 0)
        return zcbi_posix_error(errno);
    /* 0: the process is in a pid namespace that this one cannot see. */
    if (maker.pid <= 0)
        return ZCB_ERR_SYSTEM;
    *pid = maker.pid;
    return ZCB_OK;
}

zcb_error zcbi_plat_link_peer_open(plat_handle link, plat_handle *process)
{
    int64_t pid = 0;
    zcb_error error = zcbi_plat_link_peer_pid(link, &pid);
    return error ? error : zcbi_posix_process_error(zcbi_posix_process(pid, link, process));
}
