/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/netlink.h"

/*
 * The host's addresses on a card become the bridge's when the card joins it, and go back after.
 * Addresses keep their life time; routes that the kernel makes by itself come with them, others
 * are made again. Not moved: routes over several links, and those of other tables than main.
 */

#define MOVE_MAX   256
#define MOVE_BYTES 512

struct moved {
    int from;
    unsigned n;
    struct {
        _Alignas(8) char bytes[MOVE_BYTES];
    } message[MOVE_MAX];
};

static void keep(struct moved *m, const struct nlmsghdr *h)
{
    if (m->n < MOVE_MAX && h->nlmsg_len <= MOVE_BYTES)
        memcpy(m->message[m->n++].bytes, h, h->nlmsg_len);
}

static int on_address(const struct nlmsghdr *h, void *arg)
{
    const struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);
    struct moved *m = arg;

    if (a->ifa_index == (unsigned)m->from && a->ifa_scope != RT_SCOPE_LINK)
        keep(m, h);
    return MNL_CB_OK;
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
    const struct rtmsg *r = mnl_nlmsg_get_payload(h);
    struct moved *m = arg;

    if (r->rtm_table != RT_TABLE_MAIN || r->rtm_protocol == RTPROT_KERNEL ||
        r->rtm_type != RTN_UNICAST || (r->rtm_flags & RTM_F_CLONED))
        return MNL_CB_OK;
    for (const struct nlattr *a = nl_attr_first(h, sizeof(*r)); a; a = nl_attr_next(h, a)) {
        if (mnl_attr_get_type(a) == RTA_OIF && mnl_attr_get_payload_len(a) == 4 &&
            mnl_attr_get_u32(a) == (uint32_t)m->from)
            keep(m, h);
    }
    return MNL_CB_OK;
}

/* The label names the old link. */
static int put_address(struct nl *n, const struct nlmsghdr *old, uint16_t type, int index)
{
    uint16_t flags = type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0;
    void *fixed;
    struct nlmsghdr *h = nl_begin(n, type, flags, sizeof(struct ifaddrmsg), &fixed);
    struct ifaddrmsg *i = fixed;

    memcpy(i, mnl_nlmsg_get_payload(old), sizeof(*i));
    i->ifa_index = (unsigned)index;
    /* Nobody else had it on this wire a moment ago. */
    i->ifa_flags = i->ifa_family == AF_INET6 ? IFA_F_NODAD : 0;
    for (const struct nlattr *a = nl_attr_first(old, sizeof(*i)); a; a = nl_attr_next(old, a)) {
        uint16_t what = mnl_attr_get_type(a);

        if (what == IFA_LOCAL || what == IFA_ADDRESS || what == IFA_BROADCAST ||
            what == IFA_CACHEINFO)
            mnl_attr_put(h, what, mnl_attr_get_payload_len(a), mnl_attr_get_payload(a));
    }
    return nl_talk(n, h);
}

static int put_route(struct nl *n, const struct nlmsghdr *old, int index)
{
    void *fixed;
    struct nlmsghdr *h =
        nl_begin(n, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct rtmsg), &fixed);
    struct rtmsg *r = fixed;

    memcpy(r, mnl_nlmsg_get_payload(old), sizeof(*r));
    r->rtm_flags = 0;
    for (const struct nlattr *a = nl_attr_first(old, sizeof(*r)); a; a = nl_attr_next(old, a)) {
        uint16_t what = mnl_attr_get_type(a);

        if (what == RTA_OIF)
            mnl_attr_put_u32(h, RTA_OIF, (uint32_t)index);
        else if (what == RTA_DST || what == RTA_GATEWAY || what == RTA_PRIORITY ||
                 what == RTA_PREFSRC || what == RTA_METRICS || what == RTA_VIA)
            mnl_attr_put(h, what, mnl_attr_get_payload_len(a), mnl_attr_get_payload(a));
    }
    return nl_talk(n, h);
}

static bool has_gateway(const struct nlmsghdr *h)
{

    for (const struct nlattr *a = nl_attr_first(h, sizeof(struct rtmsg)); a;
         a = nl_attr_next(h, a)) {
        if (mnl_attr_get_type(a) == RTA_GATEWAY || mnl_attr_get_type(a) == RTA_VIA)
            return true;
    }
    return false;
}

static const struct nlmsghdr *message(const struct moved *m, unsigned k)
{
    return (const void *)m->message[k].bytes;
}

static int move(struct nl *n, const struct moved *addresses, const struct moved *routes, int to)
{
    int err = 0;

    /* Who is killed in between leaves an address twice rather than none. */
    for (unsigned k = 0; k < addresses->n && !err; k++) {
        err = put_address(n, message(addresses, k), RTM_NEWADDR, to);
        if (!err)
            (void)put_address(n, message(addresses, k), RTM_DELADDR, addresses->from);
    }
    /* A gateway must be reachable before it can be one. */
    for (unsigned gateways = 0; gateways < 2; gateways++)
        for (unsigned k = 0; k < routes->n && !err; k++)
            if (has_gateway(message(routes, k)) == (gateways == 1))
                err = put_route(n, message(routes, k), to);
    return err;
}

int address_move(struct nl *n, int from, int to)
{
    struct moved *m = calloc(2, sizeof(*m));
    void *fixed;
    struct nlmsghdr *h;
    int err;

    if (!m)
        return -ENOMEM;
    m[0].from = m[1].from = from;
    h = nl_begin(n, RTM_GETADDR, 0, sizeof(struct ifaddrmsg), &fixed);
    err = nl_dump(n, h, on_address, &m[0]);
    if (!err) {
        h = nl_begin(n, RTM_GETROUTE, 0, sizeof(struct rtmsg), &fixed);
        err = nl_dump(n, h, on_route, &m[1]);
    }
    if (!err)
        err = move(n, &m[0], &m[1], to);
    free(m);
    return err;
}
