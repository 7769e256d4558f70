/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include "vmms/switch/netlink.h"

static struct nlmsghdr *begin(struct nl *n, uint16_t type, uint16_t flags, int index,
                              struct ifinfomsg **out)
{
    void *fixed;
    struct nlmsghdr *h = nl_begin(n, type, flags, sizeof(struct ifinfomsg), &fixed);
    struct ifinfomsg *i = fixed;

    i->ifi_index = index;
    if (out)
        *out = i;
    return h;
}

int link_make_bridge(struct nl *n, const char *name, const struct mac *mac, uint32_t mtu)
{
    struct nlmsghdr *h = begin(n, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, NULL);
    struct nlattr *info;

    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    mnl_attr_put(h, IFLA_ADDRESS, 6, mac->byte);
    mnl_attr_put_u32(h, IFLA_MTU, mtu);
    mnl_attr_put_u32(h, IFLA_GROUP, LINK_GROUP);
    info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
    mnl_attr_nest_end(h, info);
    return nl_talk(n, h);
}

static int bridge_option(struct nl *n, int index, uint16_t type, uint32_t value, size_t size)
{
    struct nlmsghdr *h = begin(n, RTM_NEWLINK, 0, index, NULL);
    struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO), *data;

    mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
    data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    mnl_attr_put(h, type, size, &value); /* little-endian, as all of this is for x86-64 */
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
    return nl_talk(n, h);
}

/* The VLAN of frames without a tag can only be chosen while the filter is off. */
int link_bridge_filter(struct nl *n, int index, uint16_t native)
{
    int err = bridge_option(n, index, IFLA_BR_VLAN_DEFAULT_PVID, native, 2);

    return err ? err : bridge_option(n, index, IFLA_BR_VLAN_FILTERING, 1, 1);
}

int link_remove(struct nl *n, int index)
{
    return nl_talk(n, begin(n, RTM_DELLINK, 0, index, NULL));
}

int link_alias(struct nl *n, int index, const char *alias)
{
    struct nlmsghdr *h = begin(n, RTM_NEWLINK, 0, index, NULL);

    mnl_attr_put_str(h, IFLA_IFALIAS, alias);
    return nl_talk(n, h);
}

int link_mtu(struct nl *n, int index, uint32_t mtu)
{
    struct nlmsghdr *h = begin(n, RTM_NEWLINK, 0, index, NULL);

    mnl_attr_put_u32(h, IFLA_MTU, mtu);
    return nl_talk(n, h);
}

int link_mac(struct nl *n, int index, const struct mac *mac)
{
    struct nlmsghdr *h = begin(n, RTM_NEWLINK, 0, index, NULL);

    mnl_attr_put(h, IFLA_ADDRESS, 6, mac->byte);
    return nl_talk(n, h);
}

int link_join(struct nl *n, int index, int bridge)
{
    struct nlmsghdr *h = begin(n, RTM_NEWLINK, 0, index, NULL);

    mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)bridge);
    return nl_talk(n, h);
}

int link_up(struct nl *n, int index)
{
    struct ifinfomsg *i;
    struct nlmsghdr *h = begin(n, RTM_NEWLINK, 0, index, &i);

    i->ifi_flags = i->ifi_change = IFF_UP;
    return nl_talk(n, h);
}

int link_isolate(struct nl *n, int index, bool isolated)
{
    struct ifinfomsg *i;
    struct nlmsghdr *h = begin(n, RTM_SETLINK, 0, index, &i);
    struct nlattr *port = mnl_attr_nest_start(h, IFLA_PROTINFO);

    i->ifi_family = AF_BRIDGE;
    mnl_attr_put_u8(h, IFLA_BRPORT_ISOLATED, isolated);
    mnl_attr_nest_end(h, port);
    return nl_talk(n, h);
}

struct walk {
    int (*each)(const struct link *l, void *arg);
    void *arg;
    int err;
};

static void take_text(char *out, size_t size, const struct nlattr *a)
{
    size_t n = strnlen(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));

    if (n < size) {
        memcpy(out, mnl_attr_get_payload(a), n);
        out[n] = 0;
    }
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
    const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
    struct link l = {.index = i->ifi_index};
    struct walk *w = arg;

    for (const struct nlattr *a = nl_attr_first(h, sizeof(*i)); a; a = nl_attr_next(h, a)) {
        uint16_t type = mnl_attr_get_type(a);

        if (type == IFLA_IFNAME)
            take_text(l.name, sizeof(l.name), a);
        else if (type == IFLA_IFALIAS)
            take_text(l.alias, sizeof(l.alias), a);
        else if (type == IFLA_GROUP && mnl_attr_get_payload_len(a) == 4)
            l.group = mnl_attr_get_u32(a);
        else if (type == IFLA_MASTER && mnl_attr_get_payload_len(a) == 4)
            l.master = (int)mnl_attr_get_u32(a);
    }
    if (!w->err)
        w->err = w->each(&l, w->arg);
    return MNL_CB_OK;
}

int link_each(struct nl *n, int (*each)(const struct link *l, void *arg), void *arg)
{
    struct walk w = {.each = each, .arg = arg};
    int err = nl_dump(n, begin(n, RTM_GETLINK, 0, 0, NULL), on_link, &w);

    return err ? err : w.err;
}

struct mac_wanted {
    int index;
    bool found;
    struct mac mac;
};

static int on_mac(const struct nlmsghdr *h, void *arg)
{
    const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
    struct mac_wanted *w = arg;

    for (const struct nlattr *a = nl_attr_first(h, sizeof(*i)); a; a = nl_attr_next(h, a)) {
        if (i->ifi_index != w->index || mnl_attr_get_type(a) != IFLA_ADDRESS ||
            mnl_attr_get_payload_len(a) != 6)
            continue;
        memcpy(w->mac.byte, mnl_attr_get_payload(a), 6);
        w->found = true;
    }
    return MNL_CB_OK;
}

int link_mac_get(struct nl *n, int index, struct mac *out)
{
    struct mac_wanted w = {.index = index};
    int err = nl_dump(n, begin(n, RTM_GETLINK, 0, 0, NULL), on_mac, &w);

    if (err || !w.found)
        return err ? err : -ENODEV;
    *out = w.mac;
    return 0;
}
