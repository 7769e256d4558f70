/* SPDX-License-Identifier: MIT */
#ifndef UNIT_SHIM_CHILDREN_H
#define UNIT_SHIM_CHILDREN_H

/*
 * On top of shim_tlfs.h: one child with two VPs for the hypercalls by which a parent handles VPs.
 * Registers are words of a small array; any other name does not exist. Included once, after it.
 */

#include "hypervisor/arch/x86/xstate.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/vp/vpreg.h"
#include "tests/unit/shim_tlfs.h"

#define SHIM_CHILD_ID   9ULL
#define SHIM_CHILD_VPS  2U
#define SHIM_REGISTERS  16U /* RAX to R15 */
#define SHIM_BAD_VALUE  0xBADULL
#define SHIM_XSAVE_SIZE 5000U /* two pages */

static struct {
    struct partition partition;
    struct vp vps[SHIM_CHILD_VPS];
    uint64_t regs[SHIM_REGISTERS];
    uint64_t suspended; /* bits of the two suspend registers */
    unsigned holds, pauses, max_pauses, saves, loads, page_takes;
    bool page_dirty;
    bool inactive;
    struct hv_local_interrupt_controller_state lapic;
    struct hv_synthetic_timers_state timers;
    uint8_t xsave[SHIM_XSAVE_SIZE];
    uint64_t xsave_states;
    size_t xsave_len; /* of the last import */
    int state_rc;     /* what imports answer */
    char log[64];     /* order of what was asked: P pause, S suspend, C clear, R register, T take */
} shim_child;

static inline void shim_child_start(void)
{
    memset(&shim_child, 0, sizeof(shim_child));
    shim_child.partition.id = SHIM_CHILD_ID;
    shim_child.partition.is_child = true;
    shim_child.partition.parent = &shim.partition;
    for (uint32_t i = 0; i < SHIM_CHILD_VPS; i++) {
        shim_child.vps[i].partition = &shim_child.partition;
        shim_child.vps[i].index.v = i;
        shim_child.partition.vps[i] = &shim_child.vps[i];
    }
    shim_child.partition.vp_count = SHIM_CHILD_VPS;
}

static inline void shim_child_log(char c)
{
    size_t n = strlen(shim_child.log);

    if (n + 1 < sizeof(shim_child.log))
        shim_child.log[n] = c;
}

int child_get_active(struct partition *parent, uint64_t id, struct partition **out)
{
    if (parent != &shim.partition || id != SHIM_CHILD_ID)
        return -ENOENT;
    if (shim_child.inactive)
        return -EBADF;
    shim_child.holds++;
    *out = &shim_child.partition;
    return 0;
}

void partition_put(struct partition *p)
{
    if (p == &shim.partition)
        return; /* nobody counts who holds the caller */
    if (p != &shim_child.partition || !shim_child.holds--)
        abort();
}

void vp_pause(struct vp *vp)
{
    shim_child_log('P');
    if (++shim_child.pauses > shim_child.max_pauses)
        shim_child.max_pauses = shim_child.pauses;
}

void vp_resume(struct vp *vp)
{
    if (!shim_child.pauses--)
        abort();
}

void xstate_save(struct xstate *x)
{
    shim_child.saves++;
}

void xstate_load(const struct xstate *x)
{
    shim_child.loads++;
}

bool vpreg_needs_pause(uint32_t name)
{
    return name > HV_REGISTER_INTERCEPT_SUSPEND;
}

int vpreg_get(struct vp *vp, uint32_t name, union hv_register_value *out)
{
    *out = (union hv_register_value){.reg128 = {0, 0}};
    if (name <= HV_REGISTER_INTERCEPT_SUSPEND) {
        out->reg64 = shim_child.suspended >> name & 1;
        return 0;
    }
    if (name < HV_X64_REGISTER_RAX || name > HV_X64_REGISTER_R15)
        return -ENOENT;
    out->reg64 = shim_child.regs[name - HV_X64_REGISTER_RAX];
    return 0;
}

int vpreg_set(struct vp *vp, uint32_t name, const union hv_register_value *value)
{
    if (name <= HV_REGISTER_INTERCEPT_SUSPEND) {
        shim_child_log(value->reg64 ? 'S' : 'C');
        shim_child.suspended &= ~BIT64(name);
        shim_child.suspended |= (value->reg64 & 1) << name;
        return 0;
    }
    if (name < HV_X64_REGISTER_RAX || name > HV_X64_REGISTER_R15)
        return -ENOENT;
    if (value->reg64 == SHIM_BAD_VALUE)
        return -EINVAL;
    shim_child_log('R');
    shim_child.regs[name - HV_X64_REGISTER_RAX] = value->reg64;
    return 0;
}

bool vpreg_page_dirty(struct vp *vp)
{
    return shim_child.page_dirty;
}

void vpreg_page_take(struct vp *vp)
{
    shim_child_log('T');
    shim_child.page_takes++;
    shim_child.page_dirty = false;
}

void vapic_state_get(struct vp *vp, struct hv_local_interrupt_controller_state *out)
{
    *out = shim_child.lapic;
}

void vapic_state_set(struct vp *vp, const struct hv_local_interrupt_controller_state *in)
{
    shim_child.lapic = *in;
}

void stimers_state_get(struct vp *vp, struct hv_synthetic_timers_state *out)
{
    *out = shim_child.timers;
}

int stimers_state_set(struct vp *vp, const struct hv_synthetic_timers_state *in)
{
    if (!shim_child.state_rc)
        shim_child.timers = *in;
    return shim_child.state_rc;
}

size_t xstate_export(const struct xstate *x, uint64_t states, uint8_t *to, size_t len)
{
    shim_child.xsave_states = states;
    memcpy(to, shim_child.xsave, sizeof(shim_child.xsave));
    return sizeof(shim_child.xsave);
}

int xstate_import(struct xstate *x, const uint8_t *from, size_t len)
{
    shim_child.xsave_len = len;
    if (!shim_child.state_rc)
        memcpy(shim_child.xsave, from, len < SHIM_XSAVE_SIZE ? len : SHIM_XSAVE_SIZE);
    return shim_child.state_rc;
}

void vendor_vp_get_segment(const struct vp *vp, enum seg s, struct segment *out)
{
    *out = (struct segment){.base = 0};
}

/* The last page is one. */
bool overlay_at(struct partition *p, gpa_t at)
{
    return at.v / PAGE_SIZE == SHIM_PAGES - 1;
}

#endif
