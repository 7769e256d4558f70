/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/space.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/frame.h"
#include "hypervisor/mm/pagetable.h"
#include "lib/errno.h"

#define DEVICE_BASE  0xffffff0000000000ULL
#define DEVICE_LIMIT (DEVICE_BASE + (64ULL << 20))
#define STACK_BASE   0xffffff8000000000ULL
#define IMAGE_BASE   0xffffffff80000000ULL

extern const uint8_t image_start[], image_text_end[], image_rodata_end[], image_end[];

uint64_t space_root;

static struct pagetable space;
static uint64_t device_next = DEVICE_BASE;
static uint64_t stack_next = STACK_BASE;

static enum page_size largest_leaf(void)
{
    uint32_t r[4];

    cpu_cpuid(0x80000001, 0, r);
    return r[3] & BIT(26) ? PAGE_SIZE_1G : PAGE_SIZE_2M;
}

static int map_image_part(const uint8_t *from, const uint8_t *to, uint64_t flags)
{
    uint64_t va = (uint64_t)(uintptr_t)from;
    uint64_t len = (uint64_t)(uintptr_t)to - va;

    return pagetable_map(&space, va, hpa(va - IMAGE_BASE), len, flags | PTE_G, PAGE_SIZE_2M);
}

static int map_image(void)
{
    uint64_t start = (uint64_t)(uintptr_t)image_start - IMAGE_BASE;
    uint64_t rodata_end = (uint64_t)(uintptr_t)image_rodata_end - IMAGE_BASE;
    int rc = map_image_part(image_start, image_text_end, 0);

    if (!rc)
        rc = map_image_part(image_text_end, image_rodata_end, PTE_NX);
    if (!rc)
        rc = map_image_part(image_rodata_end, image_end, PTE_W | PTE_NX);
    /* The direct map must not be a back door to text and constants. */
    if (!rc)
        rc = pagetable_protect(&space, DIRECT_MAP_BASE + start, rodata_end - start, PTE_NX | PTE_G);
    return rc;
}

/*
 * Everything that the map names is mapped write-back, firmware tables included:
 * the caching that counts for device memory is set by the MTRRs.
 */
static int map_direct(const struct range_map *machine)
{
    enum page_size leaf = largest_leaf();

    range_map_for_each(r, machine)
    {
        uint64_t start = align_down(r->start, PAGE_SIZE), end = align_up(r->end, PAGE_SIZE);
        int rc;

        if (r->type == RANGE_RESERVED && r->end - r->start > (1ULL << 30))
            continue; /* address space, not memory */
        rc = pagetable_map(&space, DIRECT_MAP_BASE + start, hpa(start), end - start,
                           PTE_W | PTE_NX | PTE_G, leaf);
        if (rc)
            return rc;
    }
    /* VGA text memory is usually a hole in the map. */
    return pagetable_map(&space, DIRECT_MAP_BASE + 0xa0000, hpa(0xa0000), 0x60000,
                         PTE_W | PTE_NX | PTE_G, PAGE_SIZE_4K);
}

int space_init(const struct range_map *machine)
{
    int rc = pagetable_init(&space, PAGETABLE_HOST, NULL);

    if (!rc)
        rc = map_direct(machine);
    if (!rc)
        rc = map_image();
    if (rc)
        return rc;
    space_root = space.root.v;
    space_load();
    return 0;
}

void space_load(void)
{
    uint32_t r[4];
    uint64_t cr4 = cpu_read_cr4();

    cpu_write_cr3(space.root.v);
    cpu_cpuid(7, 0, r);
    if (r[1] & BIT(7))
        cr4 |= CR4_SMEP;
    if (r[1] & BIT(20))
        cr4 |= CR4_SMAP;
    /*
     * PSE changes nothing in long mode. But an emulated processor flushes its TLB once
     * more for each world switch that changes one of these bits, and guests set it.
     */
    cpu_write_cr4(cr4 | CR4_PGE | CR4_PSE);
}

void *space_map_device(hpa_t pa, uint64_t len)
{
    uint64_t offset = pa.v & ~PAGE_MASK;
    uint64_t size = align_up(len + offset, PAGE_SIZE);
    uint64_t at = device_next;

    if (size > DEVICE_LIMIT - at || pagetable_map(&space, at, hpa(pa.v - offset), size,
                                                  PTE_W | PTE_NX | PTE_PCD | PTE_PWT, PAGE_SIZE_4K))
        return NULL;
    device_next += size;
    return (void *)(uintptr_t)(at + offset);
}

int space_map_stack(unsigned pages, uint64_t *top)
{
    uint64_t at = stack_next + PAGE_SIZE; /* the guard page stays unmapped */
    hpa_t frames;
    int rc = frame_alloc(pages, 1, &frames);

    if (rc)
        return rc;
    rc = pagetable_map(&space, at, frames, pages * PAGE_SIZE, PTE_W | PTE_NX | PTE_G, PAGE_SIZE_4K);
    if (rc) {
        frame_free(frames, pages);
        return rc;
    }
    stack_next = at + pages * PAGE_SIZE;
    *top = stack_next;
    return 0;
}
