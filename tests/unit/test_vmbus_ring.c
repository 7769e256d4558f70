/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/bits.h"
#include "lib/errno.h"
#include "tests/unit/shim_ring.h"
#include "vmbus/ring/ring.h"

#define PAGES_MAX 16U

/* Two rings of a page of control and `data` pages each. */
static _Alignas(4096) uint8_t memory[2][(PAGES_MAX + 1) * 4096];
static uint8_t *pages[2][PAGES_MAX + 1];
static struct guest_ring up, down; /* as the guest sees them */
static struct vmbus_ring_in in;
static struct vmbus_ring_out out;
static bool scattered;

static uint64_t buf[8192];
static struct vmbus_ring_packet packet;

static void rings(uint32_t data)
{
    struct vmbus_ring r;

    memset(memory, 0, sizeof(memory));
    up = (struct guest_ring){memory[0], data * 4096};
    down = (struct guest_ring){memory[1], data * 4096};
    for (unsigned i = 0; i < 2; i++)
        for (uint32_t p = 0; p <= data; p++)
            pages[i][p] = memory[i] + p * 4096;
    guest_control(&up)->features = guest_control(&down)->features = 1;
    assert_int_equal(vmbus_ring_attach(&r, pages[0], data + 1), 0);
    assert_int_equal(vmbus_ring_in_open(&in, &r), 0);
    assert_int_equal(vmbus_ring_attach(&r, pages[1], data + 1), 0);
    assert_int_equal(vmbus_ring_out_open(&out, &r), 0);
    if (scattered)
        in.ring.flat = out.ring.flat = NULL;
}

static int setup(void **state)
{
    scattered = false;
    rings(1);
    return 0;
}

static int setup_scattered(void **state)
{
    scattered = true;
    rings(3);
    return 0;
}

static int receive(void)
{
    return vmbus_ring_read(&in, &packet, buf, sizeof(buf));
}

static void test_attach(void **state)
{
    struct vmbus_ring r;
    uint8_t *list[3] = {memory[0], memory[0] + 4096, memory[0] + 8192};

    assert_int_equal(vmbus_ring_attach(&r, list, 1), -EINVAL);
    assert_int_equal(vmbus_ring_attach(&r, list, VMBUS_RING_PAGES_MAX + 1), -EINVAL);
    assert_int_equal(vmbus_ring_attach(&r, list, 3), 0);
    assert_ptr_equal(r.flat, list[1]);
    assert_int_equal(r.size, 8192);
    list[2] = memory[1];
    assert_int_equal(vmbus_ring_attach(&r, list, 3), 0);
    assert_null(r.flat);
    list[0] = memory[1]; /* only data must follow each other */
    list[2] = list[1] + 4096;
    assert_int_equal(vmbus_ring_attach(&r, list, 3), 0);
    assert_non_null(r.flat);
    list[1]++;
    assert_int_equal(vmbus_ring_attach(&r, list, 3), -EINVAL);
    list[1] = NULL;
    assert_int_equal(vmbus_ring_attach(&r, list, 3), -EINVAL);
}

static void test_open_bad_indices(void **state)
{
    static const uint32_t bad[] = {4096, 4, 0xFFFFFFF8, 0xFFFFFFFF};
    struct vmbus_ring r = in.ring;

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        guest_control(&up)->read_index = bad[i];
        assert_int_equal(vmbus_ring_in_open(&in, &r), -EINVAL);
        assert_int_equal(vmbus_ring_out_open(&out, &r), -EINVAL);
        guest_control(&up)->read_index = 0;
        guest_control(&up)->write_index = bad[i];
        assert_int_equal(vmbus_ring_in_open(&in, &r), -EINVAL);
        assert_int_equal(vmbus_ring_out_open(&out, &r), -EINVAL);
        guest_control(&up)->write_index = 0;
    }
    assert_int_equal(vmbus_ring_in_resume(&in, &r, 4088), 0);
    assert_int_equal(vmbus_ring_out_resume(&out, &r, 4096), -EINVAL);
}

static void test_receive(void **state)
{
    static const uint64_t body[] = {1, 2, 3};

    assert_int_equal(receive(), 0);
    assert_int_equal(guest_put(&up, 6, 2, 1, 0x1234, body, 24), 1);
    assert_int_equal(guest_put(&up, 11, 3, 0, 0x5678, body, 24), 0); /* it was not empty */
    assert_int_equal(receive(), 1);
    assert_int_equal(packet.descriptor.type, 6);
    assert_int_equal(packet.descriptor.flags, 1);
    assert_int_equal(packet.descriptor.transaction, 0x1234);
    assert_int_equal(packet.body_length, 24);
    assert_int_equal(packet.data_offset, 0);
    assert_memory_equal(buf, body, 24);
    assert_int_equal(guest_control(&up)->interrupt_mask, 1);
    assert_int_equal(guest_control(&up)->read_index, 0); /* not yet published */
    assert_int_equal(receive(), 1);
    assert_int_equal(packet.data_offset, 8);
    assert_int_equal(receive(), 0);
    assert_int_equal(guest_control(&up)->interrupt_mask, 0);
    assert_int_equal(guest_control(&up)->read_index, 96);
    assert_int_equal(guest_put(&up, 6, 2, 0, 1, body, 0), 1);
}

/* While it is being drained the guest need not signal: what it adds is found. */
static void test_receive_masked(void **state)
{
    assert_int_equal(guest_put(&up, 6, 2, 0, 1, NULL, 0), 1);
    assert_int_equal(receive(), 1);
    assert_int_equal(vmbus_ring_read_publish(&in), 0);
    assert_int_equal(guest_put(&up, 6, 2, 0, 2, NULL, 0), 0);
    assert_int_equal(receive(), 1);
    assert_int_equal(packet.descriptor.transaction, 2);
    assert_int_equal(receive(), 0);
}

/* A reader that polls is never signalled, and finds what is there when it no longer does. */
static void test_receive_polled(void **state)
{
    vmbus_ring_in_poll(&in, true);
    assert_int_equal(receive(), 0);
    assert_int_equal(guest_control(&up)->interrupt_mask, 1);
    assert_int_equal(guest_put(&up, 6, 2, 0, 1, NULL, 0), 0);
    assert_int_equal(receive(), 1);
    assert_int_equal(receive(), 0);
    assert_int_equal(guest_control(&up)->read_index, 24);
    assert_int_equal(guest_put(&up, 6, 2, 0, 2, NULL, 0), 0);
    vmbus_ring_in_poll(&in, false);
    assert_int_equal(receive(), 1);
    assert_int_equal(receive(), 0);
    assert_int_equal(guest_control(&up)->interrupt_mask, 0);
    assert_int_equal(guest_put(&up, 6, 2, 0, 3, NULL, 0), 1);
}

static void test_receive_too_large(void **state)
{
    static const uint64_t body[4];

    (void)guest_put(&up, 6, 2, 0, 1, body, 32);
    (void)guest_put(&up, 6, 2, 0, 2, body, 8);
    assert_int_equal(vmbus_ring_read(&in, &packet, buf, 24), -EMSGSIZE);
    assert_int_equal(vmbus_ring_read(&in, &packet, buf, 8), 1);
    assert_int_equal(packet.descriptor.transaction, 2);
}

static void test_receive_bad(void **state)
{
    static const struct {
        uint16_t offset8, length8;
    } bad[] = {{0, 4}, {1, 4}, {5, 4}, {2, 0}, {2, 1}, {0xFFFF, 0xFFFF}, {2, 0xFFFF}, {2, 5}};

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        struct vmpacket_descriptor d = {6, bad[i].offset8, bad[i].length8, 0, 0};
        rings(1);
        memcpy(memory[0] + 4096, &d, sizeof(d));
        guest_control(&up)->write_index = 40; /* room for a body of 16 and the trailer */
        assert_int_equal(receive(), -EPIPE);
        assert_int_equal(receive(), -EPIPE);
    }
    for (uint32_t w = 8; w < 24; w += 8) { /* less than any packet */
        rings(1);
        guest_control(&up)->write_index = w;
        assert_int_equal(receive(), -EPIPE);
    }
    rings(1);
    guest_control(&up)->write_index = 4096;
    assert_int_equal(receive(), -EPIPE);
    guest_control(&up)->write_index = 12;
    assert_int_equal(receive(), -EPIPE);
}

/* A guest that waits for room is signalled once, by the step that makes enough of it. */
static void test_receive_room(void **state)
{
    static const uint64_t body[61];
    unsigned n = 0, signals = 0;

    while (guest_put(&up, 6, 2, 0, n, body, 488) >= 0) /* 512 bytes each */
        n++;
    assert_int_equal(n, 7);
    guest_control(&up)->pending_send_size = 1100;
    for (unsigned i = 0; i < n; i++) {
        int r;
        assert_int_equal(receive(), 1);
        r = vmbus_ring_read_publish(&in);
        signals += (unsigned)r;
        assert_int_equal(r, i == 1); /* 512, 1024, 1536 bytes are free */
        assert_int_equal(vmbus_ring_read_publish(&in), 0);
    }
    assert_int_equal(signals, 1);
}

/* Room that was made in the middle of a batch is told of at its end. */
static void test_receive_room_batch(void **state)
{
    static const uint64_t body[61];

    while (guest_put(&up, 6, 2, 0, 0, body, 488) >= 0)
        continue;
    while (receive() == 1)
        continue;
    assert_int_equal(guest_control(&up)->read_index, 7 * 512);
    assert_int_equal(vmbus_ring_read_publish(&in), 1);
    assert_int_equal(vmbus_ring_read_publish(&in), 0);
}

static int transmit(uint64_t transaction, const void *data, size_t len, bool *signal)
{
    const struct vmbus_ring_send s = {
        .type = 6, .transaction = transaction, .data = data, .length = len};

    return vmbus_ring_write(&out, &s, signal);
}

static void test_send(void **state)
{
    static const struct vmbus_ring_send s = {.type = 7,
                                             .flags = 1,
                                             .transaction = 9,
                                             .head = "HEADhead",
                                             .head_length = 8,
                                             .prefix = "pre",
                                             .prefix_length = 3,
                                             .data = "data",
                                             .length = 4};
    struct vmpacket_descriptor d;
    bool signal = false;

    assert_int_equal(guest_control(&down)->features, VMBUS_RING_PENDING_SEND_SIZE);
    assert_int_equal(vmbus_ring_write(&out, &s, &signal), 0);
    assert_int_equal(guest_get(&down, &d, buf, &signal), -1); /* not before it is published */
    assert_int_equal(transmit(10, NULL, 0, &signal), 0);
    assert_int_equal(vmbus_ring_write_publish(&out), 1);
    assert_int_equal(vmbus_ring_write_publish(&out), 0);
    assert_int_equal(guest_get(&down, &d, buf, &signal), 16);
    assert_int_equal(d.type, 7);
    assert_int_equal(d.flags, 1);
    assert_int_equal(d.offset8, 3);
    assert_int_equal(d.length8, 4);
    assert_int_equal(d.transaction, 9);
    assert_memory_equal(buf, "HEADheadpredata\0", 16);
    assert_int_equal(transmit(11, "x", 1, &signal), 0);
    assert_int_equal(vmbus_ring_write_publish(&out), 0); /* the guest is still at it */
    assert_int_equal(guest_get(&down, &d, buf, &signal), 0);
    assert_int_equal(guest_get(&down, &d, buf, &signal), 8);
    assert_memory_equal(buf, "x\0\0\0\0\0\0\0", 8);
    guest_control(&down)->interrupt_mask = 1;
    assert_int_equal(transmit(12, "x", 1, &signal), 0);
    assert_int_equal(vmbus_ring_write_publish(&out), 0);
    assert_false(signal);
}

static void test_send_full(void **state)
{
    struct vmpacket_descriptor d;
    bool signal = false;
    unsigned n = 0;
    int err;

    while ((err = transmit(n, buf, 488, &signal)) == 0)
        n++;
    assert_int_equal(err, -EAGAIN);
    assert_int_equal(n, 7);
    assert_true(signal); /* it had to be published, and the ring was empty before */
    assert_int_equal(guest_control(&down)->pending_send_size, 512);
    assert_int_equal(vmbus_ring_write_publish(&out), 0);
    signal = false;
    assert_int_equal(guest_get(&down, &d, buf, &signal), 488);
    assert_true(signal); /* 512 were free, and more than these were asked for */
    assert_int_equal(transmit(n, buf, 488, &signal), 0);
    assert_int_equal(vmbus_ring_write_publish(&out), 0);
    assert_int_equal(guest_control(&down)->pending_send_size, 0);
}

static void test_send_too_large(void **state)
{
    bool signal = false;

    assert_int_equal(transmit(0, buf, 4096 - 24, &signal), -EMSGSIZE);
    assert_int_equal(transmit(0, buf, SIZE_MAX, &signal), -EMSGSIZE);
    assert_int_equal(transmit(0, buf, 4096 - 32, &signal), 0);
    assert_int_equal(transmit(0, NULL, 0, &signal), -EAGAIN);
    assert_int_equal(vmbus_ring_write_publish(&out), 0);
}

static void test_send_bad(void **state)
{
    bool signal = false;

    assert_int_equal(transmit(0, buf, 3000, &signal), 0);
    guest_control(&down)->read_index = 4096;
    assert_int_equal(transmit(0, buf, 3000, &signal), -EPIPE);
    guest_control(&down)->read_index = 3;
    assert_int_equal(vmbus_ring_write_publish(&out), -EPIPE);
}

/* Packets of all sizes, so that each comes to wrap everywhere, both ways. */
static void test_wrap(void **state)
{
    struct vmpacket_descriptor d;
    uint8_t body[800], got[800];
    bool signal = false;

    for (unsigned i = 0; i < 20000; i++) {
        size_t len = i * 8 % sizeof(body);
        memset(body, (int)(i & 0xFF), len);
        assert_in_range(guest_put(&up, 6, 2, 0, i, body, len), 0, 1);
        assert_int_equal(receive(), 1);
        assert_int_equal(packet.descriptor.transaction, i);
        assert_int_equal(packet.body_length, len);
        assert_memory_equal(buf, body, len);
        assert_in_range(vmbus_ring_read_publish(&in), 0, 1);
        assert_int_equal(transmit(i, body, len, &signal), 0);
        assert_int_equal(vmbus_ring_write_publish(&out), 1);
        assert_int_equal(guest_get(&down, &d, got, &signal), len);
        assert_int_equal(d.transaction, i);
        assert_memory_equal(got, body, len);
    }
}

/* Pages that lie in another order on the host than in the guest. */
static void test_pages_shuffled(void **state)
{
    struct vmbus_ring r;
    struct vmpacket_descriptor d = {6, 2, 1000, 0, 77};
    uint8_t *list[] = {memory[0], memory[0] + 8192, memory[0] + 4096};

    assert_int_equal(vmbus_ring_attach(&r, list, 3), 0);
    assert_int_equal(vmbus_ring_in_open(&in, &r), 0);
    memcpy(list[1], &d, sizeof(d));
    list[1][16] = 1;
    list[1][4095] = 2;
    list[2][0] = 3;
    list[2][8000 - 4096 - 1] = 4;
    guest_control(&up)->write_index = 8008;
    assert_int_equal(receive(), 1);
    assert_int_equal(packet.body_length, 7984);
    assert_int_equal(((uint8_t *)buf)[0], 1);
    assert_int_equal(((uint8_t *)buf)[4079], 2);
    assert_int_equal(((uint8_t *)buf)[4080], 3);
    assert_int_equal(((uint8_t *)buf)[7983], 4);
}

static void test_resume(void **state)
{
    struct vmbus_ring r = in.ring, r2 = out.ring;
    bool signal = false;

    (void)guest_put(&up, 6, 2, 0, 1, NULL, 0);
    (void)guest_put(&up, 6, 2, 0, 2, NULL, 0);
    assert_int_equal(receive(), 1);
    assert_int_equal(transmit(1, NULL, 0, &signal), 0);
    assert_int_equal(vmbus_ring_read_publish(&in), 0);
    assert_int_equal(vmbus_ring_write_publish(&out), 1);
    guest_control(&up)->read_index = 8; /* ours counts, not what the guest made of it */
    assert_int_equal(vmbus_ring_in_resume(&in, &r, in.read), 0);
    assert_int_equal(vmbus_ring_out_resume(&out, &r2, out.write), 0);
    assert_int_equal(receive(), 1);
    assert_int_equal(packet.descriptor.transaction, 2);
    assert_int_equal(receive(), 0);
    assert_int_equal(guest_control(&up)->read_index, 48);
}

static void ranges_of(uint16_t type, uint32_t data_offset)
{
    packet = (struct vmbus_ring_packet){
        .descriptor = {.type = type}, .body_length = data_offset, .data_offset = data_offset};
}

static void test_ranges(void **state)
{
    static const uint32_t body[] = {0, 2, 5000, 4000, 10, 0, 11, 0, 12, 0, 8, 0, 99, 0};
    struct vmbus_ring_ranges r;
    struct vmbus_ring_range one;

    memcpy(buf, body, sizeof(body));
    ranges_of(9, sizeof(body));
    assert_int_equal(vmbus_ring_ranges(&r, &packet, buf), 0);
    assert_true(vmbus_ring_range_next(&r, &one));
    assert_int_equal(one.length, 5000);
    assert_int_equal(one.offset, 4000);
    assert_int_equal(one.pfn_count, 3);
    assert_int_equal(one.pfns[2], 12);
    assert_true(vmbus_ring_range_next(&r, &one));
    assert_int_equal(one.pfn_count, 1);
    assert_int_equal(one.pfns[0], 99);
    assert_false(vmbus_ring_range_next(&r, &one));
    for (uint32_t len = 0; len < sizeof(body); len += 8) { /* cut off anywhere */
        ranges_of(9, len);
        assert_int_equal(vmbus_ring_ranges(&r, &packet, buf), -EINVAL);
        assert_false(vmbus_ring_range_next(&r, &one));
    }
    ranges_of(6, 0);
    assert_int_equal(vmbus_ring_ranges(&r, &packet, buf), 0);
    assert_false(vmbus_ring_range_next(&r, &one));
}

static void test_ranges_bad(void **state)
{
    static const uint32_t bad[][6] = {
        {0, 0xFFFFFFFF, 1, 0, 1, 0},    {0, 2, 1, 0, 1, 0},    {0, 1, 1, 4096, 1, 0},
        {0, 1, 0xFFFFFFFF, 4095, 1, 0}, {0, 1, 4097, 0, 1, 0}, {0, 1, 1, 0xFFFFFFFF, 1, 0},
    };
    struct vmbus_ring_ranges r;

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        memcpy(buf, bad[i], sizeof(bad[i]));
        ranges_of(9, sizeof(bad[i]));
        assert_int_equal(vmbus_ring_ranges(&r, &packet, buf), -EINVAL);
    }
}

static void test_ranges_transfer(void **state)
{
    static const uint32_t body[] = {7, 2, 100, 5000, 200, 90000};
    struct vmbus_ring_ranges r;
    struct vmbus_ring_range one;

    memcpy(buf, body, sizeof(body));
    ranges_of(7, sizeof(body));
    assert_int_equal(vmbus_ring_ranges(&r, &packet, buf), 0);
    assert_true(vmbus_ring_range_next(&r, &one));
    assert_true(vmbus_ring_range_next(&r, &one));
    assert_int_equal(one.length, 200);
    assert_int_equal(one.offset, 90000);
    assert_int_equal(one.pfn_count, 0);
    ranges_of(7, sizeof(body) - 8);
    assert_int_equal(vmbus_ring_ranges(&r, &packet, buf), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_attach, setup),
        cmocka_unit_test_setup(test_open_bad_indices, setup),
        cmocka_unit_test_setup(test_receive, setup),
        cmocka_unit_test_setup(test_receive_masked, setup),
        cmocka_unit_test_setup(test_receive_polled, setup),
        cmocka_unit_test_setup(test_receive_too_large, setup),
        cmocka_unit_test_setup(test_receive_bad, setup),
        cmocka_unit_test_setup(test_receive_room, setup),
        cmocka_unit_test_setup(test_receive_room_batch, setup),
        cmocka_unit_test_setup(test_send, setup),
        cmocka_unit_test_setup(test_send_full, setup),
        cmocka_unit_test_setup(test_send_too_large, setup),
        cmocka_unit_test_setup(test_send_bad, setup),
        cmocka_unit_test_setup(test_wrap, setup),
        cmocka_unit_test_setup(test_wrap, setup_scattered),
        cmocka_unit_test_setup(test_pages_shuffled, setup),
        cmocka_unit_test_setup(test_resume, setup),
        cmocka_unit_test_setup(test_ranges, setup),
        cmocka_unit_test_setup(test_ranges_bad, setup),
        cmocka_unit_test_setup(test_ranges_transfer, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
