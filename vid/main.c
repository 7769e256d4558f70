// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/mshv on the parent partition of Bulkhead: the interface of Linux' own driver for the root
 * partition of Hyper-V, for kernels that do not have it. docs/vid.md describes the module.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include "calls.h"
#include "compat.h"
#include "hvcall.h"
#include "irqfd.h"
#include "synic.h"
#include "vid.h"

struct vid_host vid_host;

static long ioctl(struct file *file, unsigned int command, unsigned long argument)
{
    switch (command) {
    case MSHV_CREATE_PARTITION:
        return vid_partition_create((void __user *)argument);
    case MSHV_ROOT_HVCALL:
        return vid_passthru(NULL, false, (void __user *)argument);
    default:
        return -ENOTTY;
    }
}

static const struct file_operations device_files = {
    .owner = THIS_MODULE,
    .unlocked_ioctl = ioctl,
    .llseek = noop_llseek,
};

static struct miscdevice device = {
    .minor = MISC_DYNAMIC_MINOR,
    .name = "mshv",
    .fops = &device_files,
    .mode = 0600,
};

/* Whether we are a parent is what the hypervisor says when asked as one, not what CPUID shows. */
static int __init identify(void)
{
    const char *reason = "no hypervisor with this interface";

    if (vid_compat_hyperv()) {
        reason = "the hypervisor refuses the calls of a parent partition";
        if (!vid_get_partition_id(&vid_host.partition_id) &&
            !vid_get_scheduler_type(&vid_host.scheduler_type)) {
            /* Who schedules VPs: threads of ours (the root scheduler) are not what we offer. */
            if (vid_host.scheduler_type >= HV_SCHEDULER_TYPE_LP &&
                vid_host.scheduler_type <= HV_SCHEDULER_TYPE_CORE_SMT)
                return 0;
            reason = "the hypervisor's scheduler type is not supported";
        }
    }
    pr_err("bulkhead-vid: not loaded: %s\n", reason);
    return -ENODEV;
}

static int __init vid_init(void)
{
    int error = vid_calls_init();

    if (error)
        return error;
    error = identify();
    if (error)
        goto free_calls;
    vid_pool_init(&vid_host.pool, vid_host.partition_id);
    error = vid_irqfds_init();
    if (error)
        goto free_calls;
    error = vid_synic_init();
    if (error)
        goto free_irqfds;
    vid_debugfs_init();
    error = misc_register(&device);
    if (error)
        goto stop_synic;
    pr_info("bulkhead-vid: partition %llu is the parent\n", vid_host.partition_id);
    return 0;

stop_synic:
    vid_debugfs_exit();
    vid_synic_exit();
free_irqfds:
    vid_irqfds_exit();
free_calls:
    vid_calls_exit();
    return error;
}

/* No descriptor is open: each holds the module. */
static void __exit vid_exit(void)
{
    misc_deregister(&device);
    vid_debugfs_exit();
    vid_synic_exit();
    vid_irqfds_exit();
    vid_pool_withdraw(&vid_host.pool, atomic64_read(&vid_host.pool.pages));
    vid_calls_exit();
}

module_init(vid_init);
module_exit(vid_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The Bulkhead authors");
MODULE_DESCRIPTION("Virtualization infrastructure driver: /dev/mshv for the parent partition");
