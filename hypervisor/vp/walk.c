/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/walk.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"

#define ENTRY_PRESENT  BIT64(0)
#define ENTRY_WRITE    BIT64(1)
#define ENTRY_USER     BIT64(2)
#define ENTRY_ACCESSED BIT64(5)
#define ENTRY_DIRTY    BIT64(6)
#define ENTRY_LARGE    BIT64(7)
#define ENTRY_NX       BIT64(63)
#define ENTRY_ADDR     0x000ffffffffff000ULL
#define PDPTE_RESERVED 0x1e6ULL /* of the four entries that CR3 points to without long mode */
#define LEVELS_MAX     5U
#define PSE36_HIGH     0x1fe000ULL /* address bits 39:32 of a 4 MiB page, in bits 20:13 */

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

/* What the entries on the way to a page allow together. */
struct rights {
    bool write, user, exec;
};

/* An entry that was used, and what must be set in it. */
struct used {
    uint64_t at, entry, set;
};

static bool entry_reserved(const struct walk_mode *m, const struct geometry *g, unsigned level,
                           uint64_t entry, bool leaf)
{
    unsigned shift = PAGE_SHIFT + (level - 1) * g->index_bits;

    if (g->entry_size == 4)
        return leaf && level == 2 && (entry & BIT64(21));
    if ((entry & ENTRY_NX) && (!(m->efer & EFER_NXE) || (g->levels == 3 && level == 3)))
        return true;
    if (g->levels == 3 && level == 3)
        return entry & PDPTE_RESERVED;
    if (level > 3 && (entry & ENTRY_LARGE))
        return true;
    /* Below the address of a large page only its PAT bit may be set. */
    return leaf && level > 1 && (entry & ENTRY_ADDR & (BIT64(shift) - 1) & ~BIT64(PAGE_SHIFT));
}

static void rights_narrow(struct rights *r, const struct geometry *g, unsigned level,
                          uint64_t entry)
{
    if (g->levels == 3 && level == 3)
        return; /* the four of them have no such bits */
    r->write = r->write && (entry & ENTRY_WRITE);
    r->user = r->user && (entry & ENTRY_USER);
    r->exec = r->exec && !(g->entry_size == 8 && (entry & ENTRY_NX));
}

/* APM volume 2 section 5.6. */
static bool allowed(const struct walk_mode *m, const struct rights *r, unsigned checks)
{
    bool user = checks & WALK_USER, exempt = checks & WALK_EXEMPT;

    if (user && !exempt && !r->user)
        return false;
    if ((checks & WALK_WRITE) && !r->write && (user || (m->cr0 & CR0_WP)))
        return false;
    if ((checks & WALK_EXEC) && !r->exec)
        return false;
    if (user || exempt || !r->user)
        return true;
    if ((checks & WALK_EXEC) && (m->cr4 & CR4_SMEP))
        return false;
    return (checks & WALK_EXEC) || !(m->cr4 & CR4_SMAP) || m->ac;
}

/*
 * Another VP may have changed an entry meanwhile: then the translation may be wrong too, and the
 * answer is what a processor may say at any time, that it is not present.
 */
static enum walk_result bits_set(struct partition *p, const struct geometry *g,
                                 const struct used *used, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t want = used[i].entry | used[i].set, seen = used[i].entry;
        void *at;
        bool done;

        if (want == seen)
            continue;
        at = guest_page(p, gpa(used[i].at), ACCESS_WRITE);
        if (!at)
            return guest_denied(p, gpa(used[i].at), ACCESS_READ) ? WALK_DENIED : WALK_NOT_WRITABLE;
        if (g->entry_size == 4) {
            uint32_t seen32 = (uint32_t)seen;

            done = __atomic_compare_exchange_n((uint32_t *)at, &seen32, (uint32_t)want, false,
                                               __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
        } else {
            done = __atomic_compare_exchange_n((uint64_t *)at, &seen, want, false, __ATOMIC_SEQ_CST,
                                               __ATOMIC_RELAXED);
        }
        if (!done)
            return WALK_NOT_PRESENT;
    }
    return WALK_OK;
}

/* Is it an address that the mode can form? */
static bool address_possible(const struct walk_mode *m, const struct geometry *g, gva_t at)
{
    unsigned width = PAGE_SHIFT + g->levels * g->index_bits;

    if (!(m->cr0 & CR0_PG) || g->levels <= 3)
        return at.v <= UINT32_MAX;
    return (uint64_t)((int64_t)(at.v << (64 - width)) >> (64 - width)) == at.v;
}

static gpa_t leaf_address(const struct geometry *g, unsigned level, uint64_t entry, gva_t at)
{
    uint64_t offset_mask = BIT64(PAGE_SHIFT + (level - 1) * g->index_bits) - 1;
    uint64_t base = entry & ENTRY_ADDR & ~offset_mask;

    if (g->entry_size == 4 && level == 2)
        base |= (entry & PSE36_HIGH) << 19;
    return gpa(base | (at.v & offset_mask));
}

/* One page: down to its leaf, then what the checks want of the whole way. */
static enum walk_result walk_paged(struct partition *p, const struct walk_mode *m,
                                   const struct geometry *g, gva_t at, unsigned checks, gpa_t *out)
{
    struct rights r = {true, true, true};
    struct used used[LEVELS_MAX];
    uint64_t table = root_of(m, g);
    unsigned count = 0;

    for (unsigned level = g->levels; level; level--) {
        unsigned shift = PAGE_SHIFT + (level - 1) * g->index_bits;
        uint64_t index = at.v >> shift & (BIT64(g->index_bits) - 1);
        struct used *u = &used[count++];
        bool leaf;

        *u = (struct used){.at = table + index * g->entry_size};
        if (guest_read(p, gpa(u->at), &u->entry, g->entry_size))
            return guest_denied(p, gpa(u->at), ACCESS_READ) ? WALK_DENIED : WALK_UNMAPPED;
        if (!(u->entry & ENTRY_PRESENT))
            return WALK_NOT_PRESENT;
        leaf = level == 1 || (leaf_possible(m, g, level) && (u->entry & ENTRY_LARGE));
        if ((checks & WALK_CHECK) && entry_reserved(m, g, level, u->entry, leaf))
            return WALK_RESERVED;
        rights_narrow(&r, g, level, u->entry);
        if (!(g->levels == 3 && level == 3))
            u->set = ENTRY_ACCESSED;
        if (leaf) {
            if ((checks & WALK_CHECK) && !allowed(m, &r, checks))
                return WALK_PRIVILEGE;
            if (checks & WALK_WRITE)
                u->set |= ENTRY_DIRTY;
            *out = leaf_address(g, level, u->entry, at);
            return checks & WALK_SET_BITS ? bits_set(p, g, used, count) : WALK_OK;
        }
        table = u->entry & ENTRY_ADDR;
    }
    return WALK_NOT_PRESENT;
}

enum walk_result walk_checked(struct partition *p, const struct walk_mode *m, gva_t at,
                              unsigned checks, gpa_t *out)
{
    struct geometry g = geometry_of(m);
    enum walk_result result;
    gpa_t found;

    if ((checks & WALK_CHECK) && !address_possible(m, &g, at))
        return WALK_NOT_PRESENT;
    if (!(m->cr0 & CR0_PG)) {
        *out = gpa(at.v);
        return WALK_OK;
    }
    result = walk_paged(p, m, &g, at, checks, &found);
    if (result == WALK_OK)
        *out = found;
    return result;
}

int walk_translate(struct partition *p, const struct walk_mode *m, gva_t at, gpa_t *out)
{
    return walk_checked(p, m, at, 0, out) == WALK_OK ? 0 : -EFAULT;
}

void walk_mode_of(const struct vp *vp, struct walk_mode *out)
{
    *out = (struct walk_mode){
        .cr0 = vendor_vp_get(vp, VREG_CR0),
        .cr3 = vendor_vp_get(vp, VREG_CR3),
        .cr4 = vendor_vp_get(vp, VREG_CR4),
        .efer = vendor_vp_get(vp, VREG_EFER),
        .ac = vp->regs.rflags & RFLAGS_AC,
    };
}

size_t walk_fetch(struct vp *vp, uint8_t *buf, size_t len)
{
    struct walk_mode mode;
    struct segment cs;
    uint64_t at;
    size_t done = 0;

    walk_mode_of(vp, &mode);
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
