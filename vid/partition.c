// SPDX-License-Identifier: GPL-2.0-only
#include <linux/anon_inodes.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "calls.h"
#include "abi/bulkhead.h"
#include "doorbell.h"
#include "event.h"
#include "irqfd.h"
#include "region.h"
#include "vid.h"

/* Partitions by id: added and removed under the lock, looked up by the upcall under RCU. */
static DEFINE_HASHTABLE(partitions, 6);
static DEFINE_SPINLOCK(partitions_lock);

struct vid_partition *vid_partition_find(u64 id)
{
    struct vid_partition *partition;

    hash_for_each_possible_rcu(partitions, partition, node,
                               id) if (partition->id == id) return partition;
    return NULL;
}

static void publish(struct vid_partition *partition)
{
    spin_lock(&partitions_lock);
    hash_add_rcu(partitions, &partition->node, partition->id);
    spin_unlock(&partitions_lock);
}

/* Afterwards no upcall knows the partition or its VPs. */
static void unpublish(struct vid_partition *partition)
{
    spin_lock(&partitions_lock);
    hash_del_rcu(&partition->node);
    spin_unlock(&partitions_lock);
    synchronize_rcu();
}

/* Gives back what the partition had of the parent's own pool, which has no owner to do it. */
static void trim_own_pool(void)
{
    s64 pages = atomic64_read(&vid_host.pool.pages);

    if (pages > 0)
        vid_pool_withdraw(&vid_host.pool, pages);
}

int vid_partition_finalize(struct vid_partition *partition)
{
    int error = 0;

    mutex_lock(&partition->end_lock);
    if (partition->initialized && !partition->finalized) {
        error = vid_finalize_partition(partition->id);
        partition->finalized = !error;
    }
    mutex_unlock(&partition->end_lock);
    return error;
}

/*
 * The order: nothing of the partition runs any more (FINALIZE), then no upcall can find it, then
 * its memory is let go. If it cannot be finalized its memory is lost, for the guest may write it.
 */
static void destroy(struct vid_partition *partition)
{
    int error;

    vid_debugfs_remove(partition);
    vid_irqfds_release(partition);
    vid_doorbells_release(partition);
    vid_events_release(partition);
    for (u32 i = 0; i < VID_MAX_VPS; i++)
        if (partition->vps[i])
            vid_vp_unmap(partition->vps[i]);
    error = vid_partition_finalize(partition);
    if (error)
        pr_err("bulkhead-vid: partition %llu cannot be finalized (%d): its memory is lost\n",
               partition->id, error);
    unpublish(partition);
    if (vid_regions_free(partition, error)) {
        __module_get(THIS_MODULE);
        return;
    }
    vid_pool_withdraw(&partition->pool, U64_MAX);
    error = vid_delete_partition(partition->id);
    if (error || atomic64_read(&partition->pool.pages))
        pr_warn("bulkhead-vid: partition %llu: deleted with %d, %lld pages not returned\n",
                partition->id, error, atomic64_read(&partition->pool.pages));
    trim_own_pool();
    for (u32 i = 0; i < VID_MAX_VPS; i++)
        vid_vp_free(partition->vps[i]);
    kvfree(partition->routes);
    kfree(partition);
}

void vid_partition_get(struct vid_partition *partition)
{
    refcount_inc(&partition->refs);
}

void vid_partition_put(struct vid_partition *partition)
{
    if (refcount_dec_and_test(&partition->refs))
        destroy(partition);
}

/* Doorbells, events and irqfds end with the partition's own descriptor, not with the last of a VP.
 */
static int release(struct inode *inode, struct file *file)
{
    struct vid_partition *partition = file->private_data;

    mutex_lock(&partition->lock);
    vid_irqfds_release(partition);
    vid_doorbells_release(partition);
    vid_events_release(partition);
    mutex_unlock(&partition->lock);
    vid_partition_put(partition);
    return 0;
}

static long initialize(struct vid_partition *partition)
{
    int error;

    if (partition->initialized)
        return 0;
    error = vid_initialize_partition(partition);
    if (error)
        vid_pool_withdraw(&partition->pool, U64_MAX);
    else
        partition->initialized = true;
    return error;
}

static long dispatch(struct vid_partition *partition, unsigned int command, void __user *argument)
{
    switch (command) {
    case MSHV_INITIALIZE_PARTITION:
        return initialize(partition);
    case MSHV_CREATE_VP:
        return vid_vp_create(partition, argument);
    case MSHV_SET_GUEST_MEMORY:
        return vid_set_memory(partition, argument);
    case MSHV_IRQFD:
        return vid_irqfd(partition, argument);
    case MSHV_IOEVENTFD:
        return vid_ioeventfd(partition, argument);
    case BULKHEAD_EVENT:
        return vid_event(partition, argument);
    case MSHV_SET_MSI_ROUTING:
        return vid_set_routing(partition, argument);
    case MSHV_GET_GPAP_ACCESS_BITMAP:
        return vid_access_bitmap(partition, argument);
    case MSHV_ROOT_HVCALL:
        return vid_passthru(partition, true, argument);
    default:
        return -ENOTTY;
    }
}

static long ioctl(struct file *file, unsigned int command, unsigned long argument)
{
    struct vid_partition *partition = file->private_data;
    long result;

    if (mutex_lock_killable(&partition->lock))
        return -EINTR;
    result = dispatch(partition, command, (void __user *)argument);
    mutex_unlock(&partition->lock);
    return result;
}

static const struct file_operations partition_files = {
    .owner = THIS_MODULE,
    .release = release,
    .unlocked_ioctl = ioctl,
    .llseek = noop_llseek,
};

/* The creation's flags out of those of the device's interface; all partitions are of one kind. */
static u64 creation_flags(u64 flags)
{
    static const u64 map[MSHV_PT_BIT_COUNT] = {
        [MSHV_PT_BIT_LAPIC] = HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED,
        [MSHV_PT_BIT_X2APIC] = HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE,
        [MSHV_PT_BIT_GPA_SUPER_PAGES] = HV_PARTITION_CREATION_FLAG_GPA_SUPER_PAGES_ENABLED,
        [MSHV_PT_BIT_NESTED_VIRTUALIZATION] =
            HV_PARTITION_CREATION_FLAG_NESTED_VIRTUALIZATION_CAPABLE,
        [MSHV_PT_BIT_SMT_ENABLED_GUEST] = HV_PARTITION_CREATION_FLAG_SMT_ENABLED_GUEST,
    };
    u64 out = HV_PARTITION_CREATION_FLAG_EXO_PARTITION |
              HV_PARTITION_CREATION_FLAG_INTERCEPT_MESSAGE_PAGE_ENABLED;

    for (u32 bit = 0; bit < MSHV_PT_BIT_COUNT; bit++)
        out |= flags & BIT_ULL(bit) ? map[bit] : 0;
    return out;
}

/* The argument is the short struct or the long one: the flags, read once, decide. */
static int read_arguments(void __user *argument, struct mshv_create_partition_v2 *args)
{
    size_t head = sizeof(struct mshv_create_partition);

    *args = (struct mshv_create_partition_v2){};
    if (copy_from_user(args, argument, head))
        return -EFAULT;
    if ((args->pt_flags & ~(u64)MSHV_PT_FLAGS_MASK) ||
        args->pt_isolation >= MSHV_PT_ISOLATION_COUNT)
        return -EINVAL;
    if (!(args->pt_flags & BIT_ULL(MSHV_PT_BIT_CPU_AND_XSAVE_FEATURES)))
        return 0;
    if (copy_from_user((u8 *)args + head, (u8 __user *)argument + head, sizeof(*args) - head))
        return -EFAULT;
    if (args->pt_num_cpu_fbanks != MSHV_NUM_CPU_FEATURES_BANKS ||
        memchr_inv(args->pt_rsvd, 0, sizeof(args->pt_rsvd)) ||
        memchr_inv(args->pt_rsvd1, 0, sizeof(args->pt_rsvd1)))
        return -EINVAL;
    return 0;
}

static struct vid_partition *allocate(void)
{
    struct vid_partition *partition = kzalloc(sizeof(*partition), GFP_KERNEL_ACCOUNT);

    if (!partition)
        return NULL;
    refcount_set(&partition->refs, 1);
    mutex_init(&partition->lock);
    mutex_init(&partition->end_lock);
    init_rwsem(&partition->regions_sem);
    spin_lock_init(&partition->irqfds_lock);
    INIT_LIST_HEAD(&partition->regions);
    INIT_LIST_HEAD(&partition->irqfds);
    INIT_LIST_HEAD(&partition->resamplers);
    INIT_LIST_HEAD(&partition->doorbells);
    INIT_LIST_HEAD(&partition->events);
    init_completion(&partition->async_done);
    return partition;
}

/* Makes the descriptor. From its installation on, the partition is its owner's. */
static int install(struct vid_partition *partition)
{
    int fd = get_unused_fd_flags(O_CLOEXEC);
    struct file *file;

    if (fd < 0)
        return fd;
    file = anon_inode_getfile("mshv_partition", &partition_files, partition, O_RDWR);
    if (IS_ERR(file)) {
        put_unused_fd(fd);
        return PTR_ERR(file);
    }
    fd_install(fd, file);
    return fd;
}

long vid_partition_create(void __user *argument)
{
    struct mshv_create_partition_v2 args;
    struct hv_input_create_partition in = {.compatibility_version = HV_COMPATIBILITY_21_H2};
    struct vid_partition *partition;
    int result = read_arguments(argument, &args);

    if (result)
        return result;
    in.flags = creation_flags(args.pt_flags);
    in.disabled_processor_features[0] = args.pt_cpu_fbanks[0];
    in.disabled_processor_features[1] = args.pt_cpu_fbanks[1];
    in.disabled_processor_xsave_features = args.pt_disabled_xsave;

    partition = allocate();
    if (!partition)
        return -ENOMEM;
    result = vid_create_partition(&in, &partition->id);
    if (result) {
        kfree(partition);
        trim_own_pool();
        return result;
    }
    vid_pool_init(&partition->pool, partition->id);
    publish(partition);
    vid_debugfs_add(partition);
    result = install(partition);
    if (result < 0)
        vid_partition_put(partition);
    return result;
}
