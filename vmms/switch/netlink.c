/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "vmms/switch/netlink.h"

/* The kernel always answers; this is for the case that it does not. */
#define ANSWER_S 10

int nl_open(struct nl **out)
{
    static const struct timeval bound = {.tv_sec = ANSWER_S};
    struct nl *n = calloc(1, sizeof(*n));
    int err;

    if (!n)
        return -ENOMEM;
    n->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!n->socket || mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        setsockopt(mnl_socket_get_fd(n->socket), SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound)) <
            0) {
        err = -errno;
        nl_close(n);
        return err;
    }
    n->seq = (uint32_t)time(NULL);
    *out = n;
    return 0;
}

void nl_close(struct nl *n)
{
    if (n && n->socket)
        (void)mnl_socket_close(n->socket);
    free(n);
}

struct nlmsghdr *nl_begin(struct nl *n, uint16_t type, uint16_t flags, size_t size, void **fixed)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(n->buf);

    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    h->nlmsg_seq = ++n->seq;
    *fixed = mnl_nlmsg_put_extra_header(h, size);
    return h;
}

static int receive(struct nl *n, mnl_cb_t each, void *arg)
{
    unsigned port = mnl_socket_get_portid(n->socket);
    _Alignas(8) char buf[32768];
    int more;

    do {
        ssize_t got = mnl_socket_recvfrom(n->socket, buf, sizeof(buf));

        if (got < 0)
            return -errno;
        more = mnl_cb_run(buf, (size_t)got, n->seq, port, each, arg);
        if (more < 0)
            return -errno;
    } while (more > 0);
    return 0;
}

int nl_talk(struct nl *n, struct nlmsghdr *h)
{
    h->nlmsg_flags |= NLM_F_ACK;
    if (mnl_socket_sendto(n->socket, h, h->nlmsg_len) < 0)
        return -errno;
    return receive(n, NULL, NULL);
}

int nl_dump(struct nl *n, struct nlmsghdr *h, mnl_cb_t each, void *arg)
{
    h->nlmsg_flags |= NLM_F_DUMP;
    if (mnl_socket_sendto(n->socket, h, h->nlmsg_len) < 0)
        return -errno;
    return receive(n, each, arg);
}

static const struct nlattr *attr_here(const struct nlmsghdr *h, const struct nlattr *a)
{
    const char *end = mnl_nlmsg_get_payload_tail(h);
    ssize_t left = end - (const char *)a;

    return left >= 0 && left <= INT32_MAX && mnl_attr_ok(a, (int)left) ? a : NULL;
}

const struct nlattr *nl_attr_first(const struct nlmsghdr *h, size_t size)
{
    return attr_here(h, mnl_nlmsg_get_payload_offset(h, size));
}

const struct nlattr *nl_attr_next(const struct nlmsghdr *h, const struct nlattr *a)
{
    return attr_here(h, mnl_attr_next(a));
}
