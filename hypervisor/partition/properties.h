/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PROPERTIES_H
#define PARTITION_PROPERTIES_H

#include <stddef.h>
#include "abi/tlfs/management.h"
#include "hypervisor/partition/partition.h"

/*
 * Partition properties (TLFS "HV_PARTITION_PROPERTY_CODE"): what the parent may ask of a child and
 * set. Asked of the parent itself they tell what a child could have.
 */

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

/** Hide from the child what its creator does not want it to have of the processor. */
void properties_disable_features(struct partition *p, const struct hv_input_create_partition *in);

/** The privileges that a child has with these synthetic features. */
uint64_t properties_privileges(uint64_t synthetic_features);

/** A value of 64 bits. 0, or -ENOENT: no such property. */
int property_get(struct partition *p, uint32_t code, uint64_t *value);

/** The largest property of the longer kind, in bytes. */
#define PROPERTY_EX_MAX 4072U

/** A longer value into a zeroed buffer of PROPERTY_EX_MAX bytes; *len of it count. -ENOENT. */
int property_get_ex(const struct partition *p, uint32_t code, uint64_t argument, void *buf,
                    uint32_t *len);

/**
 * Set a property of a child; no lock is held. 0; -ENOENT: no such property; -EACCES: not one that
 * can be set, or not of a child; -EBADF: not in the child's present state; -ERANGE: value out of
 * range, or no LP can reserve so much. On errors nothing has changed.
 */
int property_set(struct partition *p, uint32_t code, uint64_t value);

#endif
