/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/apicreg.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/intercept/decode.h"
#include "hypervisor/intercept/emulate.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/partition/parent.h"
#include "hypervisor/partition/port.h"
#include "hypervisor/vp/walk.h"
#include "lib/errno.h"

static int vapic_page_read(void *ctx, uint64_t offset, unsigned size, uint64_t *val)
{
    /* Registers are 32 bits wide at multiples of 16; parts of them are undefined, here: shifted. */
    *val = vapic_mmio_read(ctx, (uint32_t)offset & ~3U) >> (offset & 3) * 8;
    return 0;
}

static int vapic_page_write(void *ctx, uint64_t offset, unsigned size, uint64_t val)
{
    struct vp *vp = ctx;

    vapic_mmio_write(vp, (uint32_t)offset & ~3U, (uint32_t)val);
    /* Devices reach the parent by logical destination too, and that is matched in hardware. */
    if (vp->partition->is_root && (offset == APIC_LDR || offset == APIC_DFR))
        parent_logical_id_changed(vp);
    return 0;
}

static int nothing_read(void *ctx, uint64_t offset, unsigned size, uint64_t *val)
{
    *val = UINT64_MAX;
    return 0;
}

static int nothing_write(void *ctx, uint64_t offset, unsigned size, uint64_t val)
{
    return 0;
}

static const struct mmio_ops vapic_ops = {vapic_page_read, vapic_page_write};
static const struct mmio_ops ioapic_ops = {ioapic_mmio_read, ioapic_mmio_write};
static const struct mmio_ops nothing_ops = {nothing_read, nothing_write};

static enum insn_mode mode_of(const struct vp *vp)
{
    struct segment cs;

    if (vp_long_mode(vp))
        return INSN_MODE_64;
    vendor_vp_get_segment(vp, SEG_CS, &cs);
    /* Attribute bit 14: D. */
    return vp_protected_mode(vp) && (cs.attributes & BIT(14)) ? INSN_MODE_32 : INSN_MODE_16;
}

static void emulate(struct vp *vp, gpa_t at, const struct mmio_ops *ops, void *ctx)
{
    uint8_t bytes[INSN_MAX];
    size_t n = walk_fetch(vp, bytes, sizeof(bytes));
    struct insn insn;
    int rc;

    vp_count(vp, VPC_MMIO);
    if (!n)
        return; /* the page tables changed under us: execute it again */
    rc = decode_insn(bytes, n, mode_of(vp), &insn);
    if (rc == -ENODATA)
        return; /* so did they for the next page; the processor will find out by itself */
    if (rc || emulate_mmio(&vp->regs, &insn, ops, ctx, at.v & (PAGE_SIZE - 1))) {
        log_once(LOG_WARN, "instruction %02x %02x %02x %02x on device page %lx not emulated",
                 bytes[0], bytes[1], bytes[2], bytes[3], at.v);
        vp_inject_exception(vp, VECTOR_GP, 0);
        return;
    }
    vendor_vp_skip(vp, insn.length);
}

struct doorbell {
    struct partition *partition;
    gpa_t at;
};

static int doorbell_read(void *ctx, uint64_t offset, unsigned size, uint64_t *val)
{
    return -ENOENT;
}

static int doorbell_write(void *ctx, uint64_t offset, unsigned size, uint64_t val)
{
    const struct doorbell *d = ctx;

    return port_doorbell(d->partition, d->at, size, val) ? 0 : -ENOENT;
}

/* A child's plain store to a doorbell's address: done, and its parent need not emulate it. */
static bool child_doorbell(struct vp *vp, gpa_t at)
{
    static const struct mmio_ops ops = {doorbell_read, doorbell_write};
    struct doorbell d = {vp->partition, at};
    uint8_t bytes[INSN_MAX];
    struct insn insn;
    size_t n;

    if (!port_has_doorbells(vp->partition))
        return false;
    n = walk_fetch(vp, bytes, sizeof(bytes));
    if (!n || decode_insn(bytes, n, mode_of(vp), &insn) || insn.op != INSN_MOV || !insn.mem_dst ||
        emulate_mmio(&vp->regs, &insn, &ops, &d, at.v & (PAGE_SIZE - 1)))
        return false;
    vp_count(vp, VPC_MMIO);
    vendor_vp_skip(vp, insn.length);
    return true;
}

static void fault_of_child(struct vp *vp, const struct exit *exit, enum access wanted)
{
    gpa_t at = exit->fault.gpa;
    hpa_t there;
    int rc;

    if (overlay_at(vp->partition, at)) {
        vp_inject_exception(vp, VECTOR_GP, 0); /* not the parent's to write */
        return;
    }
    rc = gpa_map_lookup(vp->partition->map, at, wanted, &there);
    if (!rc)
        return; /* the parent has mapped it meanwhile: execute it again */
    if (wanted == ACCESS_WRITE && !exit->fault.table_walk && child_doorbell(vp, at))
        return;
    child_fault(vp, exit, wanted, rc == -EACCES);
}

void intercept_fault(struct vp *vp, const struct exit *exit)
{
    gpa_t at = exit->fault.gpa;
    enum access wanted = exit->fault.write  ? ACCESS_WRITE
                         : exit->fault.exec ? ACCESS_EXEC
                                            : ACCESS_READ;
    struct ioapic *ioapic;

    if (!exit->fault.exec && !exit->fault.table_walk) {
        if (vapic_mmio_at(vp, at)) {
            emulate(vp, at, &vapic_ops, vp);
            return;
        }
        ioapic = vp->partition->is_root ? ioapic_find(parent_ioapics(), at) : NULL;
        if (ioapic) {
            emulate(vp, at, &ioapic_ops, ioapic);
            return;
        }
        if (vp->partition->is_root && at.v >> PAGE_SHIFT == APIC_DEFAULT_BASE >> PAGE_SHIFT) {
            emulate(vp, at, &nothing_ops, NULL);
            return;
        }
    }
    if (vp->partition->is_child) {
        fault_of_child(vp, exit, wanted);
        return;
    }
    if (vp->partition->is_root && !parent_map_device(at, wanted))
        return; /* mapped now: execute it again */
    log_once(LOG_WARN,
             "partition %lu VP %u: #GP for %s of %lx (rip %lx); later ones are not logged",
             vp->partition->id, vp->index.v, exit->fault.write ? "a write" : "a read", at.v,
             vp->regs.rip);
    vp_inject_exception(vp, VECTOR_GP, 0);
}
