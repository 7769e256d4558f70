/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include "lib/bits.h"
#include "shim_switch.h"

static void macs(void **state)
{
    static const char *const bad[] = {"",
                                      "02:00:00:00:00",
                                      "02:00:00:00:00:0g",
                                      "2:0:0:0:0:1",
                                      "02:00:00:00:00:01:",
                                      "02-00-00-00-00-01"};
    struct mac m = {{9}};
    char text[18];

    for (unsigned k = 0; k < ARRAY_SIZE(bad); k++)
        assert_false(mac_parse(bad[k], &m));
    assert_int_equal(m.byte[0], 9);
    assert_true(mac_parse("02:aB:00:00:00:01", &m));
    mac_text(text, &m);
    assert_string_equal(text, "02:ab:00:00:00:01");
    assert_true(mac_usable(&m));
    m.byte[0] = 1;
    assert_false(mac_usable(&m));
}

static void addresses(void **state)
{
    static const char *const bad[] = {"",         "1.2.3",    "1.2.3.256",
                                      "1.2.3.4.", "1..2.3",   "a.b.c.d",
                                      " 1.2.3.4", "-1.2.3.4", "1.2.3.99999999999999999999"};
    static const char *const bad_nets[] = {"10.1.2.3/24", "10.0.0.0/7", "10.0.0.0/30",
                                           "127.0.0.0/8", "0.0.0.0/8",  "224.0.0.0/8",
                                           "10.0.0.0",    "10.0.0.0/x", "10.0.0.0/24 "};
    struct subnet s;
    uint32_t a = 7;
    char text[20];

    for (unsigned k = 0; k < ARRAY_SIZE(bad); k++)
        assert_false(address_parse(bad[k], &a));
    assert_int_equal(a, 7);
    assert_true(address_parse("172.28.0.5", &a));
    assert_int_equal(a, 0xAC1C0005);
    for (unsigned k = 0; k < ARRAY_SIZE(bad_nets); k++)
        assert_false(subnet_parse(bad_nets[k], &s));
    assert_true(subnet_parse("10.1.2.0/24", &s));
    subnet_text(text, &s);
    assert_string_equal(text, "10.1.2.0/24");
}

static void rates(void **state)
{
    static const struct {
        const char *text;
        uint64_t is;
    } good[] = {{"64000", 64000},   {"64K", 64000}, {"10M", 10000000},
                {"100G", RATE_MAX}, {"none", 0},    {"0", 0}};
    static const char *const bad[] = {
        "", "63999", "63K", "101G", "10m", "10MB", "-1", "1.5M", "999999999999999999999"};
    uint64_t v;

    for (unsigned k = 0; k < ARRAY_SIZE(good); k++) {
        assert_true(rate_parse(good[k].text, &v));
        assert_int_equal(v, good[k].is);
    }
    for (unsigned k = 0; k < ARRAY_SIZE(bad); k++)
        assert_false(rate_parse(bad[k], &v));
}

static void vlans(void **state)
{
    static const char *const bad[] = {"", "0", "4094", "5-4", "1,", ",1", "1-", "1-4094", "1 2"};
    struct vlan_set v;
    char text[VLAN_MAX * 5], small[6];

    for (unsigned k = 0; k < ARRAY_SIZE(bad); k++)
        assert_false(vlans_parse(bad[k], &v));
    assert_true(vlans_parse("10,20-29,4093,11", &v));
    assert_true(vlan_has(&v, 25) && vlan_has(&v, 4093));
    assert_false(vlan_has(&v, 30) || vlan_has(&v, 5000));
    vlans_text(text, sizeof(text), &v);
    assert_string_equal(text, "10-11,20-29,4093");
    vlans_text(small, sizeof(small), &v);
    assert_int_equal(strlen(small), 5);
    /* The longest there is: every second one. */
    v = (struct vlan_set){{0}};
    for (unsigned k = 1; k <= VLAN_MAX; k += 2)
        vlan_add(&v, k);
    vlans_text(text, sizeof(text), &v);
    assert_string_equal(text + strlen(text) - 4, "4093");
}

static void names(void **state)
{
    assert_true(name_good("a") && name_good("vm1.net_0-x"));
    assert_false(name_good("") || name_good("-a") || name_good(".a") || name_good("a b") ||
                 name_good("a/b") || name_good("a\"b") || name_good("\xc3\xa4"));
    assert_true(name_good("12345678901234567890123456789012"));
    assert_false(name_good("123456789012345678901234567890123"));
}

static void leases(void **state)
{
    static const char text[] = "1764330000 02:00:00:00:00:01 172.28.0.5 one 01:02\n"
                               "rubbish\n\n"
                               "1764330000 02:00:00:00:00:02 172.28.0.6 * *\n"
                               "duid 00:01:00:01\n"
                               "1764330000 1234 fd00::5 name 00:01\n"
                               "1764330000 02:00:00:00:00:03 172.28.0.7";
    struct lease l[4];

    assert_int_equal(lease_parse(l, 4, text), 3);
    assert_int_equal(l[1].address, 0xAC1C0006);
    assert_int_equal(l[2].mac.byte[5], 3);
    assert_int_equal(lease_parse(l, 2, text), 2);
}

/* A lease of what is another's by now is taken out, all else stays as it is. */
static void leases_filtered(void **state)
{
    struct switch_store *st = shim_store();
    static const char text[] = "1 02:00:00:00:00:09 172.28.0.5 old *\n"
                               "1 02:00:00:00:00:08 172.28.0.200 other *\nduid x\n";
    char *kept = lease_filter(text, st, &st->sw[0]);

    assert_string_equal(kept, "1 02:00:00:00:00:08 172.28.0.200 other *\nduid x\n");
    assert_null(lease_filter(kept, st, &st->sw[0]));
    free(kept);
    free(st);
}

static void processes(void **state)
{
    uint64_t v;

    assert_true(
        process_start_parse("5 (a) b) S 1 5 5 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 4711 9\n", &v));
    assert_int_equal(v, 4711);
    assert_false(process_start_parse("5 (a) S 1 5 5 0 -1 4 1 2", &v));
    assert_false(process_start_parse("", &v));
    assert_int_equal(process_start(1, &v), 0);
    assert_int_equal(process_start(-1, &v), -ESRCH);
}

static void command_lines(void **state)
{
    static const char good[] = "/usr/sbin/dnsmasq\0--conf-file=/s/bhs0.conf",
                      longer[] = "dnsmasq\0--conf-file=/s/bhs0.confx", alone[] = "dnsmasq",
                      other[] = "vi\0--conf-file=/s/bhs0.conf";

    assert_true(dnsmasq_is(good, sizeof(good), "/s/bhs0.conf"));
    assert_false(dnsmasq_is(good, sizeof(good), "/s/bhs1.conf"));
    assert_false(dnsmasq_is(good, sizeof(good) - 2, "/s/bhs0.conf"));
    assert_false(dnsmasq_is(longer, sizeof(longer), "/s/bhs0.conf"));
    assert_false(dnsmasq_is(other, sizeof(other), "/s/bhs0.conf"));
    assert_false(dnsmasq_is(alone, sizeof(alone), "/s/bhs0.conf"));
    assert_false(dnsmasq_is(alone, 0, "/s/bhs0.conf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(macs),         cmocka_unit_test(addresses),
        cmocka_unit_test(rates),        cmocka_unit_test(vlans),
        cmocka_unit_test(names),        cmocka_unit_test(leases),
        cmocka_unit_test(processes),    cmocka_unit_test(leases_filtered),
        cmocka_unit_test(command_lines)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
