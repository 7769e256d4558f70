/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include "lib/bits.h"
#include "vsp/network/frame.h"
#include "vsp/network/packet.h"
#include "vsp/network/rss.h"

/* 66.9.149.187:2794 to 161.142.100.80:1766, of the documented examples for RSS. */
static const uint8_t tcp4[54] = {
    2,    0,    0, 0, 0,  1, 2, 0, 0,  0, 0,    2,    8,   0,   0x45, 0,  0,    40,
    0,    1,    0, 0, 64, 6, 0, 0, 66, 9, 149,  187,  161, 142, 100,  80, 0x0A, 0xEA,
    0x06, 0xE6, 0, 0, 0,  0, 0, 0, 0,  0, 0x50, 0x10, 0,   0,   0,    0,  0,    0};

static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static struct rss rss;

static void rss_ready(uint32_t hash)
{
    rss_init(&rss);
    memcpy(rss.key, key, sizeof(key));
    rss_prepare(&rss);
    rss.enabled = true;
    rss.entries = 1;
    rss.hash = NDIS_HASH_TOEPLITZ | hash;
}

static void test_hash_ipv4(void **state)
{
    uint8_t back[sizeof(tcp4)];
    struct frame f;
    uint32_t hash;

    frame_parse(&f, tcp4, sizeof(tcp4));
    assert_int_equal(f.kind, FRAME_IPV4);
    rss_ready(NDIS_HASH_IPV4 | NDIS_HASH_TCP_IPV4);
    assert_true(rss_hash(&rss, &f, tcp4, false, &hash));
    assert_int_equal(hash, 0x51ccc178);
    rss_ready(NDIS_HASH_IPV4);
    assert_true(rss_hash(&rss, &f, tcp4, false, &hash));
    assert_int_equal(hash, 0x323e8fc2);
    memcpy(back, tcp4, sizeof(back));
    memcpy(back + 26, tcp4 + 30, 4);
    memcpy(back + 30, tcp4 + 26, 4);
    memcpy(back + 34, tcp4 + 36, 2);
    memcpy(back + 36, tcp4 + 34, 2);
    rss_ready(NDIS_HASH_IPV4 | NDIS_HASH_TCP_IPV4);
    assert_true(rss_hash(&rss, &f, back, true, &hash));
    assert_int_equal(hash, 0x51ccc178);
    rss_ready(NDIS_HASH_TCP_IPV6);
    assert_false(rss_hash(&rss, &f, tcp4, false, &hash));
}

/* 3ffe:2501:200:1fff::7, port 2794, to 3ffe:2501:200:3::1, port 1766. */
static void test_hash_ipv6(void **state)
{
    static const uint8_t from[16] = {0x3f, 0xfe, 0x25, 0x01, 2, 0, 0x1f, 0xff, [15] = 7};
    static const uint8_t to[16] = {0x3f, 0xfe, 0x25, 0x01, 2, 0, 0, 3, [15] = 1};
    uint8_t p[74] = {[12] = 0x86, [13] = 0xDD, [14] = 0x60, [20] = 6};
    struct frame f;
    uint32_t hash;

    memcpy(p + 22, from, 16);
    memcpy(p + 38, to, 16);
    memcpy(p + 54, tcp4 + 34, 4);
    frame_parse(&f, p, sizeof(p));
    rss_ready(NDIS_HASH_IPV6 | NDIS_HASH_TCP_IPV6);
    assert_true(rss_hash(&rss, &f, p, false, &hash));
    assert_int_equal(hash, 0x40207d3d);
    rss_ready(NDIS_HASH_IPV6);
    assert_true(rss_hash(&rss, &f, p, false, &hash));
    assert_int_equal(hash, 0x2cc18cd5);
}

/* A fragment has no ports that count. */
static void test_fragment(void **state)
{
    uint8_t p[54];
    struct frame f;
    uint32_t hash;

    memcpy(p, tcp4, sizeof(p));
    p[20] = 0x20;
    frame_parse(&f, p, sizeof(p));
    assert_int_equal(f.ports, 0);
    rss_ready(NDIS_HASH_IPV4 | NDIS_HASH_TCP_IPV4);
    assert_true(rss_hash(&rss, &f, p, false, &hash));
    assert_int_equal(hash, 0x323e8fc2);
}

static void test_parse_short(void **state)
{
    uint8_t p[58];
    struct frame f;

    for (size_t n = 0; n <= sizeof(tcp4); n++)
        frame_parse(&f, tcp4, n);
    memcpy(p, tcp4, 12);
    memcpy(p + 12, "\x81\x00\x60\x05", 4);
    memcpy(p + 16, tcp4 + 12, 42);
    frame_parse(&f, p, sizeof(p));
    assert_true(f.tagged);
    assert_int_equal(f.tag, 0x6005);
    assert_int_equal(f.network, 18);
    assert_int_equal(f.transport, 38);
    p[18] = 0x41; /* a header of 4 bytes */
    frame_parse(&f, p, sizeof(p));
    assert_int_equal(f.kind, FRAME_OTHER);
}

/* A sum does not depend on where the vectors are cut. */
static void test_sum(void **state)
{
    uint8_t bytes[257];
    struct iovec whole = {bytes, sizeof(bytes)};
    uint16_t expected;

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    expected = frame_sum(&whole, 1, 3);
    for (unsigned cut = 0; cut <= sizeof(bytes); cut++) {
        struct iovec parts[2] = {{bytes, cut}, {bytes + cut, sizeof(bytes) - cut}};
        assert_int_equal(frame_sum(parts, 2, 3), expected);
    }
}

/* With its sum in place the whole sums up to all ones. */
static void test_checksum(void **state)
{
    uint8_t bytes[100];
    struct iovec parts[2] = {{bytes, 51}, {bytes + 51, 49}};

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 13);
    bytes[50] = bytes[51] = 0;
    assert_true(frame_checksum(parts, 2, 20, 30));
    assert_int_equal(frame_sum(parts, 2, 20), 0xFFFF);
    assert_false(frame_checksum(parts, 2, 20, 79));
    assert_false(frame_checksum(parts, 2, 200, 0));
}

static void test_large(void **state)
{
    static uint8_t p[3000];
    struct iovec v = {p + 14, 20};
    struct frame_large l;

    memcpy(p, tcp4, sizeof(tcp4));
    assert_true(frame_large_prepare(&l, p, 100, sizeof(p), false, 34));
    assert_int_equal(l.header, 54);
    assert_int_equal(p[16] << 8 | p[17], 2986);
    assert_int_equal(frame_sum(&v, 1, 0), 0xFFFF);
    /* The pseudo header's sum, and the rest, must sum up to all ones once it is inverted. */
    v = (struct iovec){p, sizeof(p)};
    assert_true(frame_checksum(&v, 1, 34, 16));
    assert_false(frame_large_prepare(&l, p, 100, sizeof(p), true, 34));
    assert_false(frame_large_prepare(&l, p, 100, sizeof(p), false, 35));
    assert_false(frame_large_prepare(&l, p, 100, sizeof(p), false, 90));
    assert_false(frame_large_prepare(&l, p, 100, 54, false, 34));
    assert_false(frame_large_prepare(&l, p, 100, 70000, false, 34));
    p[46] = 0x40;
    assert_false(frame_large_prepare(&l, p, 100, sizeof(p), false, 34));
    p[46] = 0xF0;
    assert_false(frame_large_prepare(&l, p, 90, sizeof(p), false, 34));
}

static void rss_info(uint8_t *info, struct ndis_rss_parameters *p)
{
    *p = (struct ndis_rss_parameters){
        .header = {NDIS_OBJECT_RSS_PARAMETERS, 2, sizeof(*p)},
        .hash = NDIS_HASH_TOEPLITZ | NDIS_HASH_IPV4,
        .table_size = 512,
        .table_offset = sizeof(*p),
        .key_size = 40,
        .key_offset = sizeof(*p) + 512,
    };
    for (uint32_t i = 0; i < 128; i++) {
        uint32_t entry = i % 3;
        memcpy(info + sizeof(*p) + i * 4, &entry, 4);
    }
    memcpy(info + p->key_offset, key, 40);
}

static bool rss_try(uint8_t *info, const struct ndis_rss_parameters *p, unsigned channels)
{
    memcpy(info, p, sizeof(*p));
    return rss_set(&rss, info, 592, channels);
}

static void test_rss_set(void **state)
{
    uint8_t info[592];
    struct ndis_rss_parameters p, bad;

    rss_init(&rss);
    rss_info(info, &p);
    assert_false(rss_try(info, &p, 2));
    assert_false(rss.enabled);
    assert_true(rss_try(info, &p, 3));
    assert_true(rss.enabled);
    assert_int_equal(rss_channel(&rss, 0x12345605), 5 % 3);
    bad = p;
    bad.table_offset = UINT32_MAX;
    assert_false(rss_try(info, &bad, 3));
    bad = p;
    bad.key_offset = 553;
    assert_false(rss_try(info, &bad, 3));
    bad = p;
    bad.table_size = 1024;
    assert_false(rss_try(info, &bad, 3));
    bad = p;
    bad.table_size = 12;
    assert_false(rss_try(info, &bad, 3));
    assert_true(rss.enabled);
    bad = p;
    bad.flags = NDIS_RSS_DISABLE;
    assert_true(rss_try(info, &bad, 3));
    assert_false(rss.enabled);
    assert_false(rss_set(&rss, info, 39, 3));
}

static void test_vlan(void **state)
{
    for (unsigned tag = 0; tag < 65536; tag++)
        assert_int_equal(packet_tag(packet_vlan((uint16_t)tag)), tag);
    assert_int_equal(packet_vlan(0x6005), 0x53); /* priority 3, VLAN 5 */
}

/* Messages that are not whole are told from others. */
static void test_packet_out(void **state)
{
    uint8_t m[200] = {0};
    const struct rndis_header h = {RNDIS_PACKET, 200};
    struct rndis_packet r = {
        .data_offset = 52, .data_length = 140, .info_offset = 36, .info_length = 16};
    const struct rndis_info i = {16, RNDIS_INFO_VLAN, 12};
    struct rndis_info bad = i;
    struct packet_out p;

    memcpy(m, &h, sizeof(h));
    memcpy(m + 8, &r, sizeof(r));
    memcpy(m + 44, &i, sizeof(i));
    assert_true(packet_out_parse(&p, m, 200, 200));
    assert_true(packet_out_info(&p, m + p.info));
    assert_true(p.has_vlan);
    assert_int_equal(p.data, 60);
    assert_false(packet_out_parse(&p, m, 200, 199));
    assert_false(packet_out_parse(&p, m, 43, 200));
    r.data_length = 141;
    memcpy(m + 8, &r, sizeof(r));
    assert_false(packet_out_parse(&p, m, 200, 200));
    r.data_length = UINT32_MAX;
    memcpy(m + 8, &r, sizeof(r));
    assert_false(packet_out_parse(&p, m, 200, 200));
    r.data_length = 1;
    r.info_length = 300;
    memcpy(m + 8, &r, sizeof(r));
    assert_false(packet_out_parse(&p, m, 200, 200));
    p.info_length = 16;
    bad.size = 0;
    assert_false(packet_out_info(&p, memcpy(m, &bad, sizeof(bad))));
    bad.size = 17;
    assert_false(packet_out_info(&p, memcpy(m, &bad, sizeof(bad))));
    bad = i;
    bad.offset = 17;
    assert_false(packet_out_info(&p, memcpy(m, &bad, sizeof(bad))));
}

static void test_packet_in(void **state)
{
    const struct packet_in p = {.data = PACKET_HEADROOM,
                                .data_length = 60,
                                .checksum = RNDIS_CHECKSUM_TCP_GOOD,
                                .has_vlan = true,
                                .has_hash = true,
                                .tag = 5,
                                .hash = 7,
                                .piece = RNDIS_ID_PIECE};
    uint8_t head[PACKET_HEADROOM];
    struct packet_out o;

    assert_int_equal(packet_in_fill(&p, head), PACKET_HEADROOM + 60);
    assert_true(packet_out_parse(&o, head, sizeof(head), PACKET_HEADROOM + 60));
    assert_int_equal(o.info_length, 64);
    assert_true(packet_out_info(&o, head + o.info));
    assert_int_equal(o.checksum, RNDIS_CHECKSUM_TCP_GOOD);
    assert_int_equal(o.vlan, 0x50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_ipv4), cmocka_unit_test(test_hash_ipv6),
        cmocka_unit_test(test_fragment),  cmocka_unit_test(test_parse_short),
        cmocka_unit_test(test_sum),       cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_large),     cmocka_unit_test(test_rss_set),
        cmocka_unit_test(test_vlan),      cmocka_unit_test(test_packet_out),
        cmocka_unit_test(test_packet_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
