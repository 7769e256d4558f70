// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "demand.h"
#include "region.h"
#include "vid.h"

/* Guest physical addresses have 52 bits at most. */
#define GUEST_FRAMES_END (1ULL << 40)

#define EXECUTABLE (HV_MAP_GPA_KERNEL_EXECUTABLE | HV_MAP_GPA_USER_EXECUTABLE)

/* Intercepts in a row, over a page that is present, after which user space hears of one. */
#define IDLE_FAULTS_MAX 1000

static bool overlaps(const struct vid_partition *partition, u64 first, u64 pages)
{
    const struct vid_region *region;

    list_for_each_entry(region, &partition->regions,
                        node) if (first < region->first_frame + region->pages &&
                                  region->first_frame < first + pages) return true;
    return false;
}

/* What the owner may do with user memory that is given to a guest. */
struct user_memory {
    bool locked;   /* all of it */
    bool writable; /* its beginning */
};

static int inspect(u64 address, u64 size, bool guest_writes, struct user_memory *out)
{
    struct mm_struct *mm = current->mm;
    struct vm_area_struct *area;
    int error = 0;

    *out = (struct user_memory){.locked = true};
    mmap_read_lock(mm);
    area = vma_lookup(mm, address);
    if (area)
        out->writable = area->vm_flags & VM_WRITE;
    else
        error = -EINVAL;
    for (u64 at = address; at < address + size && !error; at = area->vm_end) {
        area = vma_lookup(mm, at);
        if (!area || (area->vm_flags & (VM_IO | VM_PFNMAP)) ||
            (guest_writes && !(area->vm_flags & VM_WRITE))) {
            error = -EFAULT;
            break;
        }
        out->locked = out->locked && (area->vm_flags & VM_LOCKED);
    }
    mmap_read_unlock(mm);
    return error;
}

/* Memory that its owner may write is pinned as its owner's own copy. */
static int map_pinned(struct vid_partition *partition, struct vid_region *region, bool writable)
{
    return vid_region_map(
        partition, region,
        FOLL_LONGTERM | (writable || (region->map_flags & HV_MAP_GPA_WRITABLE) ? FOLL_WRITE : 0));
}

static int map_on_demand(struct vid_partition *partition, struct vid_region *region)
{
    const struct vid_demand_memory memory = {.first_frame = region->first_frame,
                                             .pages = region->pages,
                                             .user_address = region->user_address,
                                             .map_flags = region->map_flags};

    return vid_demand_map(partition, &memory, &region->demand);
}

/* Takes a region away from the guest, whatever it is. */
static int unmap(struct vid_partition *partition, struct vid_region *region)
{
    return region->demand ? vid_demand_unmap(region->demand) : vid_region_unmap(partition, region);
}

static void add(struct vid_partition *partition, struct vid_region *region)
{
    down_write(&partition->regions_sem);
    list_add_tail(&region->node, &partition->regions);
    up_write(&partition->regions_sem);
}

static void release(struct vid_partition *partition, struct vid_region *region)
{
    vid_demand_free(region->demand);
    vid_region_unpin(partition, region);
    kfree(region);
}

static struct vid_region *allocate(const struct mshv_user_mem_region *args)
{
    struct vid_region *region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);

    if (!region)
        return NULL;
    INIT_LIST_HEAD(&region->extents);
    region->first_frame = args->guest_pfn;
    region->pages = args->size >> PAGE_SHIFT;
    region->user_address = args->userspace_addr;
    region->map_flags = HV_MAP_GPA_READABLE | HV_MAP_GPA_ADJUSTABLE;
    if (args->flags & BIT(MSHV_SET_MEM_BIT_WRITABLE))
        region->map_flags |= HV_MAP_GPA_WRITABLE;
    if (args->flags & BIT(MSHV_SET_MEM_BIT_EXECUTABLE))
        region->map_flags |= EXECUTABLE;
    return region;
}

static long map_memory(struct vid_partition *partition, const struct mshv_user_mem_region *args)
{
    struct user_memory user;
    struct vid_region *region;
    int error;

    if (!access_ok((void __user *)args->userspace_addr, args->size))
        return -EINVAL;
    error = inspect(args->userspace_addr, args->size, args->flags & BIT(MSHV_SET_MEM_BIT_WRITABLE),
                    &user);
    if (error)
        return error;
    if (overlaps(partition, args->guest_pfn, args->size >> PAGE_SHIFT))
        return -EEXIST;

    region = allocate(args);
    if (!region)
        return -ENOMEM;
    error = user.locked || !vid_demand_possible() ? map_pinned(partition, region, user.writable)
                                                  : map_on_demand(partition, region);
    if (error && !unmap(partition, region))
        release(partition, region);
    else /* what cannot be undone is undone at the partition's end */
        add(partition, region);
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
        /* No VP is within: what it would bring would come too late to be taken away. */
        down_write(&partition->regions_sem);
        error = unmap(partition, region);
        if (!error)
            list_del(&region->node);
        up_write(&partition->regions_sem);
        if (!error)
            release(partition, region);
        return error;
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

/* Whether the owner has given the memory for such an access. */
static bool is_allowed(const struct vid_region *region, u8 access)
{
    switch (access) {
    case HV_INTERCEPT_ACCESS_READ:
        return true;
    case HV_INTERCEPT_ACCESS_WRITE:
        return region->map_flags & HV_MAP_GPA_WRITABLE;
    default:
        return region->map_flags & EXECUTABLE;
    }
}

static struct vid_region *find(struct vid_partition *partition, u64 frame)
{
    struct vid_region *region;

    list_for_each_entry(region, &partition->regions,
                        node) if (frame - region->first_frame < region->pages) return region;
    return NULL;
}

int vid_memory_fault(struct vid_vp *vp, u64 address, u8 access)
{
    struct vid_partition *partition = vp->partition;
    u64 frame = address >> PAGE_SHIFT;
    struct vid_region *region;
    int result = -EFAULT;

    if (down_read_killable(&partition->regions_sem))
        return -EINTR;
    region = find(partition, frame);
    if (region && region->demand && is_allowed(region, access))
        result =
            vid_demand_fault(region->demand, frame, access == HV_INTERCEPT_ACCESS_WRITE, vp->pfns);
    up_read(&partition->regions_sem);
    /* Other VPs bring memory too, but not for ever what one of them is told that it lacks. */
    vp->idle_faults = result == 1 ? vp->idle_faults + 1 : 0;
    if (result == 1)
        result = vp->idle_faults <= IDLE_FAULTS_MAX ? 0 : -EFAULT;
    return result;
}

void vid_memory_states(struct vid_partition *partition, u64 frame, u32 pages, u64 flags, u8 *states)
{
    struct vid_region *region;

    list_for_each_entry(region, &partition->regions, node) if (region->demand)
        vid_demand_states(region->demand, frame, pages, flags, states);
}

int vid_regions_free(struct vid_partition *partition, bool keep)
{
    struct vid_region *region, *next;
    int error = 0;

    list_for_each_entry_safe(region, next, &partition->regions, node)
    {
        if (keep && region->demand && vid_demand_unmap(region->demand)) {
            error = -EIO;
            continue;
        }
        list_del(&region->node);
        if (keep && !region->demand)
            kfree(region);
        else
            release(partition, region);
    }
    return error;
}
