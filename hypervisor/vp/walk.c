/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/walk.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"

#define ENTRY_PRESENT BIT64(0)
#define ENTRY_LARGE   BIT64(7)
#define ENTRY_ADDR    0x000ffffffffff000ULL
#define PSE36_HIGH    0x1fe000ULL /* address bits 39:32 of a 4 MiB page, in bits 20:13 */

/* Geometry of a paging mode: index bits per level, size of an entry, levels. */
struct geometry {
    unsigned levels, index_bits, entry_size;
};

static struct geometry geometry_of(const struct walk_mode *m)
{
    if (!(m->cr4 & CR4_PAE))
        return (struct geometry){2, 10, 4};
    if (!(m->efer & EFER_LMA))
        return (struct geometry){3, 9, 8};
    return (struct geometry){m->cr4 & CR4_LA57 ? 5U : 4U, 9, 8};
}

static uint64_t root_of(const struct walk_mode *m, const struct geometry *g)
{
    if (g->levels == 3)
        return m->cr3 & 0xffffffe0ULL; /* PAE: four entries, 32-byte aligned */
    return m->cr3 & (g->entry_size == 4 ? 0xfffff000ULL : ENTRY_ADDR);
}

/* May an entry of this level (1 = last) be a leaf? */
static bool leaf_possible(const struct walk_mode *m, const struct geometry *g, unsigned level)
{
    if (g->entry_size == 4)
        return level == 2 && (m->cr4 & CR4_PSE);
    return level == 2 || (level == 3 && g->levels > 3);
}

int walk_translate(struct partition *p, const struct walk_mode *m, gva_t at, gpa_t *out)
{
    struct geometry g = geometry_of(m);
    uint64_t table;

    if (!(m->cr0 & CR0_PG)) {
        *out = gpa(at.v);
        return 0;
    }
    table = root_of(m, &g);
    for (unsigned level = g.levels; level; level--) {
        unsigned shift = PAGE_SHIFT + (level - 1) * g.index_bits;
        uint64_t index = at.v >> shift & (BIT64(g.index_bits) - 1);
        uint64_t entry = 0;

        if (guest_read(p, gpa(table + index * g.entry_size), &entry, g.entry_size) ||
            !(entry & ENTRY_PRESENT))
            return -EFAULT;
        if (level == 1 || (leaf_possible(m, &g, level) && (entry & ENTRY_LARGE))) {
            uint64_t offset_mask = BIT64(shift) - 1;
            uint64_t base = entry & ENTRY_ADDR & ~offset_mask;

            if (g.entry_size == 4 && level == 2)
                base |= (entry & PSE36_HIGH) << 19;
            *out = gpa(base | (at.v & offset_mask));
            return 0;
        }
        table = entry & ENTRY_ADDR;
    }
    return -EFAULT;
}

size_t walk_fetch(struct vp *vp, uint8_t *buf, size_t len)
{
    const struct walk_mode mode = {
        .cr0 = vendor_vp_get(vp, VREG_CR0),
        .cr3 = vendor_vp_get(vp, VREG_CR3),
        .cr4 = vendor_vp_get(vp, VREG_CR4),
        .efer = vendor_vp_get(vp, VREG_EFER),
    };
    struct segment cs;
    uint64_t at;
    size_t done = 0;

    vendor_vp_get_segment(vp, SEG_CS, &cs);
    at = vp_long_mode(vp) ? vp->regs.rip : (cs.base + vp->regs.rip) & 0xffffffff;
    while (done < len) {
        uint64_t chunk = min_u64(len - done, PAGE_SIZE - (at & (PAGE_SIZE - 1)));
        gpa_t where;

        if (walk_translate(vp->partition, &mode, gva(at), &where) ||
            guest_read(vp->partition, where, buf + done, chunk))
            break;
        done += chunk;
        at += chunk;
    }
    return done;
}
