// SPDX-License-Identifier: GPL-2.0-only
/* In place of demand.c for kernels that cannot mirror a process's memory (CONFIG_HMM_MIRROR). */
#include <linux/errno.h>
#include "demand.h"

bool vid_demand_possible(void)
{
    return false;
}

int vid_demand_map(struct vid_partition *partition, const struct vid_demand_memory *memory,
                   struct vid_demand **out)
{
    *out = NULL;
    return -EOPNOTSUPP;
}

int vid_demand_unmap(struct vid_demand *demand)
{
    return 0;
}

void vid_demand_free(struct vid_demand *demand)
{
}

int vid_demand_fault(struct vid_demand *demand, u64 frame, bool write, unsigned long *pfns)
{
    return -EFAULT;
}

void vid_demand_states(struct vid_demand *demand, u64 frame, u32 pages, u64 flags, u8 *states)
{
}
