/* SPDX-License-Identifier: MIT */
#ifndef VMMS_SWITCH_NETLINK_H
#define VMMS_SWITCH_NETLINK_H

#include <libmnl/libmnl.h>
#include "vmms/switch/switch_priv.h"

/* What the switch asks of the kernel by rtnetlink(7). All return 0 or -errno. */

/* ---- netlink.c ---- */

#define NL_BYTES 65536

struct nl {
    struct mnl_socket *socket;
    uint32_t seq;
    _Alignas(8) char buf[NL_BYTES]; /* the message that is being made */
};

int nl_open(struct nl **out);
void nl_close(struct nl *n);
/** A message with its fixed part, zeroed, whose attributes are then put behind. */
struct nlmsghdr *nl_begin(struct nl *n, uint16_t type, uint16_t flags, size_t size, void **fixed);
/** Sends what was begun and waits for what the kernel says to it. */
int nl_talk(struct nl *n, struct nlmsghdr *h);
/** The same for a dump: when it is there as a whole, each message goes to `each`. -EAGAIN: it
 * changed all the time. */
int nl_dump(struct nl *n, struct nlmsghdr *h, mnl_cb_t each, void *arg);

/** The attributes behind a fixed part of `size` bytes, one after the other; NULL behind the last.
 * libmnl's macro for this does not pass our warnings. */
const struct nlattr *nl_attr_first(const struct nlmsghdr *h, size_t size);
const struct nlattr *nl_attr_next(const struct nlmsghdr *h, const struct nlattr *a);

/* ---- link.c ---- */

struct link {
    int index, master;
    uint32_t group;
    char name[IFNAMSIZ];
    char alias[128];
};

/* How the alias of a link of ours begins. A bridge gets it when it is complete, a tap before it
 * stays. A bridge cannot be made with an alias, but in a group of links: "bh" says that it is ours
 * too. */
#define LINK_MARK  "bulkhead "
#define LINK_GROUP 0x6268u

int link_make_bridge(struct nl *n, const char *name, const struct mac *mac, uint32_t mtu);
int link_bridge_filter(struct nl *n, int index, uint16_t native);
int link_remove(struct nl *n, int index);
int link_alias(struct nl *n, int index, const char *alias);
int link_mtu(struct nl *n, int index, uint32_t mtu);
int link_mac(struct nl *n, int index, const struct mac *mac);
int link_join(struct nl *n, int index, int bridge);
int link_up(struct nl *n, int index);
int link_isolate(struct nl *n, int index, bool isolated);
/** The MAC of a link as it is. */
int link_mac_get(struct nl *n, int index, struct mac *out);
/** Calls each() for every link, until it does not return 0. */
int link_each(struct nl *n, int (*each)(const struct link *l, void *arg), void *arg);

/* ---- link_vlan.c ---- */

/** The VLANs of a port of a bridge are these, with tags, and `untagged`, which is also that of
 * frames that come without one; 0: none. */
int link_vlans(struct nl *n, int index, const struct vlan_set *tagged, unsigned untagged);

/* ---- link_limit.c ---- */

/** What goes out of the link is held to this rate; 0: it is not. */
int link_limit(struct nl *n, int index, uint64_t bps);

/* ---- address.c ---- */

int address_add(struct nl *n, int index, const struct subnet *s);
bool address_any(struct nl *n, int index);
/** Networks that the host has a way to, except the default one; at most ROUTES_MAX. */
int address_taken_subnets(struct nl *n, struct subnet *out, unsigned *count);

/** Who is known on a bridge by ARP and neighbour discovery with this MAC. */
int address_neighbours(struct nl *n, int index, const struct mac *mac, struct learnt *out,
                       unsigned max);

/* ---- address_move.c ---- */

/** Addresses and routes of one link become another's. */
int address_move(struct nl *n, int from, int to);

#endif
