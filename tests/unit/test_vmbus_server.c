/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include "tests/unit/shim_vmbus_host.h"

/*
 * A VSP that echoes, with a thread for each channel. What it is asked is the first byte of a
 * packet: 'E' echo, 'M' the sum of the memory of a direct packet, 'S' offer as many sub-channels as
 * the next byte says, 'T' send a packet with transfer pages, 'G' the sum of GPADL 9.
 */

#define CHANNELS 4

static struct echo {
    struct vmbus_channel *channel;
    unsigned sub;
    int stop;
    pthread_t thread;
    bool running;
    _Atomic bool broken;
    bool restored;
} echoes[CHANNELS];

static unsigned opens, closes;
static int open_answer;
static long map_result;

static uint8_t iov_sum(const struct iovec *iov, int count)
{
    uint8_t sum = 0;

    for (int i = 0; i < count; i++)
        for (size_t n = 0; n < iov[i].iov_len; n++)
            sum = (uint8_t)(sum + ((const uint8_t *)iov[i].iov_base)[n]);
    return sum;
}

static int answer(struct echo *e, const struct vmbus_packet *p)
{
    const struct vmbus_transfer_range ranges[2] = {{10, 20}, {30, 40}};
    const uint8_t *data = p->data;
    struct iovec iov[4];
    uint8_t out[2];

    switch (p->length ? data[0] : 0) {
    case 'M':
        map_result = vmbus_channel_map(e->channel, &p->range, 3, iov, ARRAY_SIZE(iov));
        out[0] = map_result > 0 ? iov_sum(iov, (int)map_result) : 0;
        out[1] = (uint8_t)map_result;
        return vmbus_channel_send(e->channel, VMBUS_PACKET_COMPLETION, p->transaction, false, out,
                                  2);
    case 'G':
        map_result = vmbus_channel_map_gpadl(e->channel, 9, 4000, 200, iov, ARRAY_SIZE(iov));
        out[0] = map_result > 0 ? iov_sum(iov, (int)map_result) : 0;
        out[1] = (uint8_t)map_result;
        return vmbus_channel_send(e->channel, VMBUS_PACKET_COMPLETION, p->transaction, false, out,
                                  2);
    case 'S':
        out[0] = (uint8_t)-vmbus_channel_offer_subs(e->channel, data[1]);
        return vmbus_channel_send(e->channel, VMBUS_PACKET_COMPLETION, p->transaction, false, out,
                                  1);
    case 'T':
        return vmbus_channel_send_transfer(e->channel, 5, true, 77, ranges, 2, "data", 4);
    default:
        return vmbus_channel_send(e->channel, VMBUS_PACKET_COMPLETION, p->transaction, false, data,
                                  p->length);
    }
}

static void *echo_thread(void *arg)
{
    struct echo *e = arg;
    struct pollfd polls[2] = {{.fd = e->stop, .events = POLLIN},
                              {.fd = vmbus_channel_fd(e->channel), .events = POLLIN}};
    static _Thread_local uint64_t buf[512];
    struct vmbus_packet p;
    uint64_t count;
    int err;

    while (poll(polls, 2, -1) > 0 && !polls[0].revents) {
        (void)!read(polls[1].fd, &count, sizeof(count));
        while ((err = vmbus_channel_receive(e->channel, &p, buf, sizeof(buf))) == 1)
            if (answer(e, &p) < 0)
                break; /* these tests never fill a ring */
        if (err == -EPIPE)
            e->broken = true;
        vmbus_channel_signal(e->channel);
    }
    return NULL;
}

static int echo_open(void *device, struct vmbus_channel *channel, unsigned sub)
{
    struct echo *e = NULL;

    opens++;
    if (open_answer)
        return open_answer;
    for (unsigned i = 0; i < CHANNELS && !e; i++)
        e = echoes[i].running ? NULL : &echoes[i];
    if (!e)
        return -ENOSPC;
    *e = (struct echo){.channel = channel, .sub = sub, .running = true};
    e->restored = vmbus_channel_restored(channel);
    e->stop = eventfd(0, EFD_CLOEXEC);
    return -pthread_create(&e->thread, NULL, echo_thread, e);
}

static void echo_close(void *device, struct vmbus_channel *channel, unsigned sub)
{
    const uint64_t one = 1;

    closes++;
    for (unsigned i = 0; i < CHANNELS; i++) {
        struct echo *e = &echoes[i];
        if (!e->running || e->channel != channel)
            continue;
        (void)!write(e->stop, &one, sizeof(one));
        (void)pthread_join(e->thread, NULL);
        (void)close(e->stop);
        e->running = false;
    }
}

static const struct vmbus_device_ops ops = {echo_open, echo_close};
static struct vmbus_device *device;
static struct guest_ring up, down;
static uint32_t relid;
static uint64_t reply[512];
static struct vmpacket_descriptor desc;

static struct vmbus_device *add(struct vmbus_server *s, uint8_t number, bool pipe)
{
    struct vmbus_offer o = {
        .type.bytes = {0xEC}, .instance.bytes = {number}, .sub_channel_max = 2, .pipe = pipe};
    struct vmbus_device *d = NULL;

    assert_int_equal(vmbus_server_add(s, &o, &ops, NULL, &d), 0);
    return d;
}

static int setup(void **state)
{
    machine_start();
    opens = closes = 0;
    open_answer = 0;
    memset(echoes, 0, sizeof(echoes));
    device = add(server, 1, false);
    guest_connect(VMBUS_VERSION_5_3);
    relid = guest_offers(1);
    assert_int_equal(guest_open(relid, 7, 16, &up, &down), 0);
    return 0;
}

static int teardown(void **state)
{
    vmbus_server_remove(server, device);
    assert_int_equal(opens, closes);
    machine_stop();
    return 0;
}

static void echo_works(uint32_t id, const struct guest_ring *u, const struct guest_ring *d)
{
    long len = guest_ask(id, u, d, VMPACKET_DATA_INBAND, 2, "Echo..ab", 8, &desc, reply);

    assert_int_equal(len, 8);
    assert_int_equal(desc.type, VMPACKET_COMPLETION);
    assert_int_equal(desc.transaction, 0xABC);
    assert_memory_equal(reply, "Echo..ab", 8);
}

static void close_channel(uint32_t id, uint32_t gpadl)
{
    guest_relid(VMBUS_MSG_CLOSECHANNEL, id);
    guest_teardown(id, gpadl);
}

/* Signal what is in the ring, and wait until the VSP has seen that it makes no sense. */
static void breaks(uint32_t id, const struct echo *e)
{
    guest_signal(VMBUS_CONNECTION_SIGNALS + id);
    for (int i = 0; i < PATIENCE_MS && !e->broken; i++)
        (void)usleep(1000);
    assert_true(e->broken);
}

static void test_life(void **state)
{
    struct vmbus_server_channel c;
    struct vmbus_server_stats s;

    for (int i = 0; i < 1000; i++)
        echo_works(relid, &up, &down);
    assert_int_equal(signal_vp, 1);
    assert_int_equal(signal_flag, relid);
    vmbus_server_stats(server, &s);
    assert_int_equal(s.version, VMBUS_VERSION_5_3);
    assert_int_equal(s.open, 1);
    assert_int_equal(vmbus_server_channel(server, relid, &c), 0);
    assert_int_equal(c.type.bytes[0], 0xEC);
    assert_true(c.open && !c.revoked);
    assert_int_equal(c.received, 1000);
    assert_int_equal(c.sent, 1000);
    assert_in_range(c.signals, 1, 1000);
    assert_int_equal(vmbus_server_channel(server, relid + 1, &c), -ENOENT);
    close_channel(relid, 7);
    assert_int_equal(closes, 1);
    assert_int_equal(connection_count, 0);
    assert_int_equal(guest_open(relid, 8, 32, &up, &down), 0);
    echo_works(relid, &up, &down);
    guest_header(VMBUS_MSG_UNLOAD);
    (void)guest_take(VMBUS_MSG_UNLOAD_RESPONSE, 8);
    assert_int_equal(closes, 2);
    guest_connect(VMBUS_VERSION_3_0);
    assert_int_equal(guest_offers(1), relid);
    assert_int_equal(guest_open(relid, 7, 48, &up, &down), 0);
    echo_works(relid, &up, &down);
    guest_connect(VMBUS_VERSION_6_0); /* kexec: it has not said good-bye */
    assert_int_equal(closes, 3);
    assert_int_equal(guest_offers(1), relid);
    assert_int_equal(guest_open(relid, 7, 64, &up, &down), 0);
    echo_works(relid, &up, &down);
    vmbus_server_stats(server, &s);
    assert_int_equal(s.contacts, 3);
    assert_int_equal(s.illegal + s.malformed + s.post_lost, 0);
}

static void test_open_refused(void **state)
{
    close_channel(relid, 7);
    open_answer = -ENOMEM;
    assert_int_not_equal(guest_open(relid, 8, 32, &up, &down), 0);
    assert_int_equal(connection_count, 0);
    opens--; /* it was not opened */
    open_answer = 0;
    guest_teardown(relid, 8);
    assert_int_equal(guest_open(relid, 8, 32, &up, &down), 0);
    echo_works(relid, &up, &down);
}

/* A message without a slot waits, and is not tried again before somebody says that there is one. */
static void test_slot_busy(void **state)
{
    unsigned busy;

    slot.tells = false;
    guest_connect(VMBUS_VERSION_5_3);
    guest_header(VMBUS_MSG_REQUESTOFFERS);
    (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    busy = slot.busy;
    assert_true(busy > 0);
    (void)usleep(100000);
    assert_false(slot.full);
    assert_int_equal(slot.busy, busy);
    slot.tells = true;
    vmbus_server_retry(server);
    (void)guest_take(VMBUS_MSG_ALLOFFERS_DELIVERED, 8);
}

static void test_hot_remove_and_add(void **state)
{
    struct vmbus_msg_offerchannel m;

    echo_works(relid, &up, &down);
    vmbus_server_remove(server, device);
    assert_int_equal(closes, 1);
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
    close_channel(relid, 7);
    guest_relid(VMBUS_MSG_RELID_RELEASED, relid);
    for (uint8_t i = 0; i < 20; i++) {
        device = add(server, 2, false);
        memcpy(&m, guest_take(VMBUS_MSG_OFFERCHANNEL, 196), sizeof(m));
        assert_int_equal(m.instance[0], 2);
        assert_int_equal(guest_open(m.relid, 7, 32, &up, &down), 0);
        echo_works(m.relid, &up, &down);
        if (i == 19)
            break;
        vmbus_server_remove(server, device);
        (void)guest_take(VMBUS_MSG_RESCIND, 12);
        close_channel(m.relid, 7);
        guest_relid(VMBUS_MSG_RELID_RELEASED, m.relid);
    }
}

static void test_subs(void **state)
{
    struct vmbus_msg_offerchannel m[2];
    struct guest_ring u[2], d[2];

    assert_int_equal(guest_ask(relid, &up, &down, 6, 2, "S\3......", 8, &desc, reply), 8);
    assert_int_equal(*(uint8_t *)reply, EINVAL); /* more than the device allows */
    assert_int_equal(guest_ask(relid, &up, &down, 6, 2, "S\2......", 8, &desc, reply), 8);
    assert_int_equal(*(uint8_t *)reply, 0);
    for (unsigned i = 0; i < 2; i++) {
        memcpy(&m[i], guest_take(VMBUS_MSG_OFFERCHANNEL, 196), sizeof(m[i]));
        assert_int_equal(m[i].sub_channel_index, i + 1);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(guest_open(m[i].relid, 20 + i, 100 + 8 * i, &u[i], &d[i]), 0);
        echo_works(m[i].relid, &u[i], &d[i]);
    }
    assert_int_equal(guest_ask(relid, &up, &down, 6, 2, "S\1......", 8, &desc, reply), 8);
    assert_int_equal(*(uint8_t *)reply, EINVAL);
    close_channel(m[0].relid, 20);
    close_channel(relid, 7); /* and the other one is closed for it */
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
    assert_int_equal(closes, 3);
    guest_relid(VMBUS_MSG_RELID_RELEASED, m[0].relid);
    guest_relid(VMBUS_MSG_RELID_RELEASED, m[1].relid);
    assert_int_equal(guest_open(relid, 7, 16, &up, &down), 0);
    echo_works(relid, &up, &down);
}

static void test_retarget(void **state)
{
    const struct vmbus_msg_modifychannel m = {
        .header.type = VMBUS_MSG_MODIFYCHANNEL, .relid = relid, .target_vp = 3};
    struct vmbus_msg_modifychannel_response r;

    guest_post(&m, sizeof(m));
    memcpy(&r, guest_take(VMBUS_MSG_MODIFYCHANNEL_RESPONSE, sizeof(r)), sizeof(r));
    assert_int_equal(r.status, 0);
    echo_works(relid, &up, &down);
    assert_int_equal(signal_vp, 3);
}

/* A direct packet: 5000 bytes from byte 100 of page `first` on, then of page `second`. */
static long direct(uint32_t length, uint64_t first, uint64_t second)
{
    struct {
        uint32_t reserved, count, length, offset;
        uint64_t pfns[2];
        uint8_t data[8];
    } body = {0, 1, length, 100, {first, second}, "M"};

    assert_int_equal(guest_ask(relid, &up, &down, 9, 6, &body, sizeof(body), &desc, reply), 8);
    return map_result;
}

static void test_map(void **state)
{
    memset(ram + 200 * 4096, 1, 4096);
    memset(ram + 201 * 4096, 3, 4096);
    assert_int_equal(direct(5000, 200, 201), 1);
    assert_int_equal(*(uint8_t *)reply, (uint8_t)(3996 - 3 + 3 * 1004));
    assert_int_equal(direct(5000, 201, 200), 2);
    assert_int_equal(*(uint8_t *)reply, (uint8_t)(3 * (3996 - 3) + 1004));
    assert_int_equal(direct(5000, 200, RAM_PAGES), -EFAULT);
    assert_int_equal(direct(5000, UINT64_MAX, 0), -EFAULT);
    assert_int_equal(direct(5000, 1ULL << 52, 0), -EFAULT);
    assert_int_equal(direct(0, 1, 2), -EFAULT); /* there is no byte 3 */
}

static void test_map_gpadl(void **state)
{
    memset(ram + 300 * 4096, 0, 2 * 4096);
    memset(ram + 300 * 4096 + 4000, 2, 200);
    assert_int_equal(guest_ask(relid, &up, &down, 6, 2, "G.......", 8, &desc, reply), 8);
    assert_int_equal(map_result, -EFAULT);
    guest_gpadl(relid, 9, 2, 300);
    assert_int_equal(guest_ask(relid, &up, &down, 6, 2, "G.......", 8, &desc, reply), 8);
    assert_int_equal(map_result, 1);
    assert_int_equal(*(uint8_t *)reply, (uint8_t)400);
    guest_teardown(relid, 9);
    guest_gpadl(relid, 9, 1, 300); /* too short */
    assert_int_equal(guest_ask(relid, &up, &down, 6, 2, "G.......", 8, &desc, reply), 8);
    assert_int_equal(map_result, -EFAULT);
}

static void test_transfer(void **state)
{
    static const uint32_t head[] = {77, 2, 10, 20, 30, 40};

    assert_int_equal(guest_ask(relid, &up, &down, 6, 2, "T.......", 8, &desc, reply), 32);
    assert_int_equal(desc.type, VMPACKET_DATA_TRANSFER_PAGES);
    assert_int_equal(desc.flags, VMPACKET_COMPLETION_WANTED);
    assert_int_equal(desc.offset8, 5);
    assert_memory_equal(reply, head, sizeof(head));
    assert_memory_equal((uint8_t *)reply + sizeof(head), "data\0\0\0\0", 8);
}

/* A ring that makes no sense breaks its channel, no more: the guest may close it and go on. */
static void test_broken(void **state)
{
    guest_set(&guest_control(&up)->write_index, 12);
    breaks(relid, &echoes[0]);
    close_channel(relid, 7);
    assert_int_equal(guest_open(relid, 7, 16, &up, &down), 0);
    echo_works(relid, &up, &down);
    assert_int_equal(guest_put(&up, 9, 2, 0, 1, "no range", 8), 1); /* GPA direct without ranges */
    breaks(relid, &echoes[0]);
    close_channel(relid, 7);
    assert_int_equal(guest_open(relid, 7, 16, &up, &down), 0);
    assert_int_equal(guest_put(&up, 10, 2, 0, 1, "cancel..", 8), 1); /* nobody cares */
    guest_signal(VMBUS_CONNECTION_SIGNALS + relid);
    echo_works(relid, &up, &down);
}

/* A ring full of packets of no kind that anybody knows: a guest could refill it for ever, and the
 * VSP's thread would never come back from it. */
static void test_useless(void **state)
{
    unsigned n = 0;

    while (guest_put(&up, 10, 2, 0, 1, "nothing.", 8) >= 0)
        n++;
    assert_true(n > 256);
    breaks(relid, &echoes[0]);
    close_channel(relid, 7);
}

static void test_open_bad_rings(void **state)
{
    struct vmbus_msg_openchannel m = {.header.type = VMBUS_MSG_OPENCHANNEL,
                                      .relid = relid,
                                      .ring_gpadl = 8,
                                      .downstream_offset = 4};
    struct vmbus_msg_openchannel_result r;

    close_channel(relid, 7);
    guest_gpadl(relid, 8, 8, 32);
    ((struct vmbus_ring_control *)(void *)(ram + 36 * 4096))->read_index = 1;
    guest_post(&m, sizeof(m));
    memcpy(&r, guest_take(VMBUS_MSG_OPENCHANNEL_RESULT, sizeof(r)), sizeof(r));
    assert_int_not_equal(r.status, 0);
    assert_int_equal(opens, 1);
}

static void test_pipe(void **state)
{
    struct guest_ring u, d;
    struct vmbus_msg_offerchannel m;
    struct vmbus_device *pipe = add(server, 3, true);
    struct {
        uint32_t type, length;
        char data[8];
    } body = {1, 5, "Epipe"};

    memcpy(&m, guest_take(VMBUS_MSG_OFFERCHANNEL, 196), sizeof(m));
    assert_int_equal(m.flags, VMBUS_OFFER_NAMED_PIPE_MODE);
    assert_int_equal(guest_open(m.relid, 8, 32, &u, &d), 0);
    assert_int_equal(guest_ask(m.relid, &u, &d, 6, 2, &body, sizeof(body), &desc, reply), 8);
    assert_memory_equal(reply, "Epipe\0\0\0", 8); /* completions have no header */
    body.length = 9;
    assert_int_equal(guest_put(&u, 6, 2, 0, 1, &body, sizeof(body)), 1);
    breaks(m.relid, &echoes[1]);
    close_channel(m.relid, 8);
    vmbus_server_remove(server, pipe);
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
}

static void test_reset(void **state)
{
    echo_works(relid, &up, &down);
    vmbus_server_reset(server);
    assert_int_equal(closes, 1);
    assert_int_equal(connection_count, 0);
    guest_connect(VMBUS_VERSION_5_3);
    assert_int_equal(guest_offers(1), relid);
    assert_int_equal(guest_open(relid, 7, 16, &up, &down), 0);
    vmbus_server_pause(server);
    vmbus_server_reset(server);
    assert_int_equal(closes, 2);
    vmbus_server_resume(server);
    guest_connect(VMBUS_VERSION_5_3);
}

static void test_pause(void **state)
{
    const struct vmbus_msg_header m = {.type = VMBUS_MSG_UNLOAD};

    vmbus_server_pause(server);
    assert_int_equal(vmbus_server_message(server, 4, &m, sizeof(m)), -EAGAIN);
    echo_works(relid, &up, &down); /* rings are the VSP's */
    vmbus_server_resume(server);
    guest_header(VMBUS_MSG_UNLOAD);
    (void)guest_take(VMBUS_MSG_UNLOAD_RESPONSE, 8);
}

static uint8_t saved[1 << 16];

/* Stop the VSPs as a worker would, save, and go on in another server. */
static size_t save_and_stop(void)
{
    struct save_writer w = {.buf = saved, .size = sizeof(saved)};

    assert_int_equal(vmbus_server_save(server, &w), -EBUSY);
    vmbus_server_pause(server);
    for (unsigned i = 0; i < CHANNELS; i++)
        if (echoes[i].running) {
            echo_close(NULL, echoes[i].channel, 0);
            closes--;
        }
    assert_int_equal(vmbus_server_save(server, &w), 0);
    vmbus_server_resume(server);
    vmbus_server_remove(server, device);
    vmbus_server_destroy(server);
    slot.full = false; /* the guest does not see what happens to the old machine */
    return w.len;
}

static void test_save(void **state)
{
    struct save_reader r = {.buf = saved};

    guest_gpadl(relid, 9, 2, 300);
    echo_works(relid, &up, &down);
    r.size = save_and_stop();
    assert_int_equal(guest_put(&up, 6, 2, 0, 0xABC, "Esaved..", 8), 1); /* nobody is there */

    server_new(&server);
    device = add(server, 1, false);
    assert_int_equal(vmbus_server_load(server, &r), -EBUSY);
    vmbus_server_pause(server);
    assert_int_equal(vmbus_server_load(server, &r), 0);
    vmbus_server_resume(server);
    assert_true(echoes[0].restored);
    while (guest_get(&down, &desc, reply, &(bool){false}) < 0)
        assert_true(guest_interrupted(PATIENCE_MS));
    assert_memory_equal(reply, "Esaved..", 8);
    echo_works(relid, &up, &down);
    assert_int_equal(guest_ask(relid, &up, &down, 6, 2, "G.......", 8, &desc, reply), 8);
    assert_int_equal(map_result, 1);
    close_channel(relid, 7);
    assert_int_equal(guest_open(relid, 7, 16, &up, &down), 0);
    echo_works(relid, &up, &down);
}

/* A device that is not there any more is withdrawn, one that is new is offered. */
static void test_save_other_devices(void **state)
{
    struct save_reader r = {.buf = saved};
    struct vmbus_msg_offerchannel m;

    r.size = save_and_stop();
    server_new(&server);
    device = add(server, 2, false);
    vmbus_server_pause(server);
    assert_int_equal(vmbus_server_load(server, &r), 0);
    vmbus_server_resume(server);
    memcpy(&m, guest_take(VMBUS_MSG_OFFERCHANNEL, 196), sizeof(m));
    assert_int_equal(m.instance[0], 2);
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
    guest_relid(VMBUS_MSG_RELID_RELEASED, relid);
    assert_int_equal(guest_open(m.relid, 7, 16, &up, &down), 0);
    echo_works(m.relid, &up, &down);
}

/* A VSP that does not open again, or a state that is cut off: the guest must come anew. */
static void test_load_fails(void **state)
{
    size_t len = save_and_stop();
    struct save_reader r = {.buf = saved, .size = len};

    server_new(&server);
    device = add(server, 1, false);
    vmbus_server_pause(server);
    open_answer = -EIO;
    assert_int_equal(vmbus_server_load(server, &r), -EIO);
    opens--;
    open_answer = 0;
    for (size_t i = 0; i < len; i++) {
        r = (struct save_reader){.buf = saved, .size = i};
        assert_int_not_equal(vmbus_server_load(server, &r), 0);
    }
    vmbus_server_resume(server);
    guest_connect(VMBUS_VERSION_5_3);
    relid = guest_offers(1);
    assert_int_equal(guest_open(relid, 7, 16, &up, &down), 0);
    echo_works(relid, &up, &down);
}

static void test_recorder(void **state)
{
    struct {
        char magic[8];
        uint32_t version, size, count, zero;
        uint64_t oldest, next, monotonic, realtime;
    } h;
    struct vmbus_record r;
    const char *path = getenv("VMBUS_RECORDING"); /* to keep one */
    char name[] = "/tmp/vmbus-recording-XXXXXX";
    int fd = mkstemp(name);
    unsigned kinds = 0;
    uint64_t last = 0;

    assert_true(fd >= 0);
    for (int i = 0; i < 20; i++)
        echo_works(relid, &up, &down);
    close_channel(relid, 7);
    assert_int_equal(vmbus_recorder_dump(vmbus_server_recorder(server), fd), 0);
    assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
    assert_memory_equal(h.magic, "BHVMBREC", 8);
    assert_int_equal(h.version, VMBUS_RECORDER_VERSION);
    assert_int_equal(h.size, sizeof(r));
    assert_int_equal(h.oldest, 1);
    assert_true(h.count > 40);
    for (uint32_t i = 0; i < h.count; i++) {
        assert_int_equal(pread(fd, &r, sizeof(r), (off_t)(sizeof(h) + i * sizeof(r))), sizeof(r));
        assert_true(r.number > last);
        assert_true(r.data_length <= VMBUS_RECORD_DATA && r.data_length <= r.length);
        last = r.number;
        kinds |= 1U << r.kind;
    }
    assert_int_equal(kinds, 0xFE);
    for (unsigned i = 0; i < 2 * VMBUS_RECORDER_SLOTS; i++)
        vmbus_record(vmbus_server_recorder(server), VMBUS_RECORD_RESET, i, 0, NULL, 0, NULL, 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    if (path)
        assert_int_equal(rename(name, path), 0);
    else
        (void)unlink(name);
    (void)close(fd);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(vmbus_recorder_dump(vmbus_server_recorder(server), fd), -EBADF);
    (void)close(fd);
    assert_int_equal(guest_open(relid, 7, 16, &up, &down), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_life),
        TEST(test_open_refused),
        TEST(test_slot_busy),
        TEST(test_useless),
        TEST(test_hot_remove_and_add),
        TEST(test_subs),
        TEST(test_retarget),
        TEST(test_map),
        TEST(test_map_gpadl),
        TEST(test_transfer),
        TEST(test_broken),
        TEST(test_open_bad_rings),
        TEST(test_pipe),
        TEST(test_reset),
        TEST(test_pause),
        TEST(test_save),
        TEST(test_save_other_devices),
        TEST(test_load_fails),
        TEST(test_recorder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
