/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include "vmms/switch/netlink.h"

int address_add(struct nl *n, int index, const struct subnet *s)
{
    void *fixed;
    struct nlmsghdr *h =
        nl_begin(n, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct ifaddrmsg), &fixed);
    struct ifaddrmsg *a = fixed;
    uint32_t host = htonl(subnet_host(s)), broadcast = htonl(s->address | ~subnet_mask(s));

    *a = (struct ifaddrmsg){
        .ifa_family = AF_INET, .ifa_prefixlen = s->prefix, .ifa_index = (unsigned)index};
    mnl_attr_put_u32(h, IFA_LOCAL, host);
    mnl_attr_put_u32(h, IFA_ADDRESS, host);
    mnl_attr_put_u32(h, IFA_BROADCAST, broadcast);
    return nl_talk(n, h);
}

struct any {
    unsigned index;
    bool found;
};

static int on_any(const struct nlmsghdr *h, void *arg)
{
    const struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);
    struct any *w = arg;

    /* Every link that is up has one of its own in IPv6. */
    w->found |= a->ifa_index == w->index && a->ifa_scope != RT_SCOPE_LINK;
    return MNL_CB_OK;
}

bool address_any(struct nl *n, int index)
{
    struct any w = {.index = (unsigned)index};
    void *fixed;
    struct nlmsghdr *h = nl_begin(n, RTM_GETADDR, 0, sizeof(struct ifaddrmsg), &fixed);

    return nl_dump(n, h, on_any, &w) == 0 && w.found;
}

struct taken {
    struct subnet *at;
    unsigned n;
};

static int on_route(const struct nlmsghdr *h, void *arg)
{
    const struct rtmsg *r = mnl_nlmsg_get_payload(h);
    struct taken *w = arg;

    if (r->rtm_family != AF_INET || r->rtm_dst_len == 0 || r->rtm_type == RTN_BROADCAST ||
        r->rtm_type == RTN_MULTICAST)
        return MNL_CB_OK;
    for (const struct nlattr *a = nl_attr_first(h, sizeof(*r)); a; a = nl_attr_next(h, a)) {
        if (mnl_attr_get_type(a) == RTA_DST && mnl_attr_get_payload_len(a) == 4 &&
            w->n < ROUTES_MAX)
            w->at[w->n++] =
                (struct subnet){.address = ntohl(mnl_attr_get_u32(a)), .prefix = r->rtm_dst_len};
    }
    return MNL_CB_OK;
}

int address_taken_subnets(struct nl *n, struct subnet *out, unsigned *count)
{
    struct taken w = {.at = out};
    void *fixed;
    struct nlmsghdr *h = nl_begin(n, RTM_GETROUTE, 0, sizeof(struct rtmsg), &fixed);
    int err;

    ((struct rtmsg *)fixed)->rtm_family = AF_INET;
    err = nl_dump(n, h, on_route, &w);
    if (!err)
        *count = w.n;
    return err;
}

struct neighbours {
    int index;
    const struct mac *mac;
    struct learnt *out;
    unsigned n, max;
};

#define KNOWN (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)

static int on_neighbour(const struct nlmsghdr *h, void *arg)
{
    const struct ndmsg *d = mnl_nlmsg_get_payload(h);
    struct neighbours *w = arg;
    struct learnt l = {.family = d->ndm_family, .by = LEARNT_NEIGHBOUR};
    size_t want = d->ndm_family == AF_INET ? 4 : 16;
    bool mac = false, address = false;

    if (d->ndm_ifindex != w->index || !(d->ndm_state & KNOWN) || w->n >= w->max)
        return MNL_CB_OK;
    for (const struct nlattr *a = nl_attr_first(h, sizeof(*d)); a; a = nl_attr_next(h, a)) {
        size_t size = mnl_attr_get_payload_len(a);

        if (mnl_attr_get_type(a) == NDA_DST && size == want) {
            memcpy(l.address, mnl_attr_get_payload(a), size);
            address = true;
        } else if (mnl_attr_get_type(a) == NDA_LLADDR && size == 6) {
            mac = memcmp(mnl_attr_get_payload(a), w->mac->byte, 6) == 0;
        }
    }
    if (mac && address)
        w->out[w->n++] = l;
    return MNL_CB_OK;
}

int address_neighbours(struct nl *n, int index, const struct mac *mac, struct learnt *out,
                       unsigned max)
{
    struct neighbours w = {.index = index, .mac = mac, .out = out, .max = max};
    static const uint8_t families[] = {AF_INET, AF_INET6};

    for (unsigned k = 0; k < 2; k++) {
        void *fixed;
        struct nlmsghdr *h = nl_begin(n, RTM_GETNEIGH, 0, sizeof(struct ndmsg), &fixed);

        ((struct ndmsg *)fixed)->ndm_family = families[k];
        if (nl_dump(n, h, on_neighbour, &w) < 0)
            break;
    }
    return (int)w.n;
}
