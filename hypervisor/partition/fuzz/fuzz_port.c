/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_port.h"

/*
 * A parent makes and removes ports and connections of itself and two children while all of them
 * send and write to doorbells. Input: 32 bytes a step, what to do and an input of the call with
 * small numbers, so that ids and addresses meet. Nothing may be used after it was freed (the memory
 * is poisoned then), every call ends with a named status, and in the end everything has come back.
 */

#define STEP_MAX 256U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct step {
    uint8_t what, who, port_owner, connector;
    uint16_t id, port_id;
    uint8_t type, sint, vp, flags;
    uint16_t base, count;
    uint8_t gpa, value, size, memory;
    uint8_t rest[12];
};
_Static_assert(sizeof(struct step) == 32, "one step");

static void check(bool cond)
{
    if (!cond)
        abort();
}

static uint64_t partition_of(uint8_t n)
{
    static const uint64_t ids[] = {PARTITION_ROOT_ID, 10, 11, HV_PARTITION_ID_SELF, 99, 10, 10, 1};

    return ids[n % ARRAY_SIZE(ids)];
}

static uint32_t vp_of(uint8_t n)
{
    return n == 0xFF ? HV_ANY_VP : n;
}

static void put(const void *in, size_t len)
{
    memcpy(call.in, in, len);
}

static uint16_t create(const struct step *s)
{
    struct hv_input_create_port in = {
        .port_partition_id = partition_of(s->port_owner),
        .port_id = s->port_id,
        .connection_partition_id = partition_of(s->connector),
        .port_info.port_type = s->type % 8,
    };

    in.port_info.u.event.target_sint = s->sint;
    in.port_info.u.event.target_vp = vp_of(s->vp);
    in.port_info.u.event.base_flag_number = s->base;
    in.port_info.u.event.flag_count = s->count;
    put(&in, sizeof(in));
    return hypercall_create_port(&call);
}

static uint16_t connect(const struct step *s)
{
    struct hv_input_connect_port in = {
        .connection_partition_id = partition_of(s->connector),
        .connection_id = s->id,
        .port_partition_id = partition_of(s->port_owner),
        .port_id = s->port_id,
        .connection_info.port_type = s->type % 8,
    };

    in.connection_info.u.doorbell.gpa = s->gpa * 4096ULL;
    in.connection_info.u.doorbell.trigger_value = s->value;
    in.connection_info.u.doorbell.flags =
        s->size | (s->flags & 1 ? HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE : 0);
    put(&in, sizeof(in));
    return hypercall_connect_port(&call);
}

static uint16_t post(const struct step *s)
{
    struct hv_input_post_message in = {s->id, 0, s->type, s->size, {0}};

    put(&in, sizeof(in));
    return hypercall_post_message(&call);
}

static uint16_t one(const struct step *s)
{
    struct hv_input_delete_port del = {partition_of(s->port_owner), s->port_id, 0};
    struct hv_input_disconnect_port dis = {partition_of(s->connector), s->id, s->flags & 3};
    struct hv_input_signal_event event = {s->id, s->base, 0};
    struct hv_input_notify_port_ring_empty empty = {s->sint, 0};

    switch (s->what % 9) {
    case 0:
    case 1:
        return create(s);
    case 2:
        put(&del, sizeof(del));
        return hypercall_delete_port(&call);
    case 3:
    case 4:
        return connect(s);
    case 5:
        put(&dis, sizeof(dis));
        return hypercall_disconnect_port(&call);
    case 6:
        put(&event, sizeof(event));
        return s->flags & 1 ? post(s) : hypercall_signal_event(&call);
    case 7:
        ports.in_ring = 0;
        put(&empty, sizeof(empty));
        return hypercall_notify_port_ring_empty(&call);
    default:
        port_doorbell(&ports.child[s->who & 1], gpa(s->gpa * 4096ULL), s->size % 9, s->value);
        if (s->flags == 0xFF)
            ports_destroy(&ports.child[s->who & 1]);
        return HV_STATUS_SUCCESS;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    shim_ports_start(20);
    ports.ring_size = 3;
    for (unsigned i = 0; i < STEP_MAX && size >= sizeof(struct step); i++) {
        struct step s;
        uint16_t status;

        memcpy(&s, data, sizeof(s));
        data += sizeof(s);
        size -= sizeof(s);
        call.vp = s.what % 9 == 6 && (s.who & 3) ? &ports.vp[s.who & 1] : &shim.vps[s.who & 3];
        call.intercepted = false;
        status = one(&s);
        check(status == HV_STATUS_SUCCESS ||
              (status >= HV_STATUS_INVALID_PARAMETER && status <= HV_STATUS_NO_RESOURCES));
        check(ports.holds == 0 && ports.in_ring <= ports.ring_size);
    }
    check(shim_ports_clean());
    return 0;
}
