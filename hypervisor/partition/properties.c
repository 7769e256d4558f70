/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/properties.h"

#include "hypervisor/partition/privileges.h"
#include "hypervisor/sched/sched.h"

void properties_init(struct partition *p)
{
    p->properties = (struct partition_properties){
        .synthetic_features = SYNTHETIC_FEATURES,
        .weight = SCHED_WEIGHT_DEFAULT,
    };
    p->privileges = PRIVILEGES_STOCK_CHILD;
}
