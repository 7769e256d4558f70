/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "lib/bits.h"
#include "vmms/switch/switch_priv.h"

/*
 * Three tables of one name, one for each family that nftables needs, replaced together:
 *   bridge  what a guest may send, who may talk to the host, limits, which addresses were seen
 *   inet    what the host forwards, and the NAT
 *   netdev  mirrors: a copy at the tap, before guards and limits
 */

/* nftables lets one second's worth pass at once, and this more: with segmentation offload a frame
 * is as long as 64 KiB, and at a low rate it would never pass. */
#define BURST 262144u

const char rules_none[] = "add table bridge bhswitch\ndelete table bridge bhswitch\n"
                          "add table inet bhswitch\ndelete table inet bhswitch\n"
                          "add table netdev bhswitch\ndelete table netdev bhswitch\n";

struct rules {
    FILE *f;
    const struct switch_store *st;
    const struct seen_list *seen;
};

/* Addresses that nobody but their holder may use: the host's and the fixed ones of other ports. */
static unsigned claimed(const struct rules *r, const struct switch_config *s,
                        const struct port_config *p, bool print)
{
    unsigned n = 0;
    char text[16];

    if (s->subnet.prefix) {
        address_text(text, subnet_host(&s->subnet));
        if (print)
            (void)fprintf(r->f, "%s", text);
        n++;
    }
    for (unsigned k = 0; k < r->st->ports; k++) {
        const struct port_config *o = &r->st->port[k];

        if (o == p || !o->address || strcmp(o->on, p->on) != 0)
            continue;
        address_text(text, o->address);
        if (print)
            (void)fprintf(r->f, "%s%s", n ? ", " : "", text);
        n++;
    }
    return n;
}

static void address_guard(const struct rules *r, const struct switch_config *s,
                          const struct port_config *p)
{
    static const char *const field[] = {"arp saddr ip", "ip saddr"};
    char text[16];

    address_text(text, p->address);
    for (unsigned k = 0; k < ARRAY_SIZE(field); k++) {
        if (p->address) {
            (void)fprintf(r->f, "  %s != { 0.0.0.0, %s } counter drop\n", field[k], text);
        } else if (claimed(r, s, p, false)) {
            (void)fprintf(r->f, "  %s { ", field[k]);
            (void)claimed(r, s, p, true);
            (void)fputs(" } counter drop\n", r->f);
        }
    }
}

static void mac_guard(const struct rules *r, const struct port_config *p)
{
    char text[18];

    mac_text(text, &p->mac);
    (void)fprintf(r->f,
                  "  ether saddr != %s counter drop\n"
                  "  arp saddr ether != %s counter drop\n",
                  text, text);
}

/*
 * In a later fragment there are no ports and types, but some kernels look for them there all the
 * same: each rule says that it is for whole packets and first fragments.
 */
#define FIRST_4      "  ip frag-off & 0x1fff == 0 "
#define WHOLE_6      "  meta protocol ip6 exthdr frag missing "
#define FIRST_6      "  meta protocol ip6 frag frag-off 0 "
#define EACH_6(rule) WHOLE_6 rule " counter drop\n" FIRST_6 rule " counter drop\n"
#define EACH_4(rule) FIRST_4 rule " counter drop\n"

/* A client listens on its port whoever sends from whichever: both ports count. */
static const char dhcp_guard[] =
    EACH_4("udp dport 68") EACH_4("udp sport 67") EACH_6("udp dport 546") EACH_6("udp sport 547");

/* The last one: an advertisement can hide behind headers in the first of some fragments. Hosts
 * must not take those (RFC 6980), and nobody else sends fragments to the whole link. */
static const char router_guard[] = EACH_6("icmpv6 type { nd-router-advert, nd-redirect }")
    EACH_4("icmp type redirect") "  ip6 daddr ff02::/16 exthdr frag exists counter drop\n";

/* Frames to the bridge itself (spanning tree and the like), and tags inside of tags, which would
 * hide what the other guards look for. The bridge takes the outer tag off before it asks. */
static void frame_guard(const struct rules *r, const struct port_config *p)
{
    (void)fputs("  ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 counter drop\n"
                "  meta protocol { 8021q, 8021ad } counter drop\n",
                r->f);
    if (p->vlan_mode != VLAN_TRUNK)
        (void)fputs("  ether type { 8021q, 8021ad } counter drop\n", r->f);
}

static void limit(const struct rules *r, const struct port_config *p)
{
    uint64_t rate = p->sent_max_bps / 8;

    if (rate)
        (void)fprintf(r->f,
                      "  limit rate over %" PRIu64 " bytes/second burst %u bytes counter drop\n",
                      rate, BURST);
}

static void learn(const struct rules *r, unsigned id)
{
    (void)fprintf(r->f,
                  "  arp saddr ip != 0.0.0.0 update @bhp%u_4 { arp saddr ip }\n"
                  "  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 saddr != :: "
                  "update @bhp%u_6 { ip6 saddr }\n",
                  id, id);
}

static void port_chain(const struct rules *r, const struct port_config *p)
{
    const struct switch_config *s = switch_named(r->st, p->on);

    (void)fprintf(r->f, " chain bhp%u {\n", p->id);
    frame_guard(r, p);
    if (!p->may_spoof_mac)
        mac_guard(r, p);
    if (!p->may_serve_dhcp)
        (void)fputs(dhcp_guard, r->f);
    if (!p->may_route)
        (void)fputs(router_guard, r->f);
    if (!p->may_spoof_address)
        address_guard(r, s, p);
    limit(r, p);
    learn(r, p->id);
    (void)fputs(" }\n", r->f);
}

/* What was seen lives on in the new table. */
static void seen_set(const struct rules *r, unsigned id, int family)
{
    unsigned n = 0;

    (void)fprintf(r->f,
                  " set bhp%u_%c { type ipv%c_addr; size %d; flags dynamic,timeout; "
                  "timeout %ds;",
                  id, family == AF_INET ? '4' : '6', family == AF_INET ? '4' : '6', SEEN_PER_PORT,
                  SEEN_S);
    for (unsigned k = 0; k < r->seen->n && n < SEEN_PER_PORT; k++) {
        const struct seen *e = &r->seen->at[k];
        char text[INET6_ADDRSTRLEN];

        if (e->port_id != id || e->family != family || e->expires_s == 0 || e->expires_s > SEEN_S ||
            !inet_ntop(family, e->address, text, sizeof(text)))
            continue;
        (void)fprintf(r->f, "%s%s timeout %ds expires %us", n++ ? ", " : " elements = { ", text,
                      SEEN_S, e->expires_s);
    }
    (void)fputs(n ? " }; }\n" : " }\n", r->f);
}

static bool host_shut_out(const struct switch_config *s)
{
    return s->kind == SWITCH_PRIVATE || (s->kind == SWITCH_EXTERNAL && !s->host);
}

/* Links through which the host is not to be reached, nor reaches anybody. */
static unsigned shut_out(const struct rules *r, bool print)
{
    unsigned n = 0;

    for (unsigned k = 0; k < r->st->ports; k++) {
        const struct port_config *p = &r->st->port[k];

        if (!host_shut_out(switch_named(r->st, p->on)))
            continue;
        if (print)
            (void)fprintf(r->f, "%s\"bhp%u\"", n ? ", " : "", p->id);
        n++;
    }
    for (unsigned k = 0; k < r->st->switches; k++) {
        const struct switch_config *s = &r->st->sw[k];

        if (!host_shut_out(s) || !s->nic[0])
            continue;
        if (print)
            (void)fprintf(r->f, "%s\"%s\"", n ? ", " : "", s->nic);
        n++;
    }
    return n;
}

static void host_chain(const struct rules *r, const char *hook, const char *field)
{
    if (!shut_out(r, false))
        return;
    (void)fprintf(r->f, " chain %s { type filter hook %s priority 0; policy accept; %s { ", hook,
                  hook, field);
    (void)shut_out(r, true);
    (void)fputs(" } counter drop; }\n", r->f);
}

static void bridge_table(const struct rules *r)
{
    (void)fputs("table bridge bhswitch {\n", r->f);
    for (unsigned k = 0; k < r->st->ports; k++) {
        seen_set(r, r->st->port[k].id, AF_INET);
        seen_set(r, r->st->port[k].id, AF_INET6);
        port_chain(r, &r->st->port[k]);
    }
    (void)fputs(" chain prerouting { type filter hook prerouting priority -300; policy accept;",
                r->f);
    if (r->st->ports)
        (void)fputs(" iifname vmap { ", r->f);
    for (unsigned k = 0; k < r->st->ports; k++)
        (void)fprintf(r->f, "%s\"bhp%u\" : jump bhp%u", k ? ", " : "", r->st->port[k].id,
                      r->st->port[k].id);
    (void)fputs(r->st->ports ? " }; }\n" : " }\n", r->f);
    host_chain(r, "input", "iifname");
    host_chain(r, "output", "oifname");
    (void)fputs("}\n", r->f);
}

/* Where br_netfilter is loaded, frames inside of a bridge come by too: they have it on both
 * sides. */
static void forward_rules(const struct rules *r, const struct switch_config *s)
{
    char subnet[20];

    if (s->kind == SWITCH_EXTERNAL && s->host)
        return;
    (void)fprintf(r->f, "  iifname \"bhs%u\" oifname \"bhs%u\" accept\n", s->id, s->id);
    if (s->kind != SWITCH_NAT) {
        (void)fprintf(r->f, "  iifname \"bhs%u\" drop\n  oifname \"bhs%u\" drop\n", s->id, s->id);
        return;
    }
    subnet_text(subnet, &s->subnet);
    (void)fprintf(r->f,
                  "  iifname \"bhs%u\" ip saddr != %s drop\n"
                  "  iifname \"bhs%u\" meta nfproto ipv6 drop\n"
                  "  oifname \"bhs%u\" ct state != { established, related } drop\n",
                  s->id, subnet, s->id, s->id);
}

/* The host was no router before; it is one for these switches only. */
static void only_ours(const struct rules *r)
{
    unsigned n = 0;

    for (unsigned k = 0; k < r->st->switches; k++)
        if (r->st->sw[k].kind == SWITCH_NAT)
            (void)fprintf(r->f, "%s\"bhs%u\"", n++ ? ", " : "  meta nfproto ipv4 iifname != { ",
                          r->st->sw[k].id);
    if (n)
        (void)fputs(" } ct state != { established, related } drop\n", r->f);
}

static void inet_table(const struct rules *r)
{
    (void)fputs("table inet bhswitch {\n chain forward { type filter hook forward priority 0; "
                "policy accept;\n",
                r->f);
    for (unsigned k = 0; k < r->st->switches; k++)
        forward_rules(r, &r->st->sw[k]);
    if (r->st->forwarding_was_off)
        only_ours(r);
    (void)fputs(" }\n chain postrouting { type nat hook postrouting priority 100; "
                "policy accept;\n",
                r->f);
    for (unsigned k = 0; k < r->st->switches; k++) {
        const struct switch_config *s = &r->st->sw[k];
        char subnet[20];

        if (s->kind != SWITCH_NAT)
            continue;
        subnet_text(subnet, &s->subnet);
        (void)fprintf(r->f, "  ip saddr %s oifname != \"bhs%u\" masquerade\n", subnet, s->id);
    }
    (void)fputs(" }\n}\n", r->f);
}

static void mirror_chain(const struct rules *r, const struct port_config *p, const char *hook,
                         const char *word)
{
    const struct port_config *to = switch_port_named(r->st, p->mirror_to);

    if (to)
        (void)fprintf(r->f,
                      " chain %s_bhp%u { type filter hook %s device \"bhp%u\" priority -300; "
                      "policy accept; dup to \"bhp%u\"; }\n",
                      word, p->id, hook, p->id, to->id);
}

static void netdev_table(const struct rules *r)
{
    (void)fputs("table netdev bhswitch {\n", r->f);
    for (unsigned k = 0; k < r->st->ports; k++) {
        const struct port_config *p = &r->st->port[k];

        if (p->mirror & MIRROR_SENT)
            mirror_chain(r, p, "ingress", "sent");
        if (p->mirror & MIRROR_RECEIVED)
            mirror_chain(r, p, "egress", "received");
    }
    (void)fputs("}\n", r->f);
}

char *rules_format(const struct switch_store *st, const struct seen_list *seen)
{
    char *text = NULL;
    size_t size;
    struct rules r = {.f = open_memstream(&text, &size), .st = st, .seen = seen};

    if (!r.f)
        return NULL;
    (void)fputs(rules_none, r.f);
    if (st->switches) {
        bridge_table(&r);
        inet_table(&r);
        netdev_table(&r);
    }
    if (fclose(r.f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
