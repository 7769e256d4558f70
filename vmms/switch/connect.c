/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

static int choose_id(const struct switch_store *st, struct port_config *p, struct problem *why)
{
    char name[IFNAMSIZ];
    bool used;

    if (st->ports == PORTS_MAX)
        return problem_set(why, -ENOSPC, "%s: there are %d ports already", p->name, PORTS_MAX);
    for (p->id = 0; p->id < 2 * PORTS_MAX; p->id++) {
        switch_tap_name(name, p);
        used = kernel_has(name);
        for (unsigned k = 0; k < st->ports; k++)
            used |= st->port[k].id == p->id;
        if (!used)
            return 0;
    }
    return problem_set(why, -ENOSPC, "%s: no name for a tap is free; bhswitch clean may help",
                       p->name);
}

/* Who gets an address from the host gets the same one always, so that it can be guarded. */
static int choose_address(const struct switch_store *st, const struct switch_config *s,
                          struct port_config *p, struct problem *why)
{
    if (p->address || !s->dhcp || p->may_spoof_address)
        return 0;
    return plan_address(&p->address, st, s, &p->mac) < 0
               ? problem_set(why, -ENOSPC, "%s: no address of %s is free", p->name, s->name)
               : 0;
}

static int complete(const struct switch_store *st, struct port_config *p, struct problem *why)
{
    const struct switch_config *s = switch_named(st, p->on);
    bool mac_given = !mac_none(&p->mac);
    int err = switch_name_check(p->name, why);

    if (err)
        return err;
    if (!s)
        return problem_set(why, -ENOENT, "'%.40s': there is no such switch", p->on);
    if (switch_port_named(st, p->name))
        return problem_set(why, -EEXIST, "%s: there is a port of that name", p->name);
    if (p->owner && process_start(p->owner, &p->owner_start) < 0)
        return problem_set(why, -ESRCH, "%s: there is no process %d", p->name, (int)p->owner);
    err = choose_id(st, p, why);
    for (unsigned k = 0; !err && !mac_given && (k == 0 || store_mac_used(st, &p->mac)); k++)
        p->mac = plan_mac(p->on, p->name, k);
    if (!err)
        err = choose_address(st, s, p, why);
    return err ? err : check_port(st, p, why);
}

static int make(struct settled *x, const struct port_config *p, struct problem *why)
{
    const struct switch_config *s = switch_named(x->st, p->on);
    int err = store_save(x->st, x->folder, why);

    if (!err)
        err = kernel_make_port(s, p, why);
    /* Guards stand before the first frame can come. */
    if (!err)
        err = settle_rules(x->st, why);
    if (!err)
        err = kernel_join_port(x->st, p, why);
    return err ? err : settle_dhcp(x, s, why);
}

/* The tap goes before its guards do. */
static int unmake(struct settled *x, const struct port_config *p, struct problem *why)
{
    const struct switch_config *s = switch_named(x->st, p->on);
    int err;

    store_remove_port(x->st, p->name);
    err = store_save(x->st, x->folder, why);
    kernel_remove_port(p);
    if (!err)
        err = settle_rules(x->st, why);
    (void)kernel_card_vlans(x->st, s);
    return err ? err : settle_dhcp(x, s, why);
}

int switch_connect(const char *folder, const struct port_config *want, struct port_config *done,
                   struct problem *why)
{
    struct port_config p = *want;
    struct problem ignored;
    struct settled x;
    int err = settle_begin(&x, folder, why);

    if (err)
        return err;
    err = complete(x.st, &p, why);
    if (!err) {
        x.st->port[x.st->ports++] = p;
        err = make(&x, &p, why);
        if (err)
            (void)unmake(&x, &p, &ignored);
        else
            *done = p;
    }
    settle_end(&x);
    return err;
}

int switch_disconnect(const char *folder, const char *port, struct problem *why)
{
    const struct port_config *found;
    struct port_config p;
    struct settled x;
    int err = settle_begin(&x, folder, why);

    if (err)
        return err;
    found = switch_port_named(x.st, port);
    if (found) {
        p = *found;
        err = unmake(&x, &p, why);
    } else {
        err = problem_set(why, -ENOENT, "'%.40s': there is no such port", port);
    }
    settle_end(&x);
    return err;
}

static int change(struct settled *x, const struct port_config *p, struct problem *why)
{
    int err = settle_rules(x->st, why);

    if (!err)
        err = kernel_join_port(x->st, p, why);
    if (!err)
        err = settle_dhcp(x, switch_named(x->st, p->on), why);
    return err ? err : store_save(x->st, x->folder, why);
}

int switch_port_set(const char *folder, const struct port_config *want, struct problem *why)
{
    struct port_config old, p = *want, *slot;
    struct problem ignored;
    struct settled x;
    int err = settle_begin(&x, folder, why);

    if (err)
        return err;
    slot = store_port(x.st, want->name);
    if (slot) {
        old = *slot;
        p.id = old.id;
        p.one_queue = old.one_queue;
        p.user = old.user;
        p.owner = old.owner;
        p.owner_start = old.owner_start;
        memcpy(p.on, old.on, sizeof(p.on));
        err = check_port(x.st, &p, why);
    } else {
        err = problem_set(why, -ENOENT, "'%.40s': there is no such port", want->name);
    }
    if (!err) {
        *slot = p;
        err = change(&x, &p, why);
        if (err) {
            *slot = old;
            (void)change(&x, &old, &ignored);
        }
    }
    settle_end(&x);
    return err;
}
