/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PROPERTIES_H
#define PARTITION_PROPERTIES_H

#include "abi/tlfs/management.h"
#include "hypervisor/partition/partition.h"

/** Every synthetic feature that a child of this build may have: HV_SYNTH_* bits. */
#define SYNTHETIC_FEATURES                                                                         \
    (HV_SYNTH_HYPERVISOR_PRESENT | HV_SYNTH_HV1 | HV_SYNTH_ACCESS_VP_RUN_TIME |                    \
     HV_SYNTH_ACCESS_REFERENCE_COUNTER | HV_SYNTH_ACCESS_SYNIC |                                   \
     HV_SYNTH_ACCESS_SYNTHETIC_TIMERS | HV_SYNTH_ACCESS_INTR_CTRL | HV_SYNTH_ACCESS_HYPERCALL |    \
     HV_SYNTH_ACCESS_VP_INDEX | HV_SYNTH_ACCESS_REFERENCE_TSC | HV_SYNTH_ACCESS_GUEST_IDLE |       \
     HV_SYNTH_ACCESS_FREQUENCY | HV_SYNTH_DIRECT_SYNTHETIC_TIMERS |                                \
     HV_SYNTH_EXTENDED_PROCESSOR_MASKS | HV_SYNTH_TB_FLUSH_HYPERCALLS |                            \
     HV_SYNTH_SYNTHETIC_CLUSTER_IPI | HV_SYNTH_NOTIFY_LONG_SPIN_WAIT | HV_SYNTH_SIGNAL_EVENTS)

/** What a child has before its parent sets anything: all synthetic features, default weight. */
void properties_init(struct partition *p);

#endif
