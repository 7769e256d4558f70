/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "lib/bits.h"
#include "vmms/switch/netlink.h"

/* The kernel always answers; this is for the case that it does not. */
#define ANSWER_S 10
/* Of a list: the longest, and how often it is asked for. */
#define DUMP_MAX   (16u << 20)
#define DUMP_TRIES 20

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

static int acknowledged(struct nl *n)
{
    _Alignas(8) char buf[32768];
    int more;

    do {
        ssize_t got = mnl_socket_recvfrom(n->socket, buf, sizeof(buf));

        if (got < 0)
            return -errno;
        more = mnl_cb_run(buf, (size_t)got, n->seq, mnl_socket_get_portid(n->socket), NULL, NULL);
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
    return acknowledged(n);
}

struct dump {
    char *bytes;
    size_t size;
    bool interrupted, done;
};

/* Messages are kept in the multiples of 4 bytes in which they come. */
static int keep(struct dump *d, const struct nlmsghdr *h)
{
    size_t length = align_up(h->nlmsg_len, MNL_ALIGNTO);
    char *grown;

    if (d->size + length > DUMP_MAX)
        return -EFBIG;
    grown = realloc(d->bytes, d->size + length);
    if (!grown)
        return -ENOMEM;
    memcpy(grown + d->size, h, h->nlmsg_len);
    d->bytes = grown;
    d->size += length;
    return 0;
}

static int take(struct nl *n, struct dump *d, const struct nlmsghdr *h)
{
    const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

    if (!mnl_nlmsg_seq_ok(h, n->seq))
        return 0; /* of a question that was given up */
    d->interrupted |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    if (h->nlmsg_type == NLMSG_DONE) {
        d->done = true;
        return 0;
    }
    if (h->nlmsg_type == NLMSG_ERROR)
        return mnl_nlmsg_get_payload_len(h) < sizeof(*e) || !e->error ? -EPROTO : e->error;
    return h->nlmsg_type < NLMSG_MIN_TYPE ? 0 : keep(d, h);
}

static int collect(struct nl *n, struct dump *d)
{
    _Alignas(8) char buf[32768];
    int err = 0;

    while (!d->done && !err) {
        ssize_t got = mnl_socket_recvfrom(n->socket, buf, sizeof(buf));
        int left = (int)got;

        if (got < 0)
            return -errno;
        for (const struct nlmsghdr *h = (const void *)buf; !err && mnl_nlmsg_ok(h, left);
             h = mnl_nlmsg_next(h, &left))
            err = take(n, d, h);
    }
    return err;
}

static void hand_out(const struct dump *d, mnl_cb_t each, void *arg)
{
    int left = (int)d->size;

    for (const struct nlmsghdr *h = (const void *)d->bytes; left > 0 && mnl_nlmsg_ok(h, left);
         h = mnl_nlmsg_next(h, &left))
        (void)each(h, arg);
}

/* What changes while the kernel lists it is listed again: half a list would let us remove what is
 * in use. */
int nl_dump(struct nl *n, struct nlmsghdr *h, mnl_cb_t each, void *arg)
{
    int err = -EAGAIN;

    h->nlmsg_flags |= NLM_F_DUMP;
    for (unsigned k = 0; k < DUMP_TRIES && err == -EAGAIN; k++) {
        struct dump d = {.size = 0};

        h->nlmsg_seq = ++n->seq;
        err = mnl_socket_sendto(n->socket, h, h->nlmsg_len) < 0 ? -errno : collect(n, &d);
        if (!err && d.interrupted)
            err = -EAGAIN;
        if (!err)
            hand_out(&d, each, arg);
        free(d.bytes);
    }
    return err;
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
