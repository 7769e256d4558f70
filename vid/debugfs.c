// SPDX-License-Identifier: GPL-2.0-only
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include "vid.h"

/*
 * /sys/kernel/debug/bulkhead-vid/: memory of the module, the knob for failing deposits, and a
 * file for each partition. Fields are read without locks: they are counters.
 */
static struct dentry *root;

static int memory_show(struct seq_file *file, void *unused)
{
    seq_printf(file, "own_pool_pages %lld\n", atomic64_read(&vid_host.pool.pages));
    seq_printf(file, "deposited %lld\n", atomic64_read(&vid_pool_deposited));
    seq_printf(file, "withdrawn %lld\n", atomic64_read(&vid_pool_withdrawn));
    return 0;
}
DEFINE_SHOW_ATTRIBUTE(memory);

static void show_vp(struct seq_file *file, const struct vid_vp *vp)
{
    seq_printf(file, "vp %u kicks %lld runs %llu intercepts %llu interrupted %llu acked %llu\n",
               vp->index, atomic64_read(&vp->kicks), READ_ONCE(vp->runs), READ_ONCE(vp->intercepts),
               READ_ONCE(vp->interrupted), READ_ONCE(vp->acked));
}

static int partition_show(struct seq_file *file, void *unused)
{
    struct vid_partition *partition = file->private;
    const struct vid_counters *counters = &partition->counters;

    seq_printf(file, "pool_pages %lld\n", atomic64_read(&partition->pool.pages));
    seq_printf(file, "mapped_pages %lld\n", atomic64_read(&counters->mapped));
    seq_printf(file, "large_pages %lld\n", atomic64_read(&counters->large));
    seq_printf(file, "pinned_pages %lld\n", atomic64_read(&counters->pinned));
    seq_printf(file, "faults %lld\n", atomic64_read(&counters->faults));
    seq_printf(file, "invalidations %lld\n", atomic64_read(&counters->invalidations));
    seq_printf(file, "irqs %lld\n", atomic64_read(&counters->irqs));
    seq_printf(file, "acks %lld\n", atomic64_read(&counters->acks));
    seq_printf(file, "doorbells %lld\n", atomic64_read(&counters->doorbells));
    seq_printf(file, "events %lld\n", atomic64_read(&counters->events));
    seq_printf(file, "passthru %lld\n", atomic64_read(&counters->passthru));
    for (u32 i = 0; i < VID_MAX_VPS; i++) {
        const struct vid_vp *vp = smp_load_acquire(&partition->vps[i]);

        if (vp)
            show_vp(file, vp);
    }
    return 0;
}
DEFINE_SHOW_ATTRIBUTE(partition);

void vid_debugfs_init(void)
{
    root = debugfs_create_dir("bulkhead-vid", NULL);
    debugfs_create_file("memory", 0400, root, NULL, &memory_fops);
    debugfs_create_u32("fail_deposit", 0600, root, &vid_pool_fail_deposit);
}

void vid_debugfs_exit(void)
{
    debugfs_remove(root);
}

void vid_debugfs_add(struct vid_partition *partition)
{
    char name[32];

    snprintf(name, sizeof(name), "partition-%llu", partition->id);
    partition->debug = debugfs_create_file(name, 0400, root, partition, &partition_fops);
}

/* Waits for readers of the file. */
void vid_debugfs_remove(struct vid_partition *partition)
{
    debugfs_remove(partition->debug);
}
