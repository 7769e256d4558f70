/* SPDX-License-Identifier: MIT */
#ifndef VMMS_SWITCH_SWITCH_H
#define VMMS_SWITCH_SWITCH_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "lib/hosted/problem.h"

/*
 * Virtual switches on the Linux bridge. What is wanted stands in a store, a file of JSON; each call
 * below changes the store under its lock and then the kernel. A process that dies in between leaves
 * something that switch_clean() puts right. All of it is for one network namespace and needs root's
 * rights. docs/switch.md describes it.
 */

#define SWITCH_NAME_MAX 32
#define SWITCHES_MAX    32
#define PORTS_MAX       1024
/** VLANs that may be asked for. The one above stands inside a bridge for frames without a tag. */
#define VLAN_MAX    4093
#define VLAN_NATIVE 4094
#define MTU_MIN     576
#define MTU_MAX     9216
#define MTU_DEFAULT 1500
/** Of one direction of a port, bits per second. */
#define RATE_MIN 64000ull
#define RATE_MAX 100000000000ull

enum switch_kind {
    SWITCH_NAT,      /* the host routes and hides the guests behind its own address */
    SWITCH_EXTERNAL, /* guests and a network card of the host */
    SWITCH_INTERNAL, /* guests and the host */
    SWITCH_PRIVATE,  /* guests alone */
    SWITCH_KINDS
};

struct mac {
    uint8_t byte[6];
};

/** IPv4; the address is in host order. A prefix of 0 says that there is none. */
struct subnet {
    uint32_t address;
    uint8_t prefix;
};

struct switch_config {
    char name[SWITCH_NAME_MAX + 1];
    enum switch_kind kind;
    unsigned id;        /* given by the store: the bridge is bhsID */
    struct mac mac;     /* of the bridge; given by the store */
    char nic[IFNAMSIZ]; /* external */
    bool host;          /* external: the host has its addresses on the switch */
    bool dhcp;
    struct subnet subnet; /* the network's address; the host has the first in it */
    uint32_t mtu;
};

enum vlan_mode { VLAN_UNTAGGED, VLAN_ACCESS, VLAN_TRUNK, VLAN_MODES };

struct vlan_set {
    uint64_t word[64];
};

enum mirror { MIRROR_SENT = 1, MIRROR_RECEIVED = 2, MIRROR_BOTH = 3 };

struct port_config {
    char name[SWITCH_NAME_MAX + 1];
    char on[SWITCH_NAME_MAX + 1]; /* the switch */
    unsigned id;                  /* given by the store: the tap is bhpID */
    struct mac mac;               /* all zero at connect: made from the names */
    uint32_t address;             /* fixed, host order; 0: none, or at connect: take a free one */
    enum vlan_mode vlan_mode;
    uint16_t vlan; /* access: this one; trunk: that of frames without a tag, 0: the switch's own */
    struct vlan_set trunk;
    uint64_t sent_max_bps, received_max_bps; /* 0: no limit; seen from the guest */
    char mirror_to[SWITCH_NAME_MAX + 1];     /* a port of the same switch */
    enum mirror mirror;
    bool isolated; /* reaches no other isolated port */
    /* Guards that are switched off. */
    bool may_spoof_mac, may_serve_dhcp, may_route, may_spoof_address;
    bool one_queue;       /* a tap with one queue */
    uint32_t user;        /* who may open the tap besides root */
    pid_t owner;          /* the port goes when this process is gone; 0: nobody */
    uint64_t owner_start; /* when that process began, in ticks: numbers come again */
};

struct switch_store {
    bool forwarding_was_off; /* the host forwards IPv4 only because of us */
    unsigned switches, ports;
    struct switch_config sw[SWITCHES_MAX];
    struct port_config port[PORTS_MAX];
};

enum learnt_by { LEARNT_FIXED = 1, LEARNT_DHCP = 2, LEARNT_SEEN = 4, LEARNT_NEIGHBOUR = 8 };

/** An address of a guest, and how it is known. */
struct learnt {
    int family; /* AF_INET, AF_INET6 */
    uint8_t address[16];
    unsigned by;
};

#define LEARNT_MAX 80

/** Names are of letters, digits, and . _ - behind the first: a problem is told, or 0. */
int switch_name_check(const char *name, struct problem *why);

/** "bhs3", "bhp17". */
void switch_bridge_name(char out[IFNAMSIZ], const struct switch_config *s);
void switch_tap_name(char out[IFNAMSIZ], const struct port_config *p);

/** The store of `folder` as it is now; free() it. -ENOMEM, -EINVAL and what open() says. */
int switch_load(struct switch_store **out, const char *folder, struct problem *why);
/** NULL: there is none of that name. */
const struct switch_config *switch_named(const struct switch_store *st, const char *name);
const struct port_config *switch_port_named(const struct switch_store *st, const char *name);

/*
 * Calls that change something; each makes the folder if it is not there, and first forgets the
 * ports whose owners are gone. 0 or -errno with a sentence; what had been begun is undone then.
 */

/** `want` has no id and mac yet. NAT without a subnet: a free one is taken. */
int switch_create(const char *folder, const struct switch_config *want, struct problem *why);
/** Its ports go too with `force`, else -EBUSY if there are any. */
int switch_delete(const char *folder, const char *name, bool force, struct problem *why);
/** `done`: the port as it came to be; its tap is there, down as long as nobody opens it. */
int switch_connect(const char *folder, const struct port_config *want, struct port_config *done,
                   struct problem *why);
/** Everything but names, id, one_queue, user and owner may be another than it was. */
int switch_port_set(const char *folder, const struct port_config *want, struct problem *why);
int switch_disconnect(const char *folder, const char *port, struct problem *why);

struct clean_report {
    unsigned ports_forgotten; /* their owner or tap is gone */
    unsigned links_removed;   /* marked as ours, and in no store */
    unsigned switches_made;   /* again, after a restart of the host */
};

/** Make the kernel hold what the store says, and nothing else of ours. */
int switch_clean(const char *folder, struct clean_report *report, struct problem *why);

/** What addresses the guest of a port has, without asking it. Returns how many; at most LEARNT_MAX.
 */
int switch_learnt(const char *folder, const struct switch_store *st, const struct port_config *p,
                  struct learnt out[LEARNT_MAX]);

#endif
