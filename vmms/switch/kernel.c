/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmms/switch/netlink.h"

#define FORWARD "/proc/sys/net/ipv4/ip_forward"

bool kernel_has(const char *link)
{
    return if_nametoindex(link) != 0;
}

static int setting_write(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

    if (fd < 0)
        return -errno;
    if (write(fd, value, strlen(value)) < 0)
        err = -errno;
    (void)close(fd);
    return err;
}

/* Without IPv6 in the kernel there is nothing to do. */
static int ipv6_setting(const char *link, const char *name, const char *value)
{
    char path[128];
    int err;

    (void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", link, name);
    err = setting_write(path, value);
    return err == -ENOENT ? 0 : err;
}

/* The host must not speak of itself on a tap, nor on a switch that it has no part in. */
static int no_ipv6(const char *link)
{
    return ipv6_setting(link, "disable_ipv6", "1");
}

static int mark(struct nl *n, int index, const char *what, const char *name)
{
    char alias[128];

    (void)snprintf(alias, sizeof(alias), LINK_MARK "%s %s", what, name);
    return link_alias(n, index, alias);
}

/* The bridge has the MAC of the card, by which the network around knows the host. */
static int take_card(struct nl *n, const struct switch_config *s, int bridge)
{
    int card = (int)if_nametoindex(s->nic), err;
    struct mac mac;

    if (!card)
        return -ENODEV;
    err = link_mac_get(n, card, &mac);
    if (!err)
        err = link_mac(n, bridge, &mac);
    if (!err)
        err = link_up(n, card);
    if (!err)
        err = link_join(n, card, bridge);
    if (!err && s->host)
        err = address_move(n, card, bridge);
    return err;
}

static int make_bridge(struct nl *n, const struct switch_config *s, const char *name)
{
    bool host = s->kind != SWITCH_PRIVATE && (s->kind != SWITCH_EXTERNAL || s->host);
    int err = link_make_bridge(n, name, &s->mac, s->mtu), index;

    if (err)
        return err;
    index = (int)if_nametoindex(name);
    /* Said twice: what a bridge is made with, it takes for a first guess. */
    err = link_mtu(n, index, s->mtu);
    if (!err) {
        err = link_bridge_filter(n, index, VLAN_NATIVE);
        if (err == -EOPNOTSUPP) /* a kernel without VLANs in bridges: ports that want one fail */
            err = 0;
    }
    if (!err && !host)
        err = no_ipv6(name);
    /* A guest that may route is a router to other guests, not to the host. */
    if (!err && !s->nic[0])
        err = ipv6_setting(name, "accept_ra", "0");
    if (!err)
        err = link_up(n, index);
    if (!err && s->subnet.prefix)
        err = address_add(n, index, &s->subnet);
    if (!err && s->nic[0])
        err = take_card(n, s, index);
    return err ? err : mark(n, index, "switch", s->name);
}

static bool marked(const struct link *l)
{
    return strncmp(l->alias, LINK_MARK, strlen(LINK_MARK)) == 0 ||
           (!l->alias[0] && l->group == LINK_GROUP);
}

struct wanted {
    char name[IFNAMSIZ], alias[128];
    bool whole;
    int ours; /* its index, if it has our mark */
};

static int find_wanted(const struct link *l, void *arg)
{
    struct wanted *w = arg;

    if (strcmp(l->name, w->name) == 0) {
        w->whole = strcmp(l->alias, w->alias) == 0;
        w->ours = marked(l) ? l->index : 0;
    }
    return 0;
}

/* 0: there is none, or it is somebody else's. */
static int our_link(struct nl *n, const char *name)
{
    struct wanted w = {.ours = 0};

    (void)snprintf(w.name, sizeof(w.name), "%s", name);
    (void)link_each(n, find_wanted, &w);
    return w.ours;
}

bool kernel_has_switch(const struct switch_config *s)
{
    struct wanted w = {.whole = false};
    struct nl *n;
    int err;

    switch_bridge_name(w.name, s);
    (void)snprintf(w.alias, sizeof(w.alias), LINK_MARK "switch %s", s->name);
    /* In doubt it is there: what is made again is removed first. */
    if (nl_open(&n) < 0)
        return true;
    err = link_each(n, find_wanted, &w);
    nl_close(n);
    return w.whole || err;
}

int kernel_make_switch(const struct switch_config *s, struct problem *why)
{
    char name[IFNAMSIZ];
    struct nl *n;
    int err = nl_open(&n);

    switch_bridge_name(name, s);
    if (!err) {
        err = make_bridge(n, s, name);
        nl_close(n);
    }
    if (!err)
        return 0;
    kernel_remove_switch(s);
    return problem_set(why, err, "%s: the bridge %s cannot be made: %s", s->name, name,
                       strerror(-err));
}

struct cards {
    struct nl *n;
    int bridge;
    int card;
};

static int find_card(const struct link *l, void *arg)
{
    struct cards *c = arg;

    if (l->master == c->bridge && strncmp(l->alias, LINK_MARK, strlen(LINK_MARK)) != 0)
        c->card = l->index;
    return 0;
}

/* Whose card it is, is seen by what is on the bridge: the store may be lost. The card leaves last,
 * or it would not be found after a crash. A bridge whose addresses cannot be moved stays:
 * switch_clean() finds it. */
static void remove_bridge(struct nl *n, int bridge)
{
    struct cards c = {.n = n, .bridge = bridge};
    int err = link_each(n, find_card, &c);

    if (!err && c.card)
        err = address_move(n, bridge, c.card);
    if (!err && c.card)
        err = link_join(n, c.card, 0);
    if (!err)
        (void)link_remove(n, bridge);
}

void kernel_remove_switch(const struct switch_config *s)
{
    char name[IFNAMSIZ];
    struct nl *n;
    int index;

    switch_bridge_name(name, s);
    if (nl_open(&n) < 0)
        return;
    index = our_link(n, name);
    if (index)
        remove_bridge(n, index);
    nl_close(n);
}

static int make_tap(struct nl *n, const struct switch_config *s, const struct port_config *p,
                    const char *name)
{
    int fd = kernel_has(name) ? -EEXIST : tap_open(name, p->one_queue, p->user), index, err;

    if (fd < 0)
        return fd;
    index = (int)if_nametoindex(name);
    err = mark(n, index, "port", p->name);
    if (!err)
        err = link_mtu(n, index, s->mtu);
    if (!err)
        err = no_ipv6(name);
    if (!err)
        err = tap_keep(fd);
    (void)close(fd);
    return err;
}

int kernel_make_port(const struct switch_config *s, const struct port_config *p,
                     struct problem *why)
{
    char name[IFNAMSIZ];
    struct nl *n;
    int err = nl_open(&n);

    switch_tap_name(name, p);
    if (!err) {
        err = make_tap(n, s, p, name);
        nl_close(n);
    }
    return err ? problem_set(why, err, "%s: the tap %s cannot be made: %s", p->name, name,
                             strerror(-err))
               : 0;
}

/* A kernel without VLANs in bridges is no problem for a port that has none. */
static int port_vlans(struct nl *n, int index, const struct port_config *p)
{
    unsigned untagged = p->vlan ? p->vlan : VLAN_NATIVE;
    int err = link_vlans(n, index, &p->trunk, untagged);

    return err == -EOPNOTSUPP && p->vlan_mode == VLAN_UNTAGGED ? 0 : err;
}

static int join(struct nl *n, const struct switch_config *s, const struct port_config *p, int tap,
                int bridge)
{
    int err = link_limit(n, tap, p->received_max_bps);

    if (err)
        return err;
    err = link_join(n, tap, bridge);
    if (!err)
        err = link_isolate(n, tap, p->isolated);
    if (!err)
        err = port_vlans(n, tap, p);
    return err ? err : link_up(n, tap);
}

int kernel_join_port(const struct switch_store *st, const struct port_config *p,
                     struct problem *why)
{
    const struct switch_config *s = switch_named(st, p->on);
    char tap[IFNAMSIZ], bridge[IFNAMSIZ];
    struct nl *n;
    int err = nl_open(&n);

    if (err)
        return problem_set(why, err, "netlink: %s", strerror(-err));
    switch_tap_name(tap, p);
    switch_bridge_name(bridge, s);
    err = join(n, s, p, (int)if_nametoindex(tap), (int)if_nametoindex(bridge));
    nl_close(n);
    if (!err)
        err = kernel_card_vlans(st, s);
    if (err == -EOPNOTSUPP)
        return problem_set(why, err, "%s: this kernel's bridge has no VLANs", p->name);
    return err ? problem_set(why, err, "%s: the tap %s does not come onto %s: %s", p->name, tap,
                             s->name, strerror(-err))
               : 0;
}

int kernel_card_vlans(const struct switch_store *st, const struct switch_config *s)
{
    struct vlan_set all = {{0}};
    struct nl *n;
    int card = s->nic[0] ? (int)if_nametoindex(s->nic) : 0, err;
    bool any = false;

    if (!card)
        return 0;
    for (unsigned k = 0; k < st->ports; k++) {
        const struct port_config *p = &st->port[k];

        if (strcmp(p->on, s->name) != 0)
            continue;
        for (unsigned w = 0; w < 64; w++)
            all.word[w] |= p->trunk.word[w];
        vlan_add(&all, p->vlan);
        any |= p->vlan_mode != VLAN_UNTAGGED;
    }
    all.word[0] &= ~1ull; /* 0 stands for no VLAN */
    err = nl_open(&n);
    if (err)
        return err;
    err = link_vlans(n, card, &all, VLAN_NATIVE);
    nl_close(n);
    return err == -EOPNOTSUPP && !any ? 0 : err;
}

void kernel_remove_port(const struct port_config *p)
{
    char name[IFNAMSIZ];
    struct nl *n;
    int index;

    switch_tap_name(name, p);
    if (nl_open(&n) < 0)
        return;
    index = our_link(n, name);
    if (index)
        (void)link_remove(n, index);
    nl_close(n);
}

struct strays {
    const struct switch_store *st;
    struct nl *n;
    unsigned removed;
};

static bool in_store(const struct switch_store *st, const char *link)
{
    char name[IFNAMSIZ];

    for (unsigned k = 0; k < st->switches; k++) {
        switch_bridge_name(name, &st->sw[k]);
        if (strcmp(name, link) == 0)
            return true;
    }
    for (unsigned k = 0; k < st->ports; k++) {
        switch_tap_name(name, &st->port[k]);
        if (strcmp(name, link) == 0)
            return true;
    }
    return false;
}

static int on_stray(const struct link *l, void *arg)
{
    struct strays *s = arg;

    if (strncmp(l->name, "bhs", 3) != 0 && strncmp(l->name, "bhp", 3) != 0)
        return 0;
    if (!marked(l) || in_store(s->st, l->name))
        return 0;
    if (l->name[2] == 's')
        remove_bridge(s->n, l->index);
    else
        (void)link_remove(s->n, l->index);
    s->removed++;
    return 0;
}

int kernel_remove_strays(const struct switch_store *st, unsigned *removed)
{
    struct strays s = {.st = st};
    struct nl *dump = NULL;
    int err = nl_open(&s.n);

    if (err)
        return err;
    /* Each has the buffer of its own message. */
    err = nl_open(&dump);
    if (!err)
        err = link_each(dump, on_stray, &s);
    nl_close(dump);
    nl_close(s.n);
    *removed = s.removed;
    return err;
}

int kernel_forwarding(struct switch_store *st, struct problem *why)
{
    bool wanted = false, on;
    char *text;
    int err = file_read(&text, NULL, FORWARD, 64);

    for (unsigned k = 0; k < st->switches; k++)
        wanted |= st->sw[k].kind == SWITCH_NAT;
    if (err)
        return wanted ? problem_set(why, err, FORWARD ": %s", strerror(-err)) : 0;
    on = text[0] != '0';
    free(text);
    if (wanted && !on) {
        st->forwarding_was_off = true;
        err = setting_write(FORWARD, "1");
    } else if (!wanted && st->forwarding_was_off) {
        st->forwarding_was_off = false;
        err = setting_write(FORWARD, "0");
    }
    return err ? problem_set(why, err, FORWARD ": %s", strerror(-err)) : 0;
}
