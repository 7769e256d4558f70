/* SPDX-License-Identifier: MIT */
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include "vmms/switch/netlink.h"

/* Both messages hold runs of VLANs, at most one for every second VLAN and two attributes of 8
 * bytes each. */
_Static_assert(VLAN_NATIVE / 2 * 16 + 64 < NL_BYTES, "all runs fit one message");

static struct nlmsghdr *begin(struct nl *n, uint16_t type, int index, struct nlattr **nest)
{
    void *fixed;
    struct nlmsghdr *h = nl_begin(n, type, 0, sizeof(struct ifinfomsg), &fixed);
    struct ifinfomsg *i = fixed;

    i->ifi_family = AF_BRIDGE;
    i->ifi_index = index;
    *nest = mnl_attr_nest_start(h, IFLA_AF_SPEC);
    return h;
}

static void put_run(struct nlmsghdr *h, unsigned first, unsigned last)
{
    struct bridge_vlan_info v = {.vid = (uint16_t)first};

    if (first != last)
        v.flags = BRIDGE_VLAN_INFO_RANGE_BEGIN;
    mnl_attr_put(h, IFLA_BRIDGE_VLAN_INFO, sizeof(v), &v);
    if (first == last)
        return;
    v = (struct bridge_vlan_info){.vid = (uint16_t)last, .flags = BRIDGE_VLAN_INFO_RANGE_END};
    mnl_attr_put(h, IFLA_BRIDGE_VLAN_INFO, sizeof(v), &v);
}

/* All runs in which a VLAN is tagged, or all others; the untagged one is in neither. */
static unsigned put_runs(struct nlmsghdr *h, const struct vlan_set *tagged, unsigned untagged,
                         bool in)
{
    unsigned runs = 0;

    for (unsigned first = 1, last; first <= VLAN_NATIVE; first = last + 1) {
        last = first;
        if (first == untagged || vlan_has(tagged, first) != in)
            continue;
        while (last < VLAN_NATIVE && last + 1 != untagged && vlan_has(tagged, last + 1) == in)
            last++;
        put_run(h, first, last);
        runs++;
    }
    return runs;
}

/* What stays is not touched, so its frames flow on. Removing what is not there is no error. */
int link_vlans(struct nl *n, int index, const struct vlan_set *tagged, unsigned untagged)
{
    struct nlattr *nest;
    struct nlmsghdr *h = begin(n, RTM_SETLINK, index, &nest);
    struct bridge_vlan_info own = {.vid = (uint16_t)untagged,
                                   .flags = BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED};
    unsigned runs = put_runs(h, tagged, untagged, true);
    int err = 0;

    if (untagged)
        mnl_attr_put(h, IFLA_BRIDGE_VLAN_INFO, sizeof(own), &own);
    mnl_attr_nest_end(h, nest);
    if (runs || untagged)
        err = nl_talk(n, h);
    if (err)
        return err;
    h = begin(n, RTM_DELLINK, index, &nest);
    (void)put_runs(h, tagged, untagged, false);
    mnl_attr_nest_end(h, nest);
    return nl_talk(n, h);
}
