/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "shim_switch.h"

static void round_trip(void **state)
{
    struct switch_store *st = shim_store(), *back = calloc(1, sizeof(*back));
    struct port_config *b = &st->port[1];
    struct problem why;
    char *text, *again;

    b->vlan_mode = VLAN_TRUNK;
    b->vlan = 7;
    assert_true(vlans_parse("10,20-29", &b->trunk));
    b->sent_max_bps = RATE_MAX;
    b->received_max_bps = RATE_MIN;
    b->mirror = MIRROR_SENT;
    (void)strcpy(b->mirror_to, "a");
    b->isolated = b->may_route = b->one_queue = true;
    b->owner = 42;
    b->owner_start = 4711;
    b->user = UINT32_MAX;
    st->forwarding_was_off = true;
    text = store_format(st);
    assert_int_equal(store_parse(back, text, strlen(text), &why), 0);
    again = store_format(back);
    assert_string_equal(text, again);
    assert_int_equal(back->port[1].owner_start, 4711);
    assert_true(back->port[1].may_route && !back->port[1].may_spoof_mac);
    free(text);
    free(again);
    free(st);
    free(back);
}

/* Whatever byte is missing or another, the store is refused or still makes sense. */
static void damaged(void **state)
{
    struct switch_store *st = shim_store(), *back = calloc(1, sizeof(*back));
    char *text = store_format(st);
    size_t n = strlen(text);
    struct problem why;

    for (size_t k = 0; k < n; k++) {
        char was = text[k];

        assert_int_equal(store_parse(back, text, k, &why), -EINVAL);
        assert_int_equal(back->switches, 0);
        text[k] ^= 1;
        if (store_parse(back, text, n, &why) == 0)
            memset(back, 0, sizeof(*back));
        text[k] = was;
    }
    free(text);
    free(st);
    free(back);
}

static void refuse_port(struct switch_store *st, const struct port_config *p, int err,
                        const char *says)
{
    struct problem why = {{0}};

    assert_int_equal(check_port(st, p, &why), err);
    assert_non_null(strstr(why.text, says));
}

static void ports_checked(void **state)
{
    struct switch_store *st = shim_store();
    struct port_config *a = &st->port[0], p;
    struct problem why;

    assert_int_equal(check_port(st, a, &why), 0);
    p = *a;
    p.address = st->port[1].address;
    refuse_port(st, &p, -EADDRINUSE, "port b");
    p.address = 0xAC1C0001;
    refuse_port(st, &p, -EADDRINUSE, "the host");
    p.address = 0xAC1C00FF;
    refuse_port(st, &p, -EINVAL, "not in the subnet");
    p.address = 0xAC1C0105;
    refuse_port(st, &p, -EINVAL, "not in the subnet");
    p = *a;
    p.mac = st->port[2].mac;
    refuse_port(st, &p, -EADDRINUSE, "port c");
    p.mac = st->sw[0].mac;
    refuse_port(st, &p, -EADDRINUSE, "switch n");
    p.mac.byte[0] = 3;
    refuse_port(st, &p, -EINVAL, "no single card");
    p = *a;
    (void)strcpy(p.on, "x");
    refuse_port(st, &p, -ENOENT, "no such switch");
    p = *a;
    p.sent_max_bps = RATE_MIN - 1;
    refuse_port(st, &p, -EINVAL, "limit");
    p = *a;
    p.vlan_mode = VLAN_ACCESS;
    refuse_port(st, &p, -EINVAL, "VLANs");
    p.vlan = VLAN_NATIVE;
    refuse_port(st, &p, -EINVAL, "VLANs");
    p.vlan_mode = VLAN_TRUNK;
    p.vlan = 5;
    refuse_port(st, &p, -EINVAL, "VLANs");
    vlan_add(&p.trunk, 5);
    refuse_port(st, &p, -EINVAL, "VLANs");
    p.vlan = 6;
    assert_int_equal(check_port(st, &p, &why), 0);
    free(st);
}

/* Copies must not go round in circles, nor to another switch. */
static void mirrors_checked(void **state)
{
    struct switch_store *st = shim_store();
    struct port_config *a = &st->port[0], b = st->port[1], p = *a;
    struct problem why;

    p.mirror = MIRROR_BOTH;
    (void)strcpy(p.mirror_to, "c");
    refuse_port(st, &p, -EINVAL, "no other port");
    (void)strcpy(p.mirror_to, "a");
    refuse_port(st, &p, -EINVAL, "no other port");
    (void)strcpy(p.mirror_to, "b");
    assert_int_equal(check_port(st, &p, &why), 0);
    *a = p;
    b.mirror = MIRROR_SENT;
    (void)strcpy(b.mirror_to, "a");
    refuse_port(st, &b, -EINVAL, "mirrored itself");
    (void)strcpy(st->port[2].on, "n");
    (void)strcpy(b.mirror_to, "c");
    refuse_port(st, &b, -EINVAL, "what a is mirrored to");
    store_remove_port(st, "b");
    assert_int_equal(st->ports, 2);
    assert_int_equal(st->port[0].mirror, 0);
    assert_string_equal(st->port[0].mirror_to, "");
    free(st);
}

static void switches_checked(void **state)
{
    struct switch_store *st = shim_store();
    struct switch_config s = {.name = "x", .kind = SWITCH_EXTERNAL, .mtu = 1500};
    struct problem why;

    assert_int_equal(check_switch(st, &s, &why), -EINVAL);
    (void)strcpy(s.nic, "bhs0");
    assert_int_equal(check_switch(st, &s, &why), -EINVAL);
    (void)strcpy(s.nic, "et\"h");
    assert_int_equal(check_switch(st, &s, &why), -EINVAL);
    (void)strcpy(s.nic, "eth0");
    assert_int_equal(check_switch(st, &s, &why), 0);
    s.subnet = (struct subnet){0x0A000000, 24};
    assert_int_equal(check_switch(st, &s, &why), -EINVAL);
    s = (struct switch_config){.name = "x", .kind = SWITCH_INTERNAL, .mtu = 1500, .dhcp = true};
    assert_int_equal(check_switch(st, &s, &why), -EINVAL);
    s.subnet = (struct subnet){0xAC1C0080, 25};
    assert_int_equal(check_switch(st, &s, &why), -EADDRINUSE);
    s.subnet = (struct subnet){0xAC1C0100, 24};
    assert_int_equal(check_switch(st, &s, &why), 0);
    s.mtu = MTU_MAX + 1;
    assert_int_equal(check_switch(st, &s, &why), -EINVAL);
    free(st);
}

static void subnets_planned(void **state)
{
    struct subnet taken[257] = {{0xAC1C0000, 24}, {0xAC1C0100, 28}, {0xAC1C0210, 32}}, s;

    assert_int_equal(plan_subnet(&s, taken, 3), 0);
    assert_int_equal(s.address, 0xAC1C0300);
    taken[3] = (struct subnet){0xAC1C0000, 17};
    assert_int_equal(plan_subnet(&s, taken, 4), 0);
    assert_int_equal(s.address, 0xAC1C8000);
    taken[4] = (struct subnet){0xAC000000, 8};
    assert_int_equal(plan_subnet(&s, taken, 5), -ENOSPC);
    assert_int_equal(s.address, 0xAC1C8000);
}

/* Same MAC, same address; when it is taken, the next; never one of DHCP's own nor the host's. */
static void addresses_planned(void **state)
{
    struct switch_store *st = shim_store();
    struct switch_config *s = &st->sw[0];
    uint32_t first, again, dynamic, last, given = 0;

    st->ports = 0;
    for (unsigned k = 0; k < 300; k++) {
        struct mac m = plan_mac("x", "y", k);
        uint32_t a, b;

        if (plan_address(&a, st, s, &m) < 0)
            break;
        assert_int_equal(plan_address(&b, st, s, &m), 0);
        assert_int_equal(a, b);
        subnet_dynamic(&s->subnet, &dynamic, &last);
        assert_true(a > subnet_host(&s->subnet) && a < dynamic);
        shim_port(st, "z", "n", a);
        given++;
    }
    assert_int_equal(given, 190);
    st->ports = 0;
    assert_int_equal(plan_address(&first, st, s, &s->mac), 0);
    shim_port(st, "z", "n", first);
    assert_int_equal(plan_address(&again, st, s, &s->mac), 0);
    assert_int_not_equal(first, again);
    free(st);
}

static void files(void **state)
{
    char folder[] = "/tmp/switch-XXXXXX", path[64], *text;
    struct switch_store *st = shim_store(), *back = NULL;
    struct store_lock l;
    struct problem why;
    size_t n;

    assert_non_null(mkdtemp(folder));
    assert_int_equal(switch_load(&back, folder, &why), 0);
    assert_int_equal(back->switches, 0);
    free(back);
    assert_int_equal(store_lock(&l, folder, &why), 0);
    assert_int_equal(store_save(st, folder, &why), 0);
    store_unlock(&l);
    assert_int_equal(switch_load(&back, folder, &why), 0);
    assert_int_equal(back->ports, 3);
    (void)snprintf(path, sizeof(path), "%s/switches.json", folder);
    assert_int_equal(file_read(&text, &n, path, 10), -EFBIG);
    assert_int_equal(file_read(&text, &n, path, 100000), 0);
    assert_int_equal(strlen(text), n);
    free(text);
    assert_int_equal(truncate(path, 5), 0);
    free(back);
    assert_int_equal(switch_load(&back, folder, &why), -EINVAL);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/lock", folder);
    (void)unlink(path);
    (void)rmdir(folder);
    free(st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),        cmocka_unit_test(damaged),
        cmocka_unit_test(ports_checked),     cmocka_unit_test(mirrors_checked),
        cmocka_unit_test(switches_checked),  cmocka_unit_test(subnets_planned),
        cmocka_unit_test(addresses_planned), cmocka_unit_test(files)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
