/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/netlink.h"

static int choose_id(const struct switch_store *st, struct switch_config *s, struct problem *why)
{
    char name[IFNAMSIZ];
    bool used;

    if (st->switches == SWITCHES_MAX)
        return problem_set(why, -ENOSPC, "%s: there are %d switches already", s->name,
                           SWITCHES_MAX);
    for (s->id = 0; s->id < SWITCHES_MAX; s->id++) {
        switch_bridge_name(name, s);
        used = kernel_has(name);
        for (unsigned k = 0; k < st->switches; k++)
            used |= st->sw[k].id == s->id;
        if (!used)
            return 0;
    }
    return problem_set(why, -ENOSPC,
                       "%s: links bhs0 to bhs%d are there already; bhswitch clean "
                       "may help",
                       s->name, SWITCHES_MAX - 1);
}

/* What the host has a way to must not be hidden behind a switch. */
static int choose_subnet(const struct switch_store *st, struct switch_config *s,
                         struct problem *why)
{
    struct subnet *taken = malloc((ROUTES_MAX + SWITCHES_MAX) * sizeof(*taken));
    unsigned n = 0;
    struct nl *nl;
    int err = taken ? nl_open(&nl) : -ENOMEM;

    if (!err) {
        err = address_taken_subnets(nl, taken, &n);
        nl_close(nl);
    }
    for (unsigned k = 0; !err && k < st->switches; k++)
        if (st->sw[k].subnet.prefix)
            taken[n++] = st->sw[k].subnet;
    if (err)
        (void)problem_set(why, err, "%s: the host's routes: %s", s->name, strerror(-err));
    else if (s->kind == SWITCH_NAT && !s->subnet.prefix && plan_subnet(&s->subnet, taken, n) < 0)
        err =
            problem_set(why, -ENOSPC, "%s: no network of 172.28.0.0/16 is free; give one", s->name);
    else
        for (unsigned k = 0; k < n && s->subnet.prefix && !err; k++)
            if (subnets_overlap(&s->subnet, &taken[k]))
                err = problem_set(why, -EADDRINUSE, "%s: the host has a route into that subnet",
                                  s->name);
    free(taken);
    return err;
}

struct master {
    int card, bridge;
};

static int find_master(const struct link *l, void *arg)
{
    struct master *m = arg;

    if (l->index == m->card)
        m->bridge = l->master;
    return 0;
}

static int check_nic(const struct switch_config *s, struct problem *why)
{
    struct master m = {.card = (int)if_nametoindex(s->nic)};
    struct nl *n;
    int err;

    if (!m.card)
        return problem_set(why, -ENODEV, "%s: there is no network card %s", s->name, s->nic);
    err = nl_open(&n);
    if (err)
        return problem_set(why, err, "netlink: %s", strerror(-err));
    err = link_each(n, find_master, &m);
    if (err)
        (void)problem_set(why, err, "netlink: %s", strerror(-err));
    else if (m.bridge)
        err = problem_set(why, -EBUSY, "%s: it is part of another bridge or bond", s->nic);
    else if (!s->host && address_any(n, m.card))
        err = problem_set(why, -EBUSY,
                          "%s: the host has addresses on it, which it would lose; --host moves "
                          "them to the switch",
                          s->nic);
    nl_close(n);
    return err;
}

static int complete(const struct switch_store *st, struct switch_config *s, struct problem *why)
{
    int err = switch_name_check(s->name, why);

    if (!err && switch_named(st, s->name))
        err = problem_set(why, -EEXIST, "%s: there is a switch of that name", s->name);
    if (!err)
        err = choose_id(st, s, why);
    for (unsigned k = 0; !err && (k == 0 || store_mac_used(st, &s->mac)); k++)
        s->mac = plan_mac("switch", s->name, k);
    if (!s->mtu)
        s->mtu = MTU_DEFAULT;
    if (s->kind == SWITCH_NAT)
        s->dhcp = true;
    if (!err && (s->kind == SWITCH_NAT || s->subnet.prefix))
        err = choose_subnet(st, s, why);
    if (!err)
        err = check_switch(st, s, why);
    if (!err && s->kind == SWITCH_EXTERNAL)
        err = check_nic(s, why);
    return err;
}

static int make(struct settled *x, const struct switch_config *s, struct problem *why)
{
    int err = kernel_forwarding(x->st, why);

    if (!err)
        err = store_save(x->st, x->folder, why);
    if (!err)
        err = settle_rules(x->st, why);
    if (!err)
        err = kernel_make_switch(s, why);
    return err ? err : settle_dhcp(x, s, why);
}

/* The store first: what a crash leaves then belongs to nobody, and is removed as such. */
static int unmake(struct settled *x, const struct switch_config *s, struct problem *why)
{
    int err;

    store_remove_switch(x->st, s->name);
    err = store_save(x->st, x->folder, why);
    if (s->dhcp)
        dnsmasq_stop(x->folder, s);
    kernel_remove_switch(s);
    if (!err)
        err = settle_rules(x->st, why);
    if (!err)
        err = kernel_forwarding(x->st, why);
    return err ? err : store_save(x->st, x->folder, why);
}

int switch_create(const char *folder, const struct switch_config *want, struct problem *why)
{
    struct switch_config s = *want;
    struct problem ignored;
    struct settled x;
    int err = settle_begin(&x, folder, why);

    if (err)
        return err;
    err = complete(x.st, &s, why);
    if (!err) {
        x.st->sw[x.st->switches++] = s;
        err = make(&x, &s, why);
        if (err)
            (void)unmake(&x, &s, &ignored);
    }
    settle_end(&x);
    return err;
}

static int remove_ports(struct settled *x, const char *name, bool force, struct problem *why)
{
    for (unsigned k = x->st->ports; k-- > 0;) {
        struct port_config p = x->st->port[k];

        if (strcmp(p.on, name) != 0)
            continue;
        if (!force)
            return problem_set(why, -EBUSY, "%s: it has ports, as %s; --force removes them too",
                               name, p.name);
        store_remove_port(x->st, p.name);
        kernel_remove_port(&p);
    }
    return 0;
}

int switch_delete(const char *folder, const char *name, bool force, struct problem *why)
{
    const struct switch_config *found;
    struct switch_config s;
    struct settled x;
    int err = settle_begin(&x, folder, why);

    if (err)
        return err;
    found = switch_named(x.st, name);
    if (found) {
        s = *found;
        err = remove_ports(&x, name, force, why);
        if (!err)
            err = unmake(&x, &s, why);
    } else {
        err = problem_set(why, -ENOENT, "'%.40s': there is no such switch", name);
    }
    settle_end(&x);
    return err;
}
