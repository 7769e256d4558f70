/* SPDX-License-Identifier: MIT */
#include "hypervisor/mm/pagetable.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/frame.h"
#include "lib/errno.h"
#include "lib/string.h"

/*
 * Every change runs in two passes. The first builds the tables that the change
 * needs: it allocates, splits leaves and may fail, but alters no translation. The
 * second writes leaves and cannot fail. So an error leaves all translations alone.
 */

#define ENTRIES   512U
#define TOP_LEVEL 3U
#define VA_BITS   48U

/*
 * A retired table keeps its contents, for a walker that still has it cached. The
 * link to the next one hides in bits 58..52, which the processor ignores, of its
 * first entries: 6 * 7 bits hold a frame number of 40.
 */
#define LINK_ENTRIES 6U
#define LINK_SHIFT   52U
#define LINK_BITS    7U
#define LINK_MASK    0x7FULL

enum change_op { CHANGE_MAP, CHANGE_CLOSE, CHANGE_UNMAP, CHANGE_PROTECT, CHANGE_PRUNE };

struct change {
    struct pagetable *pt;
    enum change_op op;
    unsigned max_level; /* highest level where the change may end at an entry */
    uint64_t delta;     /* physical minus virtual address, modulo 2^64 */
    uint64_t flags;
};

static uint64_t entry_read(const uint64_t *e)
{
    return __atomic_load_n(e, __ATOMIC_RELAXED);
}

/* Release: a walker that sees a pointer to a new table sees the table's contents. */
static void entry_write(uint64_t *e, uint64_t v)
{
    __atomic_store_n(e, v, __ATOMIC_RELEASE);
}

static uint64_t slot_bytes(unsigned level)
{
    return PAGE_SIZE << (9U * level);
}

static unsigned slot_index(uint64_t va, unsigned level)
{
    return (unsigned)(va >> (PAGE_SHIFT + 9U * level)) & (ENTRIES - 1U);
}

/* End of the part of [va, end) that one entry at this level covers. */
static uint64_t slot_end(uint64_t va, uint64_t end, unsigned level)
{
    return min_u64(end, align_down(va, slot_bytes(level)) + slot_bytes(level));
}

static bool is_table(uint64_t entry, unsigned level)
{
    return level > 0 && (entry & PTE_P) && !(entry & PTE_PS);
}

static bool is_leaf(uint64_t entry, unsigned level)
{
    return (entry & PTE_P) && !is_table(entry, level);
}

static bool is_nothing(uint64_t entry)
{
    return !(entry & (PTE_P | PTE_CLOSED));
}

static uint64_t *table_at(hpa_t page)
{
    return hpa_to_virt(page);
}

static uint64_t *table_of(uint64_t entry)
{
    return table_at(hpa(entry & PTE_ADDR));
}

static bool table_empty(const uint64_t *table)
{
    for (unsigned i = 0; i < ENTRIES; i++)
        if (!is_nothing(entry_read(&table[i])))
            return false;
    return true;
}

static uint64_t leaf_bits(const struct pagetable *pt, uint64_t flags, unsigned level)
{
    return flags | PTE_P | (level ? PTE_PS : 0) | (pt->kind == PAGETABLE_NESTED ? PTE_U : 0);
}

static void retired_push(struct pagetable *pt, hpa_t page)
{
    uint64_t *table = table_at(page);
    uint64_t next = pt->retired.v >> PAGE_SHIFT;

    for (unsigned i = 0; i < LINK_ENTRIES; i++, next >>= LINK_BITS) {
        uint64_t e = entry_read(&table[i]) & ~(LINK_MASK << LINK_SHIFT);
        entry_write(&table[i], e | (next & LINK_MASK) << LINK_SHIFT);
    }
    pt->retired = page;
    pt->retired_count++;
    pt->tables--;
}

static hpa_t retired_next(hpa_t page)
{
    const uint64_t *table = table_at(page);
    uint64_t next = 0;

    for (unsigned i = LINK_ENTRIES; i-- > 0;)
        next = next << LINK_BITS | (entry_read(&table[i]) >> LINK_SHIFT & LINK_MASK);
    return hpa(next << PAGE_SHIFT);
}

/* Retire a table that the tree no longer points to, with all below it. At most TOP_LEVEL deep. */
static void table_retire(struct pagetable *pt, hpa_t page, unsigned level)
{
    const uint64_t *table = table_at(page);

    for (unsigned i = 0; i < ENTRIES; i++) {
        uint64_t e = entry_read(&table[i]);
        if (is_table(e, level))
            table_retire(pt, hpa(e & PTE_ADDR), level - 1);
        else if (e & PTE_P)
            pt->leaves[level]--;
    }
    retired_push(pt, page);
}

/* Put a leaf, a closed entry or nothing into an entry. */
static void entry_replace(struct pagetable *pt, uint64_t *e, unsigned level, uint64_t v)
{
    uint64_t old = entry_read(e);

    entry_write(e, v);
    if (is_leaf(v, level))
        pt->leaves[level]++;
    if (is_table(old, level))
        table_retire(pt, hpa(old & PTE_ADDR), level - 1);
    else if (old & PTE_P)
        pt->leaves[level]--;
}

/* Turn an entry that is no table into a table that means the same. */
static int entry_make_table(struct pagetable *pt, uint64_t *e, unsigned level)
{
    uint64_t old = entry_read(e);
    uint64_t *table;
    hpa_t page;

    if (pt->source.alloc(pt->source.ctx, &page) < 0)
        return -ENOMEM;
    table = table_at(page);
    memset(table, 0, PAGE_SIZE);
    if (old & PTE_P) {
        uint64_t first = level == 1 ? old & ~PTE_PS : old;
        for (unsigned i = 0; i < ENTRIES; i++)
            table[i] = first + i * slot_bytes(level - 1);
        pt->leaves[level]--;
        pt->leaves[level - 1] += ENTRIES;
    } else if (old & PTE_CLOSED) {
        for (unsigned i = 0; i < ENTRIES; i++)
            table[i] = old;
    }
    entry_write(e, page.v | PTE_P | PTE_W | PTE_A | (pt->kind == PAGETABLE_NESTED ? PTE_U : 0));
    pt->tables++;
    return 0;
}

/* Whether the change of [va, end), inside one slot, is done by rewriting the slot's entry. */
static bool change_ends(const struct change *c, uint64_t va, uint64_t end, unsigned level)
{
    uint64_t low = slot_bytes(level) - 1;

    return level <= c->max_level && end - va == low + 1 && !((va + c->delta) & low);
}

/* First pass. Recursion at most TOP_LEVEL deep, as in all passes. */
static int change_prepare(const struct change *c, uint64_t *table, unsigned level, uint64_t va,
                          uint64_t end)
{
    int err;

    for (uint64_t next; level > 0 && va < end; va = next) {
        uint64_t *e = &table[slot_index(va, level)];

        next = slot_end(va, end, level);
        if (change_ends(c, va, next, level))
            continue;
        if (is_nothing(entry_read(e)) && c->op != CHANGE_MAP && c->op != CHANGE_CLOSE)
            continue;
        if (!is_table(entry_read(e), level)) {
            err = entry_make_table(c->pt, e, level);
            if (err < 0)
                return err;
        }
        err = change_prepare(c, table_of(entry_read(e)), level - 1, va, next);
        if (err < 0)
            return err;
    }
    return 0;
}

/* Change one entry that is no table, or that the change replaces as a whole. */
static void change_entry(const struct change *c, uint64_t *e, unsigned level, uint64_t va)
{
    uint64_t old = entry_read(e);

    switch (c->op) {
    case CHANGE_MAP:
        entry_replace(c->pt, e, level, (va + c->delta) | leaf_bits(c->pt, c->flags, level));
        break;
    case CHANGE_CLOSE:
        entry_replace(c->pt, e, level, PTE_CLOSED | PTE_A | PTE_D);
        break;
    case CHANGE_UNMAP:
        if (!is_nothing(old))
            entry_replace(c->pt, e, level, 0);
        break;
    case CHANGE_PROTECT:
        if (old & PTE_P)
            entry_write(e, (old & PTE_ADDR) | leaf_bits(c->pt, c->flags, level));
        break;
    case CHANGE_PRUNE:
        break;
    }
}

/* Whether the change looks below a table even where it covers the table's slot as a whole. */
static bool change_descends(const struct change *c, uint64_t va, uint64_t end, unsigned level)
{
    return c->op == CHANGE_PROTECT || c->op == CHANGE_PRUNE || !change_ends(c, va, end, level);
}

/* Second pass. */
static void change_apply(const struct change *c, uint64_t *table, unsigned level, uint64_t va,
                         uint64_t end)
{
    for (uint64_t next; va < end; va = next) {
        uint64_t *e = &table[slot_index(va, level)];
        uint64_t entry = entry_read(e);

        next = slot_end(va, end, level);
        if (!is_table(entry, level) || !change_descends(c, va, next, level)) {
            change_entry(c, e, level, va);
            continue;
        }
        change_apply(c, table_of(entry), level - 1, va, next);
        if ((c->op == CHANGE_UNMAP || c->op == CHANGE_PRUNE) && table_empty(table_of(entry)))
            entry_replace(c->pt, e, level, 0);
    }
}

static int change_run(struct change *c, uint64_t va, uint64_t len)
{
    uint64_t *root = table_at(c->pt->root);
    int err = change_prepare(c, root, TOP_LEVEL, va, va + len);

    /* Do not keep tables that the first pass made for nothing. */
    if (err < 0)
        c->op = CHANGE_PRUNE;
    change_apply(c, root, TOP_LEVEL, va, va + len);
    return err;
}

/* The range as table indexes see it (48 bits) in *first, if it is one. */
static int range_check(const struct pagetable *pt, uint64_t va, uint64_t len, uint64_t *first)
{
    unsigned bits = pt->kind == PAGETABLE_NESTED ? VA_BITS : VA_BITS - 1;
    uint64_t above = va >> bits;
    uint64_t limit = 1ULL << bits;

    if ((va | len) & ~PAGE_MASK || !len)
        return -EINVAL;
    if (above && (pt->kind == PAGETABLE_NESTED || above != ~0ULL >> bits))
        return -EINVAL;
    if (len > limit - (va & (limit - 1)))
        return -EINVAL;
    *first = va & ((1ULL << VA_BITS) - 1);
    return 0;
}

static int frame_source_alloc(void *ctx, hpa_t *out)
{
    return frame_alloc(1, 1, out);
}

static void frame_source_free(void *ctx, hpa_t page)
{
    frame_free(page, 1);
}

static const struct pagetable_alloc frame_source = {frame_source_alloc, frame_source_free, NULL};

int pagetable_init(struct pagetable *pt, enum pagetable_kind kind,
                   const struct pagetable_alloc *source)
{
    struct pagetable tree = {
        .kind = kind,
        .source = source ? *source : frame_source,
        .tables = 1,
    };

    if (tree.source.alloc(tree.source.ctx, &tree.root) < 0)
        return -ENOMEM;
    memset(table_at(tree.root), 0, PAGE_SIZE);
    *pt = tree;
    return 0;
}

void pagetable_destroy(struct pagetable *pt)
{
    if (!pt->tables)
        return;
    table_retire(pt, pt->root, TOP_LEVEL);
    pagetable_reclaim(pt);
    pt->root = hpa(0);
}

int pagetable_map(struct pagetable *pt, uint64_t va, hpa_t pa, uint64_t len, uint64_t leaf_flags,
                  enum page_size max_leaf)
{
    struct change c = {pt, CHANGE_MAP, (unsigned)max_leaf, 0, leaf_flags};
    int err = range_check(pt, va, len, &va);

    if (err < 0)
        return err;
    if ((unsigned)max_leaf >= PAGE_SIZES || leaf_flags & ~PTE_LEAF_FLAGS)
        return -EINVAL;
    if (pa.v & ~PTE_ADDR || len > PTE_ADDR + PAGE_SIZE - pa.v)
        return -EINVAL;
    c.delta = pa.v - va;
    return change_run(&c, va, len);
}

int pagetable_close(struct pagetable *pt, uint64_t va, uint64_t len, enum page_size max_leaf)
{
    struct change c = {pt, CHANGE_CLOSE, (unsigned)max_leaf, 0, 0};
    int err = range_check(pt, va, len, &va);

    if (err < 0)
        return err;
    if ((unsigned)max_leaf >= PAGE_SIZES)
        return -EINVAL;
    return change_run(&c, va, len);
}

int pagetable_unmap(struct pagetable *pt, uint64_t va, uint64_t len)
{
    struct change c = {pt, CHANGE_UNMAP, TOP_LEVEL, 0, 0};
    int err = range_check(pt, va, len, &va);

    return err < 0 ? err : change_run(&c, va, len);
}

int pagetable_protect(struct pagetable *pt, uint64_t va, uint64_t len, uint64_t leaf_flags)
{
    struct change c = {pt, CHANGE_PROTECT, TOP_LEVEL, 0, leaf_flags};
    int err = range_check(pt, va, len, &va);

    if (err < 0)
        return err;
    if (leaf_flags & ~PTE_LEAF_FLAGS)
        return -EINVAL;
    return change_run(&c, va, len);
}

/* The entry that ends the walk to `va`, a leaf or nothing, and its level. */
static int walk(const struct pagetable *pt, uint64_t *va, uint64_t **at, unsigned *level)
{
    uint64_t *table = table_at(pt->root);
    int err = range_check(pt, *va & PAGE_MASK, PAGE_SIZE, va);

    if (err < 0)
        return err;
    for (*level = TOP_LEVEL;; (*level)--) {
        *at = &table[slot_index(*va, *level)];
        if (!is_table(entry_read(*at), *level))
            return 0;
        table = table_of(entry_read(*at));
    }
}

int pagetable_mark(struct pagetable *pt, uint64_t va, uint64_t clear, uint64_t set, uint64_t *was)
{
    unsigned level;
    uint64_t *at;
    int err = walk(pt, &va, &at, &level);

    if (err < 0)
        return err;
    if (is_nothing(entry_read(at)))
        return -ENOENT;
    /* Processors set the bits at any time: change no others, and lose none. */
    *was = __atomic_fetch_and(at, ~(clear & (PTE_A | PTE_D)), __ATOMIC_ACQ_REL);
    __atomic_fetch_or(at, set & (PTE_A | PTE_D), __ATOMIC_ACQ_REL);
    return 0;
}

int pagetable_query(const struct pagetable *pt, uint64_t va, struct pagetable_leaf *out)
{
    uint64_t offset = va & ~PAGE_MASK;
    unsigned level;
    uint64_t *at, entry;
    int err = walk(pt, &va, &at, &level);

    if (err < 0)
        return err;
    entry = entry_read(at);
    out->size = (enum page_size)level;
    if (!(entry & PTE_P))
        return entry & PTE_CLOSED ? -EACCES : -ENOENT;
    out->pa = hpa((entry & PTE_ADDR) + (va & (slot_bytes(level) - 1)) + offset);
    out->flags = entry & PTE_LEAF_FLAGS;
    return 0;
}

struct visit {
    void (*fn)(void *ctx, uint64_t va, hpa_t pa, uint64_t len);
    void *ctx;
};

/* Recursion is as deep as there are levels. */
static void visit_table(const uint64_t *table, unsigned level, uint64_t va, const struct visit *v)
{
    for (unsigned i = 0; i < ENTRIES; i++, va += slot_bytes(level)) {
        uint64_t entry = entry_read(&table[i]);

        if (is_table(entry, level))
            visit_table(table_of(entry), level - 1, va, v);
        else if (is_leaf(entry, level))
            v->fn(v->ctx, va, hpa(entry & PTE_ADDR & ~(slot_bytes(level) - 1)), slot_bytes(level));
    }
}

void pagetable_for_each(const struct pagetable *pt,
                        void (*fn)(void *ctx, uint64_t va, hpa_t pa, uint64_t len), void *ctx)
{
    const struct visit v = {fn, ctx};

    visit_table(table_at(pt->root), TOP_LEVEL, 0, &v);
}

void pagetable_reclaim(struct pagetable *pt)
{
    while (pt->retired_count) {
        hpa_t page = pt->retired;
        pt->retired = retired_next(page);
        pt->retired_count--;
        pt->source.free(pt->source.ctx, page);
    }
}
