// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "region.h"
#include "vid.h"

/* Guest physical addresses have 52 bits at most. */
#define GUEST_FRAMES_END (1ULL << 40)

static bool overlaps(const struct vid_partition *partition, u64 first, u64 pages)
{
    const struct vid_region *region;

    list_for_each_entry(region, &partition->regions,
                        node) if (first < region->first_frame + region->pages &&
                                  region->first_frame < first + pages) return true;
    return false;
}

/* How to pin: memory that its owner may write is pinned as its owner's own copy. */
static int choose_pin(u64 address, bool guest_writes, unsigned int *pin_flags)
{
    struct vm_area_struct *area;
    bool writable = false;

    mmap_read_lock(current->mm);
    area = vma_lookup(current->mm, address);
    if (area)
        writable = area->vm_flags & VM_WRITE;
    mmap_read_unlock(current->mm);
    if (!area)
        return -EINVAL;
    *pin_flags = FOLL_LONGTERM | (writable || guest_writes ? FOLL_WRITE : 0);
    return 0;
}

static long map_memory(struct vid_partition *partition, const struct mshv_user_mem_region *args)
{
    u32 map_flags = HV_MAP_GPA_READABLE | HV_MAP_GPA_ADJUSTABLE;
    bool writable = args->flags & BIT(MSHV_SET_MEM_BIT_WRITABLE);
    u64 pages = args->size >> PAGE_SHIFT;
    struct vid_region *region;
    unsigned int pin_flags;
    int error;

    if (!access_ok((void __user *)args->userspace_addr, args->size))
        return -EINVAL;
    error = choose_pin(args->userspace_addr, writable, &pin_flags);
    if (error)
        return error;
    if (overlaps(partition, args->guest_pfn, pages))
        return -EEXIST;

    region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
    if (!region)
        return -ENOMEM;
    INIT_LIST_HEAD(&region->extents);
    region->first_frame = args->guest_pfn;
    region->pages = pages;
    region->user_address = args->userspace_addr;
    map_flags |= writable ? HV_MAP_GPA_WRITABLE : 0;
    if (args->flags & BIT(MSHV_SET_MEM_BIT_EXECUTABLE))
        map_flags |= HV_MAP_GPA_KERNEL_EXECUTABLE | HV_MAP_GPA_USER_EXECUTABLE;
    /* From here on it belongs to the partition: what cannot be undone is undone at its end. */
    list_add_tail(&region->node, &partition->regions);
    error = vid_region_map(partition, region, pin_flags, map_flags);
    if (error && !vid_region_unmap(partition, region)) {
        vid_region_unpin(partition, region);
        list_del(&region->node);
        kfree(region);
    }
    return error;
}

static long unmap_memory(struct vid_partition *partition, const struct mshv_user_mem_region *args)
{
    struct vid_region *region;
    int error;

    list_for_each_entry(region, &partition->regions, node)
    {
        if (region->first_frame != args->guest_pfn ||
            region->user_address != args->userspace_addr ||
            region->pages != args->size >> PAGE_SHIFT)
            continue;
        error = vid_region_unmap(partition, region);
        if (error)
            return error;
        list_del(&region->node);
        vid_region_unpin(partition, region);
        kfree(region);
        return 0;
    }
    /*
     * QEMU takes a flash chip's memory away a second time when the guest begins to write to the
     * chip, and ends itself over an error. There is nothing that the guest could still reach.
     */
    return overlaps(partition, args->guest_pfn, args->size >> PAGE_SHIFT) ? -EINVAL : 0;
}

long vid_set_memory(struct vid_partition *partition, void __user *argument)
{
    struct mshv_user_mem_region args;

    if (copy_from_user(&args, argument, sizeof(args)))
        return -EFAULT;
    if (!args.size || !PAGE_ALIGNED(args.size) || !PAGE_ALIGNED(args.userspace_addr) ||
        (args.flags & ~MSHV_SET_MEM_FLAGS_MASK) || memchr_inv(args.rsvd, 0, sizeof(args.rsvd)))
        return -EINVAL;
    if (args.guest_pfn >= GUEST_FRAMES_END ||
        args.size >> PAGE_SHIFT > GUEST_FRAMES_END - args.guest_pfn)
        return -EINVAL;
    if (args.flags & BIT(MSHV_SET_MEM_BIT_UNMAP))
        return unmap_memory(partition, &args);
    return map_memory(partition, &args);
}

void vid_regions_free(struct vid_partition *partition, bool keep)
{
    struct vid_region *region, *next;

    list_for_each_entry_safe(region, next, &partition->regions, node)
    {
        list_del(&region->node);
        if (!keep)
            vid_region_unpin(partition, region);
        kfree(region);
    }
}
