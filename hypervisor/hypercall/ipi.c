/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/hypercall/vpset.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/string.h"

/* HV_INPUT_VTL: bits 3..0 name the level if bit 4 is set. There is only level 0. */
#define INPUT_VTL_USE_TARGET 0x10U

static uint16_t ipi_check(uint32_t vector, uint8_t vtl, const uint8_t reserved[3])
{
    if (vector < HV_IPI_LOW_VECTOR || vector > HV_IPI_HIGH_VECTOR)
        return HV_STATUS_INVALID_PARAMETER;
    if ((vtl & ~INPUT_VTL_USE_TARGET) || reserved[0] || reserved[1] || reserved[2])
        return HV_STATUS_INVALID_PARAMETER;
    return HV_STATUS_SUCCESS;
}

/* VPs of the mask that do not exist are left out, as real hypervisors do. */
static void ipi_send(struct partition *p, const struct vp_mask *mask, uint8_t vector)
{
    for (uint32_t i = 0; i < PARTITION_MAX_VPS; i++) {
        struct vp *target;

        if (!(mask->words[i / 64] & BIT64(i % 64)))
            continue;
        target = partition_vp(p, i);
        if (target)
            vapic_ipi_fixed(target, vector);
    }
}

uint16_t hypercall_send_ipi(struct hypercall *h)
{
    struct partition *p = h->vp->partition;
    struct hv_send_ipi in;
    struct vp_mask mask;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    status = ipi_check(in.vector, in.target_vtl, in.reserved);
    if (status != HV_STATUS_SUCCESS)
        return status;
    vp_mask_word(p, in.cpu_mask, &mask);
    ipi_send(p, &mask, (uint8_t)in.vector);
    return HV_STATUS_SUCCESS;
}

uint16_t hypercall_send_ipi_ex(struct hypercall *h)
{
    struct hv_send_ipi_ex in;
    struct vp_mask mask;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    status = ipi_check(in.vector, in.target_vtl, in.reserved);
    if (status == HV_STATUS_SUCCESS)
        status = vp_mask_from_set(h, &in.vp_set, &mask);
    if (status != HV_STATUS_SUCCESS)
        return status;
    ipi_send(h->vp->partition, &mask, (uint8_t)in.vector);
    return HV_STATUS_SUCCESS;
}
