/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include "shim_switch.h"

static const struct seen_list nothing;

/* The part of the rules between two texts. */
static char *part(const char *rules, const char *from, const char *to)
{
    const char *a = strstr(rules, from), *b = a ? strstr(a, to) : NULL;

    assert_non_null(a);
    assert_non_null(b);
    return strndup(a, (size_t)(b - a));
}

static void want(const char *rules, const char *from, const char *line, bool there)
{
    char *text = part(rules, from, "\n }");

    if ((strstr(text, line) != NULL) != there)
        fail_msg("%s: '%s' is %s", from, line, there ? "missing" : "there");
    free(text);
}

static void guards(void **state)
{
    struct switch_store *st = shim_store();
    char *rules = rules_format(st, &nothing), mac[18], line[64];

    mac_text(mac, &st->port[0].mac);
    (void)snprintf(line, sizeof(line), "\n  ether saddr != %s counter drop", mac);
    want(rules, "chain bhp0 {", line, true);
    (void)snprintf(line, sizeof(line), "\n  arp saddr ether != %s counter drop", mac);
    want(rules, "chain bhp0 {", line, true);
    want(rules, "chain bhp0 {", "ip frag-off & 0x1fff == 0 udp dport 68 counter drop", true);
    want(rules, "chain bhp0 {", "nd-router-advert", true);
    want(rules, "chain bhp0 {", "arp saddr ip != { 0.0.0.0, 172.28.0.5 } counter drop", true);
    want(rules, "chain bhp0 {", "\n  ip saddr != { 0.0.0.0, 172.28.0.5 } counter drop", true);
    want(rules, "chain bhp0 {", "ether type", true);
    free(rules);
    st->port[0].may_spoof_mac = st->port[0].may_serve_dhcp = true;
    st->port[0].may_route = st->port[0].may_spoof_address = true;
    st->port[0].vlan_mode = VLAN_TRUNK;
    rules = rules_format(st, &nothing);
    want(rules, "chain bhp0 {", "ether saddr !=", false);
    want(rules, "chain bhp0 {", "saddr ether !=", false);
    want(rules, "chain bhp0 {", "udp", false);
    want(rules, "chain bhp0 {", "nd-router-advert", false);
    want(rules, "chain bhp0 {", "saddr ip != {", false);
    want(rules, "chain bhp0 {", "ether type", false);
    want(rules, "chain bhp0 {", "meta protocol { 8021q, 8021ad }", true);
    free(rules);
    free(st);
}

/* Who has no fixed address may have any but those of others. */
static void claimed_addresses(void **state)
{
    struct switch_store *st = shim_store();
    char *rules;

    st->port[0].address = 0;
    rules = rules_format(st, &nothing);
    want(rules, "chain bhp0 {", "arp saddr ip { 172.28.0.1, 172.28.0.6 } counter drop", true);
    want(rules, "chain bhp2 {", "arp saddr ip {", false);
    free(rules);
    free(st);
}

static void hosts_shut_out(void **state)
{
    struct switch_store *st = shim_store();
    char *rules = rules_format(st, &nothing);

    want(rules, "chain forward", "oifname \"bhs0\" ct state != { established, related } drop",
         true);
    want(rules, "chain forward", "iifname \"bhs1\" drop", true);
    want(rules, "chain forward", "meta nfproto ipv4 iifname != {", false);
    want(rules, "chain postrouting", "ip saddr 172.28.0.0/24 oifname != \"bhs0\" masquerade", true);
    assert_non_null(strstr(rules, "hook input priority 0; policy accept; iifname { \"bhp2\" }"));
    assert_non_null(strstr(rules, "hook output priority 0; policy accept; oifname { \"bhp2\" }"));
    free(rules);
    st->sw[1].kind = SWITCH_EXTERNAL;
    (void)strcpy(st->sw[1].nic, "eth1");
    st->forwarding_was_off = true;
    rules = rules_format(st, &nothing);
    assert_non_null(strstr(rules, "iifname { \"bhp2\", \"eth1\" }"));
    want(rules, "chain forward", "meta nfproto ipv4 iifname != { \"bhs0\" }", true);
    free(rules);
    st->sw[1].host = true;
    rules = rules_format(st, &nothing);
    assert_null(strstr(rules, "hook input"));
    want(rules, "chain forward", "bhs1", false);
    free(rules);
    free(st);
}

static void limits_and_mirrors(void **state)
{
    struct switch_store *st = shim_store();
    char *rules;

    st->port[0].sent_max_bps = 8000000;
    st->port[1].sent_max_bps = RATE_MAX;
    st->port[0].mirror = MIRROR_RECEIVED;
    (void)strcpy(st->port[0].mirror_to, "b");
    rules = rules_format(st, &nothing);
    want(rules, "chain bhp0 {", "limit rate over 1000000 bytes/second burst 262144 bytes", true);
    want(rules, "chain bhp1 {", "limit rate over 12500000000 bytes/second burst 262144", true);
    assert_non_null(strstr(rules, "chain received_bhp0 { type filter hook egress device \"bhp0\""));
    assert_non_null(strstr(rules, "dup to \"bhp1\""));
    assert_null(strstr(rules, "chain sent_bhp0"));
    free(rules);
    free(st);
}

static const char sets[] =
    "{\"nftables\": [{\"metainfo\": {}}, {\"set\": {\"family\": \"bridge\", \"name\": \"bhp0_4\","
    "\"table\": \"bhswitch\", \"elem\": [{\"elem\": {\"val\": \"10.0.0.1\", \"expires\": 99}},"
    "{\"elem\": {\"val\": \"10.0.0.2\", \"expires\": 0}}, {\"elem\": {\"val\": \"x\","
    "\"expires\": 9}}, 5]}}, {\"set\": {\"name\": \"bhp1_6\", \"table\": \"bhswitch\","
    "\"elem\": [{\"elem\": {\"val\": \"fd00::1\", \"expires\": 1800}}]}},"
    "{\"set\": {\"name\": \"bhp1_6\", \"table\": \"other\","
    "\"elem\": [{\"elem\": {\"val\": \"fd00::2\", \"expires\": 9}}]}},"
    "{\"set\": {\"name\": \"bhp_4\", \"table\": \"bhswitch\"}}, {\"set\": 7}]}";

/* What the kernel saw is read back, and stands in the next rules with the time that is left. */
static void seen_again(void **state)
{
    struct switch_store *st = shim_store();
    struct seen_list list;
    char *rules;

    assert_int_equal(seen_parse(&list, sets, strlen(sets)), 0);
    assert_int_equal(list.n, 2);
    assert_int_equal(list.at[0].port_id, 0);
    assert_int_equal(list.at[0].expires_s, 99);
    assert_int_equal(list.at[1].family, AF_INET6);
    rules = rules_format(st, &list);
    assert_non_null(strstr(rules, "elements = { 10.0.0.1 timeout 1800s expires 99s }; }"));
    assert_non_null(strstr(rules, "elements = { fd00::1 timeout 1800s expires 1800s }; }"));
    free(rules);
    free(list.at);
    assert_int_equal(seen_parse(&list, sets, 30), -EINVAL);
    assert_int_equal(seen_parse(&list, "[]", 2), 0);
    assert_int_equal(list.n, 0);
    free(st);
}

/* Without switches, nothing of ours is left in the kernel. */
static void nothing_left(void **state)
{
    struct switch_store *st = calloc(1, sizeof(*st));
    char *rules = rules_format(st, &nothing);

    assert_string_equal(rules, rules_none);
    free(rules);
    free(st);
}

static void dhcp_files(void **state)
{
    struct switch_store *st = shim_store();
    char *text = dnsmasq_config("/s", &st->sw[0], "nobody");

    assert_non_null(strstr(text, "dhcp-range=172.28.0.192,172.28.0.254,255.255.255.0,1h\n"));
    assert_non_null(strstr(text, "interface=bhs0\n"));
    assert_null(strstr(text, "option:router"));
    free(text);
    (void)strcpy(st->port[0].name, "vm_1.x-");
    text = dnsmasq_hosts(st, &st->sw[0]);
    assert_non_null(strstr(text, ",172.28.0.5,vm-1-x\n"));
    assert_non_null(strstr(text, ",172.28.0.6,b\n"));
    free(text);
    st->sw[0].kind = SWITCH_INTERNAL;
    st->sw[0].mtu = 9000;
    text = dnsmasq_config("/s", &st->sw[0], "nobody");
    assert_non_null(strstr(text, "dhcp-option=option:mtu,9000\n"));
    assert_non_null(strstr(text, "dhcp-option=option:router\n"));
    free(text);
    free(st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guards),         cmocka_unit_test(claimed_addresses),
        cmocka_unit_test(hosts_shut_out), cmocka_unit_test(limits_and_mirrors),
        cmocka_unit_test(seen_again),     cmocka_unit_test(nothing_left),
        cmocka_unit_test(dhcp_files)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
