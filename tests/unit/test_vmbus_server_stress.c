/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include "tests/unit/shim_vmbus_host.h"

/*
 * A guest that posts whatever comes to its mind, while the host adds, removes, pauses and resets:
 * nothing hangs, each open finds its close, and in the end a guest that behaves is served.
 */

#define DEVICES    4
#define GUEST_RUNS 10000000
#define HOST_RUNS  1000
#define CHANNELS   16

static struct vsp {
    struct vmbus_channel *channel;
    pthread_t thread;
    int stop;
} vsps[CHANNELS];

static _Atomic unsigned opens, closes;
static _Atomic bool guest_ends;

static void *vsp_thread(void *arg)
{
    struct vsp *v = arg;
    struct pollfd polls[2] = {{.fd = v->stop, .events = POLLIN},
                              {.fd = vmbus_channel_fd(v->channel), .events = POLLIN}};
    uint64_t buf[64], count;
    struct vmbus_packet p;

    while (poll(polls, 2, -1) > 0 && !polls[0].revents) {
        (void)!read(polls[1].fd, &count, sizeof(count));
        for (int i = 0; i < 100 && vmbus_channel_receive(v->channel, &p, buf, sizeof(buf)) == 1;
             i++)
            if (vmbus_channel_send(v->channel, VMBUS_PACKET_COMPLETION, p.transaction, false,
                                   p.data, p.length) < 0)
                break;
        if (vmbus_channel_vp(v->channel) == 3)
            (void)vmbus_channel_offer_subs(v->channel, 1);
        vmbus_channel_signal(v->channel);
    }
    return NULL;
}

static int vsp_open(void *device, struct vmbus_channel *channel, unsigned sub)
{
    struct vsp *v = NULL;

    for (unsigned i = 0; i < CHANNELS && !v; i++)
        v = vsps[i].channel ? NULL : &vsps[i];
    if (!v || (opens & 7) == 7) {
        opens++;
        closes++;
        return -EBUSY;
    }
    opens++;
    v->channel = channel;
    v->stop = eventfd(0, EFD_CLOEXEC);
    return -pthread_create(&v->thread, NULL, vsp_thread, v);
}

static void vsp_close(void *device, struct vmbus_channel *channel, unsigned sub)
{
    const uint64_t one = 1;

    closes++;
    for (unsigned i = 0; i < CHANNELS; i++) {
        if (vsps[i].channel != channel)
            continue;
        (void)!write(vsps[i].stop, &one, sizeof(one));
        (void)pthread_join(vsps[i].thread, NULL);
        (void)close(vsps[i].stop);
        vsps[i].channel = NULL;
        return;
    }
}

static const struct vmbus_device_ops ops = {vsp_open, vsp_close};

static uint32_t random_next(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1103515245U + 12345U;
    return (*seed >> 16) % below;
}

static void post(const void *message, size_t len)
{
    (void)vmbus_server_message(server, VMBUS_CONNECTION_MESSAGES_4, message, len);
}

static void slot_empty(void)
{
    (void)pthread_mutex_lock(&slot.lock);
    slot.full = false;
    (void)pthread_mutex_unlock(&slot.lock);
    vmbus_server_retry(server);
}

static void post_contact(uint32_t version)
{
    const struct vmbus_msg_initiate_contact m = {
        .header.type = VMBUS_MSG_INITIATE_CONTACT, .version = version, .target_sint = 2};
    const struct vmbus_msg_header h = {.type = VMBUS_MSG_REQUESTOFFERS};

    post(&m, sizeof(m));
    slot_empty();
    post(&h, sizeof(h));
}

static void post_gpadl(uint32_t relid, uint32_t id)
{
    struct {
        struct vmbus_msg_gpadl_header h;
        uint32_t words[18];
    } g = {{.header.type = VMBUS_MSG_GPADL_HEADER,
            .relid = relid,
            .gpadl = id,
            .range_bytes = 72,
            .range_count = 1},
           {8 * 4096}};

    for (uint32_t i = 0; i < 8; i++)
        g.words[2 + 2 * i] = id * 8 + i;
    post(&g, sizeof(g));
}

static void post_open(uint32_t relid, uint32_t gpadl, uint32_t vp)
{
    const struct vmbus_msg_openchannel m = {.header.type = VMBUS_MSG_OPENCHANNEL,
                                            .relid = relid,
                                            .ring_gpadl = gpadl,
                                            .target_vp = vp,
                                            .downstream_offset = 4};
    post(&m, sizeof(m));
}

static void post_three(uint32_t type, uint32_t a, uint32_t b)
{
    const struct vmbus_msg_modifychannel m = {.header.type = type, .relid = a, .target_vp = b};

    post(&m, sizeof(m));
}

static void *guest(void *arg)
{
    uint32_t seed = 1;

    for (unsigned i = 0; i < GUEST_RUNS && !guest_ends; i++) {
        uint32_t relid = 1 + random_next(&seed, 8), id = relid, what = random_next(&seed, 64);
        if (what == 0)
            post_contact(VMBUS_VERSION_5_3);
        else if (what == 1)
            post_three(VMBUS_MSG_UNLOAD, 0, 0);
        else if (what < 4)
            post_three(VMBUS_MSG_REQUESTOFFERS, 0, 0);
        else if (what < 16)
            post_gpadl(relid, id);
        else if (what < 32)
            post_open(relid, id, random_next(&seed, VPS));
        else if (what < 40)
            post_three(VMBUS_MSG_CLOSECHANNEL, relid, 0);
        else if (what < 44)
            post_three(VMBUS_MSG_GPADL_TEARDOWN, relid, id);
        else if (what < 50)
            post_three(VMBUS_MSG_RELID_RELEASED, relid, 0);
        else if (what < 56)
            post_three(VMBUS_MSG_MODIFYCHANNEL, relid, random_next(&seed, VPS + 1));
        slot_empty();
    }
    return NULL;
}

static struct vmbus_device *add(uint8_t number)
{
    const struct vmbus_offer o = {
        .type.bytes = {1}, .instance.bytes = {number}, .sub_channel_max = 3};
    struct vmbus_device *d = NULL;

    assert_int_equal(vmbus_server_add(server, &o, &ops, NULL, &d), 0);
    return d;
}

static void host_step(uint32_t *seed, struct vmbus_device **devices)
{
    static uint8_t saved[1 << 20];
    struct save_writer w = {.buf = saved, .size = sizeof(saved)};
    struct vmbus_server_stats s;
    uint32_t n = random_next(seed, DEVICES);

    switch (random_next(seed, 8)) {
    case 0:
        vmbus_server_reset(server);
        break;
    case 1:
        vmbus_server_pause(server);
        vmbus_server_resume(server);
        break;
    case 2:
        vmbus_server_stats(server, &s);
        assert_int_equal(vmbus_server_save(server, &w), -EBUSY);
        break;
    case 3:
        vmbus_server_remove(server, devices[n]);
        devices[n] = add((uint8_t)n);
        break;
    default:
        (void)usleep(random_next(seed, 2000));
    }
}

static void behave(struct vmbus_device *device)
{
    struct guest_ring up, down;
    struct vmpacket_descriptor d;
    uint64_t body[8];
    uint32_t relid;

    vmbus_server_reset(server);
    opens = closes = 0;
    slot.full = false;
    guest_connect(VMBUS_VERSION_6_0);
    relid = guest_offers(DEVICES);
    assert_int_equal(guest_open(relid, 7, 16, &up, &down), 0);
    assert_int_equal(guest_ask(relid, &up, &down, 6, 2, "It works", 8, &d, body), 8);
    assert_memory_equal(body, "It works", 8);
}

static void test_stress(void **state)
{
    struct vmbus_device *devices[DEVICES];
    pthread_t thread;
    uint32_t seed = 7;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    machine_start();
    for (uint8_t i = 0; i < DEVICES; i++)
        devices[i] = add(i);
    assert_int_equal(pthread_create(&thread, NULL, guest, NULL), 0);
    for (unsigned i = 0; i < HOST_RUNS; i++)
        host_step(&seed, devices);
    guest_ends = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(vmbus_recorder_dump(vmbus_server_recorder(server), null), 0);
    (void)close(null);
    print_message("%u opens\n", opens);
    behave(devices[0]);
    for (unsigned i = 0; i < DEVICES; i++)
        vmbus_server_remove(server, devices[i]);
    assert_int_equal(opens, closes);
    machine_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stress)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
