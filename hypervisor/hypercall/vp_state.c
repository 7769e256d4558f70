/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/management.h"
#include "abi/tlfs/msr.h"
#include "abi/tlfs/status.h"
#include "abi/tlfs/synic.h"
#include "hypervisor/arch/x86/xstate.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/hypercall/vp_target.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/spinlock.h"
#include "lib/string.h"

/*
 * State that is larger than a register (TLFS "HvCallGetVpState", "HvCallSetVpState"). With the
 * PFN flag the variable header is a list of the caller's pages that take or hold the state; without
 * it the state itself is the output, or the variable header.
 */

/** Largest XSAVE area that is exchanged: it is copied before it is looked at. */
#define XSAVE_MAX 0x4000U

static struct {
    struct spinlock lock; /* rank "vp state", before "gpa map" */
    uint8_t bytes[XSAVE_MAX];
} scratch;

struct state_call {
    struct hypercall *h;
    struct vp_target t;
    struct hv_vp_state in;
    bool pages; /* by page list */
};

static uint64_t list_word(const struct hypercall *h, uint32_t n)
{
    uint64_t v;

    memcpy(&v, h->in + h->entry->in_size + n * sizeof(v), sizeof(v));
    return v;
}

/* Address of the caller's page that holds the bytes from `at` on; false if the list ends before. */
static bool list_page(const struct hypercall *h, size_t at, gpa_t *out)
{
    uint32_t n = (uint32_t)(at / PAGE_SIZE);
    uint64_t pfn;

    if (n >= h->var_words)
        return false;
    pfn = list_word(h, n);
    *out = gpa(pfn << PAGE_SHIFT);
    return pfn < BIT64(52 - PAGE_SHIFT);
}

static uint16_t pages_put(struct hypercall *h, const uint8_t *from, size_t len)
{
    for (size_t at = 0; at < len; at += PAGE_SIZE) {
        gpa_t page;

        if (!list_page(h, at, &page) ||
            guest_write(h->vp->partition, page, from + at, min_u64(len - at, PAGE_SIZE)))
            return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

static uint16_t pages_take(struct hypercall *h, uint8_t *to, size_t len)
{
    for (size_t at = 0; at < len; at += PAGE_SIZE) {
        gpa_t page;

        if (!list_page(h, at, &page) ||
            guest_read(h->vp->partition, page, to + at, min_u64(len - at, PAGE_SIZE)))
            return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

static uint16_t state_put(struct state_call *c, const void *from, uint32_t len)
{
    if (c->pages)
        return pages_put(c->h, from, len);
    if (len > c->h->out_len)
        return HV_STATUS_INVALID_PARAMETER;
    return hypercall_output(c->h, 0, from, len);
}

static uint16_t state_take(struct state_call *c, void *to, uint32_t len)
{
    if (c->pages)
        return pages_take(c->h, to, len);
    if (len > c->h->var_words * sizeof(uint64_t))
        return HV_STATUS_INVALID_PARAMETER;
    memcpy(to, c->h->in + c->h->entry->in_size, len);
    return HV_STATUS_SUCCESS;
}

static uint16_t lapic_get(struct state_call *c)
{
    struct hv_local_interrupt_controller_state state;

    vapic_state_get(c->t.vp, &state);
    return state_put(c, &state, sizeof(state));
}

static uint16_t lapic_set(struct state_call *c)
{
    struct hv_local_interrupt_controller_state state;
    uint16_t status = state_take(c, &state, sizeof(state));

    if (status == HV_STATUS_SUCCESS)
        vapic_state_set(c->t.vp, &state);
    return status;
}

static uint16_t xsave_get(struct state_call *c)
{
    uint16_t status = HV_STATUS_INVALID_PARAMETER;
    size_t len;

    if (c->in.xsave_flags || !c->pages)
        return HV_STATUS_INVALID_PARAMETER;
    spin_lock(&scratch.lock);
    len = xstate_export(c->t.vp->xstate, c->in.xsave_states, scratch.bytes, XSAVE_MAX);
    if (len)
        status = pages_put(c->h, scratch.bytes, len);
    spin_unlock(&scratch.lock);
    return status;
}

static uint16_t xsave_set(struct state_call *c)
{
    size_t len = min_u64(c->h->var_words * PAGE_SIZE, XSAVE_MAX);
    uint16_t status;

    if (c->in.xsave_flags || !c->pages)
        return HV_STATUS_INVALID_PARAMETER;
    spin_lock(&scratch.lock);
    status = pages_take(c->h, scratch.bytes, len);
    if (status == HV_STATUS_SUCCESS && xstate_import(c->t.vp->xstate, scratch.bytes, len))
        status = HV_STATUS_INVALID_PARAMETER;
    spin_unlock(&scratch.lock);
    return status;
}

/* What the child sees where SIMP or SIEFP says, or NULL while that is disabled. */
static uint8_t *synic_page(struct vp *vp, uint32_t type)
{
    return overlay_bytes(type == HV_VP_STATE_SIM_PAGE ? &vp->synic.sim : &vp->synic.sief);
}

static uint16_t synic_page_get(struct state_call *c, uint32_t type)
{
    const uint8_t *page = synic_page(c->t.vp, type);
    uint16_t status;

    if (!c->pages)
        return HV_STATUS_INVALID_PARAMETER;
    if (page)
        return pages_put(c->h, page, PAGE_SIZE);
    spin_lock(&scratch.lock);
    memset(scratch.bytes, 0, PAGE_SIZE);
    status = pages_put(c->h, scratch.bytes, PAGE_SIZE);
    spin_unlock(&scratch.lock);
    return status;
}

/* What was read while the page was disabled is zeros, and can be written back. */
static uint16_t synic_page_set(struct state_call *c, uint32_t type)
{
    uint8_t *page = synic_page(c->t.vp, type);
    uint8_t any = 0;
    uint16_t status;

    if (!c->pages)
        return HV_STATUS_INVALID_PARAMETER;
    spin_lock(&scratch.lock);
    status = pages_take(c->h, scratch.bytes, PAGE_SIZE);
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        any |= scratch.bytes[i];
    if (status == HV_STATUS_SUCCESS && page)
        memcpy(page, scratch.bytes, PAGE_SIZE);
    else if (status == HV_STATUS_SUCCESS && any)
        status = HV_STATUS_INVALID_SYNIC_STATE;
    spin_unlock(&scratch.lock);
    return status;
}

static uint16_t timers_get(struct state_call *c)
{
    struct hv_synthetic_timers_state state;

    stimers_state_get(c->t.vp, &state);
    return state_put(c, &state, sizeof(state));
}

static uint16_t timers_set(struct state_call *c)
{
    struct hv_synthetic_timers_state state;
    uint16_t status = state_take(c, &state, sizeof(state));

    if (status == HV_STATUS_SUCCESS && stimers_state_set(c->t.vp, &state))
        status = HV_STATUS_INVALID_PARAMETER;
    return status;
}

static uint16_t state_get(struct state_call *c, uint32_t type)
{
    switch (type) {
    case HV_VP_STATE_LOCAL_INTERRUPT_CONTROLLER:
        return lapic_get(c);
    case HV_VP_STATE_XSAVE:
        return xsave_get(c);
    case HV_VP_STATE_SIM_PAGE:
    case HV_VP_STATE_SIEF_PAGE:
        return synic_page_get(c, type);
    case HV_VP_STATE_SYNTHETIC_TIMERS:
        return timers_get(c);
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
}

static uint16_t state_set(struct state_call *c, uint32_t type)
{
    switch (type) {
    case HV_VP_STATE_LOCAL_INTERRUPT_CONTROLLER:
        return lapic_set(c);
    case HV_VP_STATE_XSAVE:
        return xsave_set(c);
    case HV_VP_STATE_SIM_PAGE:
    case HV_VP_STATE_SIEF_PAGE:
        return synic_page_set(c, type);
    case HV_VP_STATE_SYNTHETIC_TIMERS:
        return timers_set(c);
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
}

static uint16_t state_access(struct hypercall *h,
                             uint16_t (*access)(struct state_call *c, uint32_t type))
{
    struct state_call c = {.h = h};
    uint16_t status;

    memcpy(&c.in, h->in, sizeof(c.in));
    if (c.in.reserved0 || c.in.reserved1 || c.in.reserved2)
        return HV_STATUS_INVALID_PARAMETER;
    c.pages = c.in.type & HV_GET_SET_VP_STATE_TYPE_PFN;
    status = vp_target_get(h, c.in.partition_id, c.in.vp_index, c.in.input_vtl, false, &c.t);
    if (status != HV_STATUS_SUCCESS)
        return status;
    vp_target_stop(&c.t);
    status = access(&c, c.in.type & ~HV_GET_SET_VP_STATE_TYPE_PFN);
    vp_target_put(&c.t);
    return status;
}

uint16_t hypercall_get_vp_state(struct hypercall *h)
{
    return state_access(h, state_get);
}

uint16_t hypercall_set_vp_state(struct hypercall *h)
{
    return state_access(h, state_set);
}
