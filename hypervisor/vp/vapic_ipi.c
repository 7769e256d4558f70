/* SPDX-License-Identifier: MIT */
#include "hypervisor/debug/trace.h"
#include "hypervisor/vp/vapic_priv.h"

/*
 * Interrupt messages: which APICs a destination means, and what each delivery
 * mode does there (SDM volume 3 "Determining IPI Destination", "Interrupt
 * Command Register").
 */

void vapic_ipi_fixed(struct vp *target, uint8_t vector)
{
    vapic_set_irr(target, vector, false);
}

static bool match_logical_xapic(const struct vp *vp, uint32_t dest)
{
    uint32_t ldr = atomic_load_explicit(&vp->apic.state.ldr, memory_order_relaxed);
    uint32_t dfr = atomic_load_explicit(&vp->apic.state.dfr, memory_order_relaxed);

    ldr >>= APIC_LDR_SHIFT;
    switch (dfr & APIC_DFR_MASK) {
    case APIC_DFR_FLAT:
        return ldr & dest;
    case APIC_DFR_CLUSTER:
        return (ldr ^ dest) >> 4 == 0 && ldr & dest & 0xF;
    default:
        return false; /* other models are reserved */
    }
}

bool vapic_match(struct vp *vp, uint32_t dest, bool logical, bool x2apic)
{
    uint32_t id = vp->apic_id.v;

    if (!vapic_is_enabled(vp))
        return false;
    if (dest == (x2apic ? X2APIC_DEST_BROADCAST : XAPIC_DEST_BROADCAST))
        return true;
    if (!logical)
        return id == dest;
    if (vapic_is_x2apic(vp))
        return id >> 4 == dest >> 16 && dest & BIT(id & 15);
    return dest <= 0xFF && match_logical_xapic(vp, dest);
}

/* One message at one VP. Fixed and lowest priority differ only in who is chosen. */
static bool deliver(struct vp *vp, enum apic_delivery mode, uint8_t vector, bool level)
{
    switch (mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        vapic_set_irr(vp, vector, level);
        return true;
    case APIC_NMI:
        vp_request(vp, VP_REQ_NMI);
        return true;
    case APIC_INIT:
        vp_request(vp, VP_REQ_INIT);
        return true;
    case APIC_SIPI:
        /* Before the request; vp_request() orders the two. */
        atomic_store_explicit(&vp->sipi_vector, vector, memory_order_release);
        vp_request(vp, VP_REQ_SIPI);
        return true;
    default:
        return false; /* SMI, ExtINT and reserved modes mean nothing here */
    }
}

static uint32_t vp_count_get(struct partition *p)
{
    uint32_t n = atomic_load_explicit(&p->vp_count, memory_order_acquire);

    return n < PARTITION_MAX_VPS ? n : PARTITION_MAX_VPS;
}

/* How many VPs match and take interrupts; *out becomes the one that has `nth` before it. */
static unsigned match_scan(struct partition *p, uint32_t dest, bool logical, bool x2apic,
                           unsigned nth, struct vp **out)
{
    uint32_t count = vp_count_get(p);
    unsigned found = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct vp *vp = partition_vp(p, i);

        if (!vp || !vapic_accepts(vp) || !vapic_match(vp, dest, logical, x2apic))
            continue;
        if (found++ == nth)
            *out = vp;
    }
    return found;
}

/*
 * Lowest priority: the architecture leaves the choice among equals open. Choosing by the
 * vector spreads sources over VPs and keeps each on one, which its caches like.
 */
static struct vp *match_lowest(struct partition *p, uint32_t dest, bool logical, bool x2apic,
                               uint8_t vector)
{
    struct vp *vp = NULL;
    unsigned n = match_scan(p, dest, logical, x2apic, 0, &vp);

    /* If the number shrinks meanwhile, the first one stays chosen. */
    if (n > 1)
        match_scan(p, dest, logical, x2apic, vector % n, &vp);
    return vp;
}

unsigned vapic_route(struct partition *p, uint32_t dest, bool logical, bool x2apic,
                     enum apic_delivery mode, uint8_t vector, bool level)
{
    uint32_t count = vp_count_get(p);
    unsigned reached = 0;

    if (mode == APIC_LOWEST) {
        struct vp *vp = match_lowest(p, dest, logical, x2apic, vector);

        return vp && deliver(vp, mode, vector, level);
    }
    if (!logical && dest != (x2apic ? X2APIC_DEST_BROADCAST : XAPIC_DEST_BROADCAST)) {
        struct vp *vp = partition_vp_by_apic_id(p, dest);

        return vp && vapic_match(vp, dest, logical, x2apic) && deliver(vp, mode, vector, level);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct vp *vp = partition_vp(p, i);

        if (vp && vapic_match(vp, dest, logical, x2apic))
            reached += deliver(vp, mode, vector, level);
    }
    return reached;
}

static void send_to_all(struct vp *vp, bool self, enum apic_delivery mode, uint8_t vector)
{
    uint32_t count = vp_count_get(vp->partition);

    /* INIT and SIPI have no "including self" form (SDM "Valid Combinations for the ICR"). */
    if (mode == APIC_INIT || mode == APIC_SIPI)
        self = false;
    for (uint32_t i = 0; i < count; i++) {
        struct vp *target = partition_vp(vp->partition, i);

        if (target && vapic_is_enabled(target) && (self || target != vp))
            deliver(target, mode, vector, false);
    }
}

static void icr_send(struct vp *vp, uint64_t icr)
{
    enum apic_delivery mode = (icr & APIC_ICR_MODE_MASK) >> APIC_ICR_MODE_SHIFT;
    uint8_t vector = (uint8_t)(icr & APIC_ICR_VECTOR_MASK);
    bool x2apic = vapic_is_x2apic(vp);
    uint32_t dest = (uint32_t)(icr >> (x2apic ? X2APIC_DEST_SHIFT : XAPIC_DEST_SHIFT));

    /* The level de-assert of INIT was for the arbitration ids of APICs long gone. */
    if (mode == APIC_INIT && (icr & APIC_ICR_LEVEL) && !(icr & APIC_ICR_ASSERT))
        return;
    if ((mode == APIC_FIXED || mode == APIC_LOWEST) && vector < APIC_FIRST_VECTOR) {
        vapic_error(vp, APIC_ESR_SEND_ILLEGAL);
        return;
    }
    trace(TRACE_IPI, dest, vector);
    switch ((icr & APIC_ICR_SHORTHAND_MASK) >> APIC_ICR_SHORTHAND_SHIFT) {
    case APIC_DEST_SELF:
        if (mode != APIC_INIT && mode != APIC_SIPI)
            deliver(vp, mode, vector, false);
        break;
    case APIC_DEST_ALL:
        send_to_all(vp, true, mode, vector);
        break;
    case APIC_DEST_OTHERS:
        send_to_all(vp, false, mode, vector);
        break;
    default:
        vapic_route(vp->partition, dest, icr & APIC_ICR_LOGICAL, x2apic, mode, vector, false);
    }
}

void vapic_icr_write(struct vp *vp, uint64_t icr)
{
    unsigned dest_shift = vapic_is_x2apic(vp) ? X2APIC_DEST_SHIFT : XAPIC_DEST_SHIFT;

    icr &= ~0ULL << dest_shift | APIC_ICR_VALID_MASK;
    vp->apic.state.icr = icr;
    if (vapic_is_enabled(vp))
        icr_send(vp, icr);
}

uint64_t vapic_icr_read(struct vp *vp)
{
    return vp->apic.state.icr;
}
