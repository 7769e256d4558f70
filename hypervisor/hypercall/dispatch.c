/* SPDX-License-Identifier: MIT */
#include "hypervisor/hypercall/dispatch.h"
#include "abi/tlfs/msr.h"
#include "abi/tlfs/status.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/debug/trace.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

_Static_assert(HV_HYPERCALL_PAGE_SIZE == PAGE_SIZE, "the TLFS means the guest's page size");

/* TLFS "Hypercall Restrictions" and "Alignment Requirements": who gets #UD. */
static bool hypercall_possible(const struct vp *vp)
{
    uint64_t msr = __atomic_load_n(&vp->partition->hypercall_msr, __ATOMIC_RELAXED);

    return (msr & HV_X64_MSR_HYPERCALL_ENABLE) && vp_protected_mode(vp) && vp_cpl(vp) == 0;
}

/* A 64-bit value of the 32-bit convention. */
static uint64_t reg_pair(const struct vp *vp, enum gpr high, enum gpr low)
{
    return (vp->regs.gpr[high] & UINT32_MAX) << 32 | (vp->regs.gpr[low] & UINT32_MAX);
}

static void reg_pair_set(struct vp *vp, enum gpr high, enum gpr low, uint64_t val)
{
    vp->regs.gpr[high] = val >> 32;
    vp->regs.gpr[low] = val & UINT32_MAX;
}

/* TLFS "Hypercall Inputs": RCX, RDX, R8, or EDX:EAX, EBX:ECX, EDI:ESI. */
static void hypercall_begin(struct hypercall *h, struct vp *vp)
{
    h->vp = vp;
    if (vp_long_mode(vp)) {
        h->control = vp->regs.gpr[RCX];
        h->in_gpa = gpa(vp->regs.gpr[RDX]);
        h->out_gpa = gpa(vp->regs.gpr[R8]);
    } else {
        h->control = reg_pair(vp, RDX, RAX);
        h->in_gpa = gpa(reg_pair(vp, RBX, RCX));
        h->out_gpa = gpa(reg_pair(vp, RDI, RSI));
    }
    h->entry = NULL;
    h->fast = h->control & HV_HYPERCALL_FAST_BIT;
    h->var_words = hv_hypercall_varhead(h->control);
    h->rep_count = hv_hypercall_rep_count(h->control);
    h->rep = 0;
    h->in_len = 0;
    h->out_len = 0;
    h->intercepted = false;
}

static void hypercall_end(struct hypercall *h, uint16_t status)
{
    uint64_t result = hv_hypercall_result(status, h->rep);

    if (vp_long_mode(h->vp))
        h->vp->regs.gpr[RAX] = result;
    else
        reg_pair_set(h->vp, RDX, RAX, result);
    trace(TRACE_HYPERCALL, h->control, result);
}

/* The same instruction again, from where the list stopped (TLFS "Hypercall Continuation"). */
static void hypercall_continue(struct hypercall *h)
{
    uint64_t control = hv_hypercall_set_rep_start(h->control, h->rep);

    if (vp_long_mode(h->vp))
        h->vp->regs.gpr[RCX] = control;
    else
        reg_pair_set(h->vp, RDX, RAX, control);
}

/* Is the control word one of this call's forms? Afterwards h->rep is valid. */
static uint16_t hypercall_check_form(struct hypercall *h)
{
    uint32_t form = h->entry->form;
    uint32_t start = hv_hypercall_rep_start(h->control);

    /* Nothing is nested here, so the bit for it counts as reserved. */
    if (h->control & (HV_HYPERCALL_RSVD_MASK | HV_HYPERCALL_NESTED))
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    if (h->fast && !(form & HC_FAST))
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    if (h->var_words && !(form & HC_VAR))
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    if (form & HC_REP ? start >= h->rep_count : h->rep_count || start)
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    h->rep = start;
    return HV_STATUS_SUCCESS;
}

static uint16_t hypercall_check_caller(const struct hypercall *h)
{
    const struct partition *p = h->vp->partition;

    if ((h->entry->form & HC_ROOT) && !p->is_root)
        return HV_STATUS_ACCESS_DENIED;
    if (h->entry->privileges && !(p->privileges & h->entry->privileges))
        return HV_STATUS_ACCESS_DENIED;
    return HV_STATUS_SUCCESS;
}

/* Lists are 8-byte aligned and do not leave their page. */
static bool hypercall_span_ok(gpa_t addr, uint32_t len)
{
    return len == 0 || ((addr.v & 7) == 0 && (addr.v & ~PAGE_MASK) + len <= PAGE_SIZE);
}

/*
 * The caller has no such access to its page. Its parent may give it, and the call is executed
 * again; that may also have happened meanwhile. An address outside the guest's memory is an
 * alignment error (TLFS "Common Hypercall Status Codes").
 */
static uint16_t hypercall_denied(struct hypercall *h, gpa_t at, enum access access)
{
    h->intercepted = child_denied(h->vp, at, access) || guest_page(h->vp->partition, at, access);
    return HV_STATUS_INVALID_ALIGNMENT;
}

/* Copy the input, all of it and once. */
static uint16_t hypercall_load(struct hypercall *h)
{
    const struct hypercall_entry *e = h->entry;

    h->in_len = e->in_size + h->var_words * 8 + h->rep_count * e->in_rep;
    h->out_len = e->out_size + h->rep_count * e->out_rep;
    if (h->fast) {
        memcpy(h->in, &h->in_gpa.v, sizeof(h->in_gpa.v));
        memcpy(h->in + sizeof(h->in_gpa.v), &h->out_gpa.v, sizeof(h->out_gpa.v));
        return HV_STATUS_SUCCESS;
    }
    if (!hypercall_span_ok(h->in_gpa, h->in_len) || !hypercall_span_ok(h->out_gpa, h->out_len))
        return HV_STATUS_INVALID_ALIGNMENT;
    if (h->in_len && guest_read(h->vp->partition, h->in_gpa, h->in, h->in_len) != 0)
        return hypercall_denied(h, h->in_gpa, ACCESS_READ);
    if (h->out_len && !guest_page(h->vp->partition, h->out_gpa, ACCESS_WRITE))
        return hypercall_denied(h, h->out_gpa, ACCESS_WRITE);
    return HV_STATUS_SUCCESS;
}

/* Everything that can be refused without a handler, in the TLFS's order. */
static uint16_t hypercall_decode(struct hypercall *h)
{
    uint16_t status;

    h->entry = hypercall_find(hv_hypercall_code(h->control));
    if (!h->entry)
        return HV_STATUS_INVALID_HYPERCALL_CODE;
    status = hypercall_check_form(h);
    if (status == HV_STATUS_SUCCESS)
        status = hypercall_check_caller(h);
    if (status == HV_STATUS_SUCCESS && !h->entry->handler)
        status = h->entry->refusal;
    if (status == HV_STATUS_SUCCESS)
        status = hypercall_load(h);
    return status;
}

/* Repeat until the list is done, one element fails, or the time is up. */
static uint16_t hypercall_invoke(struct hypercall *h)
{
    uint64_t start = clock_tsc();
    uint64_t slice = clock_tsc_hz() / HYPERCALL_SLICE_PER_SECOND;

    for (;;) {
        uint32_t before = h->rep;
        uint16_t status = h->entry->handler(h);

        if (status != HV_STATUS_SUCCESS || h->rep >= h->rep_count)
            return status;
        assert_hv(h->rep > before); /* each round does one element: the loop is bounded */
        if (clock_tsc() - start >= slice)
            return status;
    }
}

enum hypercall_action hypercall_dispatch(struct vp *vp)
{
    struct hypercall h;
    uint16_t status;

    if (!hypercall_possible(vp)) {
        vp_inject_exception(vp, VECTOR_UD, 0);
        return HYPERCALL_STAY;
    }
    hypercall_begin(&h, vp);
    status = hypercall_decode(&h);
    if (status == HV_STATUS_SUCCESS)
        status = hypercall_invoke(&h);
    if (h.intercepted)
        return HYPERCALL_STAY;
    if (status == HV_STATUS_SUCCESS && h.rep < h.rep_count) {
        hypercall_continue(&h);
        return HYPERCALL_STAY;
    }
    hypercall_end(&h, status);
    return HYPERCALL_DONE;
}

uint16_t hypercall_output(struct hypercall *h, uint32_t offset, const void *data, uint32_t len)
{
    assert_hv(offset <= h->out_len && len <= h->out_len - offset);
    if (guest_write(h->vp->partition, gpa(h->out_gpa.v + offset), data, len))
        return hypercall_denied(h, h->out_gpa, ACCESS_WRITE);
    return HV_STATUS_SUCCESS;
}

uint32_t hypercall_rep_offset(const struct hypercall *h, uint32_t rep)
{
    return h->entry->in_size + h->var_words * 8 + rep * h->entry->in_rep;
}
