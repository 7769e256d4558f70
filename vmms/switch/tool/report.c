/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include "lib/bits.h"
#include "vmms/switch/tool/tool.h"

void report_print(json_t *j)
{
    (void)json_dumpf(j, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(j);
}

json_t *report_switch(const struct switch_config *s)
{
    char bridge[IFNAMSIZ], mac[18], subnet[20], host[16];
    json_t *j;

    switch_bridge_name(bridge, s);
    mac_text(mac, &s->mac);
    j = json_pack("{s:s, s:s, s:s, s:s, s:i, s:b}", "name", s->name, "kind", kind_text(s->kind),
                  "bridge", bridge, "mac", mac, "mtu", (int)s->mtu, "dhcp", s->dhcp);
    if (s->nic[0]) {
        (void)json_object_set_new(j, "nic", json_string(s->nic));
        (void)json_object_set_new(j, "host", json_boolean(s->host));
    }
    if (s->subnet.prefix) {
        subnet_text(subnet, &s->subnet);
        address_text(host, subnet_host(&s->subnet));
        (void)json_object_set_new(j, "subnet", json_string(subnet));
        (void)json_object_set_new(j, "host_address", json_string(host));
    }
    return j;
}

static json_t *vlan_report(const struct port_config *p)
{
    char trunk[VLAN_MAX * 5];

    if (p->vlan_mode == VLAN_UNTAGGED)
        return json_null();
    if (p->vlan_mode == VLAN_ACCESS)
        return json_pack("{s:i}", "access", (int)p->vlan);
    vlans_text(trunk, sizeof(trunk), &p->trunk);
    return json_pack("{s:s, s:i}", "trunk", trunk, "native", (int)p->vlan);
}

static json_t *guards_report(const struct port_config *p)
{
    return json_pack("{s:b, s:b, s:b, s:b}", "mac", !p->may_spoof_mac, "dhcp", !p->may_serve_dhcp,
                     "router", !p->may_route, "address", !p->may_spoof_address);
}

static json_t *learnt_report(const struct learnt *l)
{
    static const char *const words[] = {"fixed", "dhcp", "seen", "neighbour"};
    json_t *by = json_array();
    char text[INET6_ADDRSTRLEN];

    for (unsigned k = 0; k < ARRAY_SIZE(words); k++)
        if (l->by >> k & 1)
            (void)json_array_append_new(by, json_string(words[k]));
    (void)inet_ntop(l->family, l->address, text, sizeof(text));
    return json_pack("{s:s, s:o}", "address", text, "by", by);
}

static json_t *addresses_report(const struct switch_store *st, const struct port_config *p)
{
    struct learnt l[LEARNT_MAX];
    int n = switch_learnt(tool_folder, st, p, l);
    json_t *all = json_array();

    for (int k = 0; k < n; k++)
        (void)json_array_append_new(all, learnt_report(&l[k]));
    return all;
}

json_t *report_port(const struct switch_store *st, const struct port_config *p)
{
    static const char *const mirrors[] = {"none", "sent", "received", "both"};
    char tap[IFNAMSIZ], mac[18];

    switch_tap_name(tap, p);
    mac_text(mac, &p->mac);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:s, s:s, s:b, s:I}", "name",
                     p->name, "switch", p->on, "tap", tap, "mac", mac, "addresses",
                     addresses_report(st, p), "vlan", vlan_report(p), "guards", guards_report(p),
                     "max_sent_bps", (json_int_t)p->sent_max_bps, "max_received_bps",
                     (json_int_t)p->received_max_bps, "mirror", mirrors[p->mirror & 3], "mirror_to",
                     p->mirror_to, "isolated", p->isolated, "owner", (json_int_t)p->owner);
}
