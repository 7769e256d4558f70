/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

#define STORE_VERSION 1

/* ---- writing ---- */

static json_t *format_switch(const struct switch_config *s)
{
    char mac[18], subnet[20];

    mac_text(mac, &s->mac);
    subnet_text(subnet, &s->subnet);
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:b, s:b, s:s, s:i}", "name", s->name, "kind",
                     kind_text(s->kind), "id", (int)s->id, "mac", mac, "nic", s->nic, "host",
                     s->host, "dhcp", s->dhcp, "subnet", s->subnet.prefix ? subnet : "", "mtu",
                     (int)s->mtu);
}

static json_t *format_port(const struct port_config *p)
{
    char mac[18], address[16], trunk[VLAN_MAX * 5];

    mac_text(mac, &p->mac);
    address_text(address, p->address);
    vlans_text(trunk, sizeof(trunk), &p->trunk);
    return json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:i, s:i, s:s, s:I, s:I, s:s, s:i, s:b, s:b, s:b, s:b, s:b, "
        "s:b, s:I, s:I, s:I}",
        "name", p->name, "switch", p->on, "id", (int)p->id, "mac", mac, "address", address,
        "vlan_mode", (int)p->vlan_mode, "vlan", (int)p->vlan, "trunk", trunk, "sent_max",
        (json_int_t)p->sent_max_bps, "received_max", (json_int_t)p->received_max_bps, "mirror_to",
        p->mirror_to, "mirror", (int)p->mirror, "isolated", p->isolated, "may_spoof_mac",
        p->may_spoof_mac, "may_serve_dhcp", p->may_serve_dhcp, "may_route", p->may_route,
        "may_spoof_address", p->may_spoof_address, "one_queue", p->one_queue, "user",
        (json_int_t)p->user, "owner", (json_int_t)p->owner, "owner_start",
        (json_int_t)p->owner_start);
}

/* json_array_append_new() takes NULL as a failure. */
char *store_format(const struct switch_store *st)
{
    json_t *switches = json_array(), *ports = json_array(), *root;
    bool bad = false;
    char *text = NULL;

    for (unsigned k = 0; k < st->switches; k++)
        bad |= json_array_append_new(switches, format_switch(&st->sw[k])) < 0;
    for (unsigned k = 0; k < st->ports; k++)
        bad |= json_array_append_new(ports, format_port(&st->port[k])) < 0;
    root = json_pack("{s:i, s:b, s:o, s:o}", "version", STORE_VERSION, "forwarding_was_off",
                     st->forwarding_was_off, "switches", switches, "ports", ports);
    if (!bad && root)
        text = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    return text;
}

/* ---- reading ---- */

static bool copy(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);

    if (n >= size)
        return false;
    memcpy(out, text, n + 1);
    return true;
}

static bool parse_switch(struct switch_config *s, json_t *j)
{
    const char *name, *kind, *mac, *nic, *subnet;
    int id, host, dhcp, mtu;

    if (json_unpack(j, "{s:s, s:s, s:i, s:s, s:s, s:b, s:b, s:s, s:i}", "name", &name, "kind",
                    &kind, "id", &id, "mac", &mac, "nic", &nic, "host", &host, "dhcp", &dhcp,
                    "subnet", &subnet, "mtu", &mtu) < 0)
        return false;
    *s = (struct switch_config){
        .id = (unsigned)id, .host = host, .dhcp = dhcp, .mtu = (uint32_t)mtu};
    return copy(s->name, sizeof(s->name), name) && copy(s->nic, sizeof(s->nic), nic) &&
           kind_parse(kind, &s->kind) && mac_parse(mac, &s->mac) && id >= 0 && mtu > 0 &&
           id < SWITCHES_MAX && (!*subnet || subnet_parse(subnet, &s->subnet));
}

struct port_text {
    const char *name, *on, *mac, *address, *trunk, *mirror_to;
    int id, mode, vlan, mirror, isolated, mac_free, dhcp, route, address_free, one_queue;
    json_int_t sent, received, user, owner, start;
};

static bool unpack_port(struct port_text *t, json_t *j)
{
    return json_unpack(
               j,
               "{s:s, s:s, s:i, s:s, s:s, s:i, s:i, s:s, s:I, s:I, s:s, s:i, s:b, s:b, s:b, s:b, "
               "s:b, s:b, s:I, s:I, s:I}",
               "name", &t->name, "switch", &t->on, "id", &t->id, "mac", &t->mac, "address",
               &t->address, "vlan_mode", &t->mode, "vlan", &t->vlan, "trunk", &t->trunk, "sent_max",
               &t->sent, "received_max", &t->received, "mirror_to", &t->mirror_to, "mirror",
               &t->mirror, "isolated", &t->isolated, "may_spoof_mac", &t->mac_free,
               "may_serve_dhcp", &t->dhcp, "may_route", &t->route, "may_spoof_address",
               &t->address_free, "one_queue", &t->one_queue, "user", &t->user, "owner", &t->owner,
               "owner_start", &t->start) == 0;
}

static bool numbers_sound(const struct port_text *t)
{
    return t->id >= 0 && t->id < 0xFFFFFF && t->mode >= 0 && t->mode < VLAN_MODES && t->vlan >= 0 &&
           t->vlan <= VLAN_MAX && t->mirror >= 0 && t->mirror <= MIRROR_BOTH && t->sent >= 0 &&
           t->received >= 0 && t->user >= 0 && t->user <= UINT32_MAX && t->owner >= 0 &&
           t->owner <= INT32_MAX && t->start >= 0;
}

static bool parse_port(struct port_config *p, json_t *j)
{
    struct port_text t;

    if (!unpack_port(&t, j) || !numbers_sound(&t))
        return false;
    *p = (struct port_config){.id = (unsigned)t.id,
                              .vlan_mode = (enum vlan_mode)t.mode,
                              .vlan = (uint16_t)t.vlan,
                              .sent_max_bps = (uint64_t)t.sent,
                              .received_max_bps = (uint64_t)t.received,
                              .mirror = (enum mirror)t.mirror,
                              .isolated = t.isolated,
                              .may_spoof_mac = t.mac_free,
                              .may_serve_dhcp = t.dhcp,
                              .may_route = t.route,
                              .may_spoof_address = t.address_free,
                              .one_queue = t.one_queue,
                              .user = (uint32_t)t.user,
                              .owner = (pid_t)t.owner,
                              .owner_start = (uint64_t)t.start};
    return copy(p->name, sizeof(p->name), t.name) && copy(p->on, sizeof(p->on), t.on) &&
           copy(p->mirror_to, sizeof(p->mirror_to), t.mirror_to) && mac_parse(t.mac, &p->mac) &&
           address_parse(t.address, &p->address) && (!*t.trunk || vlans_parse(t.trunk, &p->trunk));
}

/* Names and ids are unique, and each thing fits all the others. */
static int check_all(const struct switch_store *st, struct problem *why)
{
    int err = 0;

    for (unsigned k = 0; k < st->switches && !err; k++) {
        err = check_switch(st, &st->sw[k], why);
        for (unsigned i = 0; i < k && !err; i++)
            if (strcmp(st->sw[i].name, st->sw[k].name) == 0 || st->sw[i].id == st->sw[k].id)
                err = problem_set(why, -EINVAL, "two switches are the same");
    }
    for (unsigned k = 0; k < st->ports && !err; k++) {
        err = check_port(st, &st->port[k], why);
        for (unsigned i = 0; i < k && !err; i++)
            if (strcmp(st->port[i].name, st->port[k].name) == 0 || st->port[i].id == st->port[k].id)
                err = problem_set(why, -EINVAL, "two ports are the same");
    }
    return err;
}

static int parse_all(struct switch_store *st, json_t *root, struct problem *why)
{
    json_t *switches, *ports;
    int version, was_off;

    if (json_unpack(root, "{s:i, s:b, s:o, s:o}", "version", &version, "forwarding_was_off",
                    &was_off, "switches", &switches, "ports", &ports) < 0 ||
        version != STORE_VERSION || json_array_size(switches) > SWITCHES_MAX ||
        json_array_size(ports) > PORTS_MAX)
        return problem_set(why, -EINVAL, "it is no store of switches of version %d", STORE_VERSION);
    st->forwarding_was_off = was_off;
    for (size_t k = 0; k < json_array_size(switches); k++)
        if (!parse_switch(&st->sw[st->switches++], json_array_get(switches, k)))
            return problem_set(why, -EINVAL, "switch %zu makes no sense", k);
    for (size_t k = 0; k < json_array_size(ports); k++)
        if (!parse_port(&st->port[st->ports++], json_array_get(ports, k)))
            return problem_set(why, -EINVAL, "port %zu makes no sense", k);
    return check_all(st, why);
}

int store_parse(struct switch_store *out, const char *text, size_t length, struct problem *why)
{
    struct switch_store *st = calloc(1, sizeof(*st));
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    int err = !st ? -ENOMEM : !root ? -EINVAL : 0;

    if (err)
        (void)problem_set(why, err, "%s", st ? "it is no JSON" : strerror(ENOMEM));
    else
        err = parse_all(st, root, why);
    if (!err)
        *out = *st;
    json_decref(root);
    free(st);
    return err;
}
