/* SPDX-License-Identifier: MIT */
/* The guest's SynIC behind /dev/mshv. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include "abi/bulkhead.h"
#include "abi/tlfs/hypercall.h"
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/management.h"
#include "abi/tlfs/status.h"
#include "lib/bits.h"
#include "vmwp/hv_mshv_priv.h"

int hv_connections_take(struct hv *hv, struct problem *why)
{
    const struct hv_input_install_intercept in = {
        .access_type = HV_INTERCEPT_ACCESS_MASK_EXECUTE,
        .intercept_type = HV_INTERCEPT_TYPE_UNKNOWN_SYNIC_CONNECTION,
    };
    const struct mshv_call c = {HVCALL_INSTALL_INTERCEPT, 0, &in, sizeof(in), NULL, 0};
    uint16_t status = 0;
    int err = mshv_call(hv->partition, &c, &status);

    return err ? mshv_refused(why, "VMBus: messages of the guest", err, status) : 0;
}

int hv_message_post(struct hv *hv, uint32_t vp, uint32_t sint, uint32_t type, const void *payload,
                    size_t size)
{
    struct hv_message m = {.header = {.message_type = type, .payload_size = (uint8_t)size}};
    struct hv_input_post_message_direct in = {.vp_index = vp, .sint_index = sint};
    const struct mshv_call c = {HVCALL_POST_MESSAGE_DIRECT, 0, &in, sizeof(in), NULL, 0};
    uint16_t status = 0;
    int err;

    if (size > sizeof(m.payload))
        return -EMSGSIZE;
    memcpy(m.payload, payload, size);
    memcpy(in.message, &m, sizeof(m));
    err = mshv_call(hv->partition, &c, &status);
    switch (status) {
    case HV_STATUS_INSUFFICIENT_BUFFERS:
        return -EAGAIN;
    case HV_STATUS_INVALID_SYNIC_STATE:
        return -ENODEV;
    default:
        return err;
    }
}

int hv_message_await(struct hv *hv, uint32_t vp, uint32_t sint)
{
    const struct {
        struct hv_input_vp_registers head;
        struct hv_register_assoc reg;
    } in = {
        .head = {.vp_index = vp},
        .reg = {.name = HV_REGISTER_DELIVERABILITY_NOTIFICATIONS,
                .value = {.reg64 = BIT64(HV_DELIVERABILITY_SINT_SHIFT + sint)}},
    };
    const struct mshv_call c = {HVCALL_SET_VP_REGISTERS, 1, &in, sizeof(in), NULL, 0};

    return mshv_call(hv->partition, &c, NULL);
}

int hv_event_signal(struct hv *hv, uint32_t vp, uint32_t sint, uint32_t flag)
{
    const struct hv_input_signal_event_direct in = {
        .target_vp = vp, .target_sint = (uint8_t)sint, .flag_number = (uint16_t)flag};
    struct hv_output_signal_event_direct out;
    const struct mshv_call c = {HVCALL_SIGNAL_EVENT_DIRECT, 0, &in, sizeof(in), &out, sizeof(out)};

    return mshv_call(hv->partition, &c, NULL);
}

static int event(struct hv *hv, uint32_t connection, int fd, uint32_t flags)
{
    const struct bulkhead_event args = {.connection_id = connection, .fd = fd, .flags = flags};

    return ioctl(hv->partition, BULKHEAD_EVENT, &args) < 0 ? -errno : 0;
}

int hv_event_connect(struct hv *hv, uint32_t connection, int fd)
{
    return event(hv, connection, fd, 0);
}

int hv_event_disconnect(struct hv *hv, uint32_t connection, int fd)
{
    return event(hv, connection, fd, BIT(BULKHEAD_EVENT_BIT_DEASSIGN));
}
