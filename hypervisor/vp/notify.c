/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/notify.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/vp/handoff.h"
#include "hypervisor/vp/vpreg.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Lists of VPs whose parent has not been told yet, one for each VP of the parent. */
static struct spinlock lock; /* rank "notices", before "partition"; protects all lists */

static uint16_t execution_state(const struct vp *vp)
{
    uint16_t state = (uint16_t)(vp_cpl(vp) & HV_EXECUTION_STATE_CPL_MASK);

    if (vendor_vp_get(vp, VREG_CR0) & CR0_PE)
        state |= HV_EXECUTION_STATE_CR0_PE;
    if (vendor_vp_get(vp, VREG_EFER) & EFER_LMA)
        state |= HV_EXECUTION_STATE_EFER_LMA;
    if (vendor_vp_event_pending(vp))
        state |= HV_EXECUTION_STATE_INTERRUPTION_PENDING;
    if (vendor_vp_in_shadow(vp))
        state |= HV_EXECUTION_STATE_INTERRUPT_SHADOW;
    return state;
}

/* A segment register as messages show it. */
void notify_segment(const struct vp *vp, enum seg s, struct hv_x64_segment_register *out)
{
    struct segment from;

    vendor_vp_get_segment(vp, s, &from);
    *out = (struct hv_x64_segment_register){from.base, from.limit, from.selector, from.attributes};
}

void notify_header(struct vp *vp, struct hv_x64_intercept_message_header *h, uint8_t insn_len,
                   uint8_t access)
{
    *h = (struct hv_x64_intercept_message_header){
        .vp_index = vp->index.v,
        .length_cr8 = (uint8_t)((insn_len & 0xf) | (vapic_tpr_get(vp) & 0xf0)),
        .intercept_access_type = access,
        .execution_state = execution_state(vp),
        .rip = vp->regs.rip,
        .rflags = vp->regs.rflags,
    };
    notify_segment(vp, SEG_CS, &h->cs_segment);
}

/* The VP of the parent that belongs to this LP, or its first. */
static struct vp *receiver(const struct vp *vp)
{
    struct vp *here = partition_vp(vp->partition->parent, this_lp()->index);

    return here ? here : partition_vp(vp->partition->parent, 0);
}

/* Offer the notice; true if it is delivered. */
static bool tell(struct vp *vp, struct vp *to)
{
    struct hv_message m = {
        .header = {.message_type = HVMSG_OPAQUE_INTERCEPT,
                   .payload_size = sizeof(struct hv_opaque_intercept_message),
                   .sender = vp->partition->id},
    };
    const struct hv_opaque_intercept_message payload = {vp->index.v};

    memcpy(m.payload, &payload, sizeof(payload));
    return synic_offer_message(to, SINT_INTERCEPT, &m) == 0;
}

/* As many as find room. Under the lock. */
static void tell_waiting(struct vp *to)
{
    struct list *it = to->notices.next;

    while (it != &to->notices) {
        struct vp *vp = container_of(it, struct vp, notice.link);

        if (!tell(vp, to))
            return;
        it = it->next;
        list_remove(&vp->notice.link);
        vp->notice.to = NULL;
    }
}

void notify_intercept(struct vp *vp, uint32_t type, const void *payload, size_t len)
{
    struct vp *to = receiver(vp);

    assert_hv(len <= HV_MESSAGE_PAYLOAD_BYTES);
    if (vp->message_page) {
        struct hv_message *m = vp->message_page;

        memset(m, 0, sizeof(*m));
        m->header.message_type = type;
        m->header.payload_size = (uint8_t)len;
        m->header.sender = vp->partition->id;
        memcpy(m->payload, payload, len);
    }
    vpreg_page_fill(vp);
    vp_count(vp, VPC_INTERCEPTS);
    /* Suspended before anybody hears of it; the answer may come at once. */
    atomic_fetch_or_explicit(&vp->suspend, VP_SUSPEND_INTERCEPT, memory_order_seq_cst);
    if (handoff_intercept(vp))
        return;
    spin_lock(&lock);
    /* A parent that let the VP go without having heard of the last intercept hears of it once. */
    if (!vp->notice.to) {
        vp->notice.to = to;
        list_append(&to->notices, &vp->notice.link);
    }
    tell_waiting(vp->notice.to);
    spin_unlock(&lock);
}

void notify_retry(struct vp *parent_vp)
{
    if (list_empty(&parent_vp->notices))
        return; /* whoever adds one tries at once */
    spin_lock(&lock);
    tell_waiting(parent_vp);
    spin_unlock(&lock);
}

void notify_cancel(struct vp *vp)
{
    spin_lock(&lock);
    list_remove(&vp->notice.link);
    vp->notice.to = NULL;
    spin_unlock(&lock);
}
