/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

int switch_name_check(const char *name, struct problem *why)
{
    return name_good(name)
               ? 0
               : problem_set(why, -EINVAL,
                             "'%.40s' is no name: up to %d letters, digits, and . _ - behind the "
                             "first",
                             name, SWITCH_NAME_MAX);
}

static int check_card(const struct switch_store *st, const struct switch_config *s,
                      struct problem *why)
{
    size_t n = strnlen(s->nic, sizeof(s->nic));

    if (s->kind != SWITCH_EXTERNAL)
        return s->nic[0] || s->host
                   ? problem_set(why, -EINVAL, "%s: only an external switch has a network card",
                                 s->name)
                   : 0;
    if (n == 0)
        return problem_set(why, -EINVAL, "%s: an external switch wants a network card", s->name);
    if (n == sizeof(s->nic) || strpbrk(s->nic, "/\" \\\n\t") || strcmp(s->nic, "lo") == 0 ||
        strncmp(s->nic, "bh", 2) == 0)
        return problem_set(why, -EINVAL, "'%.15s' is no network card for a switch", s->nic);
    for (unsigned k = 0; k < st->switches; k++)
        if (strcmp(st->sw[k].name, s->name) != 0 && strcmp(st->sw[k].nic, s->nic) == 0)
            return problem_set(why, -EBUSY, "%s: the switch %s has it", s->nic, st->sw[k].name);
    return 0;
}

static int check_subnet(const struct switch_store *st, const struct switch_config *s,
                        struct problem *why)
{
    bool may = s->kind == SWITCH_NAT || s->kind == SWITCH_INTERNAL;
    struct subnet same;
    char text[20];

    if (!s->subnet.prefix)
        return s->dhcp || s->kind == SWITCH_NAT
                   ? problem_set(why, -EINVAL, "%s: a subnet is wanted", s->name)
                   : 0;
    if (!may)
        return problem_set(why, -EINVAL, "%s: the host has no address on a switch of this kind",
                           s->name);
    subnet_text(text, &s->subnet);
    if (!subnet_parse(text, &same))
        return problem_set(why, -EINVAL, "%s: %s is no network for guests", s->name, text);
    for (unsigned k = 0; k < st->switches; k++)
        if (strcmp(st->sw[k].name, s->name) != 0 && subnets_overlap(&st->sw[k].subnet, &s->subnet))
            return problem_set(why, -EADDRINUSE, "%s: the switch %s has it", text, st->sw[k].name);
    return 0;
}

int check_switch(const struct switch_store *st, const struct switch_config *s, struct problem *why)
{
    int err = switch_name_check(s->name, why);

    if (!err)
        err = check_card(st, s, why);
    if (!err)
        err = check_subnet(st, s, why);
    if (!err && (s->mtu < MTU_MIN || s->mtu > MTU_MAX))
        err = problem_set(why, -EINVAL, "%s: the MTU is %d to %d", s->name, MTU_MIN, MTU_MAX);
    return err;
}

static int check_mac(const struct switch_store *st, const struct port_config *p,
                     struct problem *why)
{
    char text[18];

    mac_text(text, &p->mac);
    if (!mac_usable(&p->mac))
        return problem_set(why, -EINVAL, "%s: %s is for no single card", p->name, text);
    for (unsigned k = 0; k < st->switches; k++)
        if (mac_same(&st->sw[k].mac, &p->mac))
            return problem_set(why, -EADDRINUSE, "%s: the switch %s has it", text, st->sw[k].name);
    for (unsigned k = 0; k < st->ports; k++)
        if (strcmp(st->port[k].name, p->name) != 0 && mac_same(&st->port[k].mac, &p->mac))
            return problem_set(why, -EADDRINUSE, "%s: the port %s has it", text, st->port[k].name);
    return 0;
}

static int check_address(const struct switch_store *st, const struct switch_config *s,
                         const struct port_config *p, struct problem *why)
{
    char text[16];
    uint32_t end = s->subnet.address | ~subnet_mask(&s->subnet);

    if (!p->address)
        return 0;
    address_text(text, p->address);
    if (p->address >> 24 == 0 || p->address >> 24 == 127 || p->address >> 28 >= 14)
        return problem_set(why, -EINVAL, "%s: %s is for no guest", p->name, text);
    if (s->subnet.prefix && (!subnet_has(&s->subnet, p->address) || p->address == end ||
                             p->address == s->subnet.address))
        return problem_set(why, -EINVAL, "%s: %s is not in the subnet of %s", p->name, text,
                           s->name);
    if (s->subnet.prefix && p->address == subnet_host(&s->subnet))
        return problem_set(why, -EADDRINUSE, "%s: the host has it", text);
    for (unsigned k = 0; k < st->ports; k++)
        if (strcmp(st->port[k].name, p->name) != 0 && strcmp(st->port[k].on, p->on) == 0 &&
            st->port[k].address == p->address)
            return problem_set(why, -EADDRINUSE, "%s: the port %s has it", text, st->port[k].name);
    return 0;
}

static bool vlan_sound(const struct port_config *p)
{
    bool any = false;

    for (unsigned k = 0; k < 4096; k++) {
        any |= vlan_has(&p->trunk, k);
        if ((k == 0 || k > VLAN_MAX) && vlan_has(&p->trunk, k))
            return false;
    }
    switch (p->vlan_mode) {
    case VLAN_UNTAGGED:
        return p->vlan == 0 && !any;
    case VLAN_ACCESS:
        return p->vlan >= 1 && p->vlan <= VLAN_MAX && !any;
    case VLAN_TRUNK:
        return p->vlan <= VLAN_MAX && any && !(p->vlan && vlan_has(&p->trunk, p->vlan));
    default:
        return false;
    }
}

/* A mirror of a mirror could send frames round in circles. */
static int check_mirror(const struct switch_store *st, const struct port_config *p,
                        struct problem *why)
{
    const struct port_config *to = switch_port_named(st, p->mirror_to);

    if (p->mirror_to[0]) {
        if (!to || strcmp(to->on, p->on) != 0 || strcmp(to->name, p->name) == 0)
            return problem_set(why, -EINVAL, "%s: '%s' is no other port of %s to mirror to",
                               p->name, p->mirror_to, p->on);
        if (to->mirror_to[0])
            return problem_set(why, -EINVAL, "%s: %s is mirrored itself", p->name, to->name);
        if (p->mirror < MIRROR_SENT || p->mirror > MIRROR_BOTH)
            return problem_set(why, -EINVAL, "%s: nothing is to be mirrored", p->name);
    }
    for (unsigned k = 0; p->mirror_to[0] && k < st->ports; k++)
        if (strcmp(st->port[k].mirror_to, p->name) == 0)
            return problem_set(why, -EINVAL, "%s: it is what %s is mirrored to", p->name,
                               st->port[k].name);
    return 0;
}

static bool rate_sound(uint64_t v)
{
    return v == 0 || (v >= RATE_MIN && v <= RATE_MAX);
}

int check_port(const struct switch_store *st, const struct port_config *p, struct problem *why)
{
    const struct switch_config *s = switch_named(st, p->on);
    int err = switch_name_check(p->name, why);

    if (err)
        return err;
    if (!s)
        return problem_set(why, -ENOENT, "'%.40s': there is no such switch", p->on);
    err = check_mac(st, p, why);
    if (!err)
        err = check_address(st, s, p, why);
    if (!err && !vlan_sound(p))
        err = problem_set(why, -EINVAL, "%s: VLANs are 1 to %d, and one is tagged or not, not both",
                          p->name, VLAN_MAX);
    if (!err && (!rate_sound(p->sent_max_bps) || !rate_sound(p->received_max_bps)))
        err = problem_set(why, -EINVAL, "%s: a limit is 64K to 100G bits per second", p->name);
    return err ? err : check_mirror(st, p, why);
}
