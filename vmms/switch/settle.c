/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

int settle_rules(const struct switch_store *st, struct problem *why)
{
    struct seen_list seen = {0};
    char *text;
    int err;

    (void)nft_seen(&seen); /* without it, addresses are learnt anew */
    text = rules_format(st, &seen);
    err = text ? nft_apply(text, why) : problem_set(why, -ENOMEM, "%s", strerror(ENOMEM));
    free(text);
    free(seen.at);
    return err;
}

int settle_dhcp(const struct settled *s, const struct switch_config *sw, struct problem *why)
{
    return sw->dhcp ? dnsmasq_ensure(s->folder, s->st, sw, why) : 0;
}

static unsigned forget_ports(struct switch_store *st)
{
    unsigned n = 0;

    for (unsigned k = st->ports; k-- > 0;) {
        struct port_config p = st->port[k];
        char tap[IFNAMSIZ];

        switch_tap_name(tap, &p);
        if (kernel_has(tap) && !owner_gone(&p))
            continue;
        kernel_remove_port(&p);
        store_remove_port(st, p.name);
        n++;
    }
    return n;
}

static int make_again(const struct settled *s, const struct switch_config *sw, struct problem *why)
{
    int err;

    kernel_remove_switch(sw); /* what there is of it */
    err = kernel_make_switch(sw, why);
    for (unsigned k = 0; k < s->st->ports && !err; k++)
        if (strcmp(s->st->port[k].on, sw->name) == 0)
            err = kernel_join_port(s->st, &s->st->port[k], why);
    return err ? err : settle_dhcp(s, sw, why);
}

/* One that cannot be made (its card may be missing) does not keep others from being changed;
 * switch_clean() tells of it. */
static unsigned make_switches(const struct settled *s)
{
    struct problem ignored;
    unsigned n = 0;

    for (unsigned k = 0; k < s->st->switches; k++)
        if (!kernel_has_switch(&s->st->sw[k]))
            n += make_again(s, &s->st->sw[k], &ignored) == 0;
    return n;
}

static int settle(struct settled *s, struct problem *why)
{
    int err = 0;

    s->done.ports_forgotten = forget_ports(s->st);
    s->done.switches_made = make_switches(s);
    if (s->done.switches_made)
        err = kernel_forwarding(s->st, why);
    if (!err && (s->done.ports_forgotten || s->done.switches_made))
        err = settle_rules(s->st, why);
    if (!err && (s->done.ports_forgotten || s->done.switches_made))
        err = store_save(s->st, s->folder, why);
    return err;
}

int settle_begin(struct settled *s, const char *folder, struct problem *why)
{
    int err = store_lock(&s->lock, folder, why);

    if (err)
        return err;
    s->folder = folder;
    s->done = (struct clean_report){0};
    err = switch_load(&s->st, folder, why);
    if (!err) {
        err = settle(s, why);
        if (err)
            free(s->st);
    }
    if (err)
        store_unlock(&s->lock);
    return err;
}

void settle_end(struct settled *s)
{
    free(s->st);
    store_unlock(&s->lock);
}

static int clean(struct settled *s, struct problem *why)
{
    int err = kernel_remove_strays(s->st, &s->done.links_removed);

    if (err)
        return problem_set(why, err, "netlink: %s", strerror(-err));
    dnsmasq_stop_strays(s->folder, s->st);
    err = kernel_forwarding(s->st, why);
    if (!err)
        err = settle_rules(s->st, why);
    if (!err)
        err = store_save(s->st, s->folder, why);
    for (unsigned k = 0; k < s->st->switches && !err; k++) {
        if (!kernel_has_switch(&s->st->sw[k]))
            err = make_again(s, &s->st->sw[k], why);
        if (!err)
            err = settle_dhcp(s, &s->st->sw[k], why);
    }
    for (unsigned k = 0; k < s->st->ports && !err; k++)
        err = kernel_join_port(s->st, &s->st->port[k], why);
    return err;
}

int switch_clean(const char *folder, struct clean_report *report, struct problem *why)
{
    struct settled s;
    int err = settle_begin(&s, folder, why);

    if (err)
        return err;
    err = clean(&s, why);
    *report = s.done;
    settle_end(&s);
    return err;
}
