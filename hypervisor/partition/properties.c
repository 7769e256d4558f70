/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/properties.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/child_vp.h"
#include "hypervisor/partition/cpuid.h"
#include "hypervisor/partition/features.h"
#include "hypervisor/partition/privileges.h"
#include "hypervisor/partition/synthetic_msr.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/sched/sched.h"
#include "lib/errno.h"
#include "lib/string.h"

/* HV_PARTITION_PROCESSOR_VENDOR. */
#define PROCESSOR_VENDOR_AMD   0
#define PROCESSOR_VENDOR_INTEL 1
#define PROCESSOR_VENDOR_HYGON 2

#define CPUID_XSTATE 0xDU

_Static_assert(ARRAY_SIZE(((struct partition_properties *)0)->disabled_features) == FEATURES_BANKS,
               "one word for each bank");

/** What each synthetic feature lets a child do. */
static const struct {
    uint64_t feature;
    uint64_t privileges;
} grants[] = {
    {HV_SYNTH_ACCESS_VP_RUN_TIME, HV_MSR_VP_RUNTIME_AVAILABLE},
    {HV_SYNTH_ACCESS_REFERENCE_COUNTER, HV_MSR_TIME_REF_COUNT_AVAILABLE},
    /* There is no feature for messages: who has SINTs may use the connections he is given. */
    {HV_SYNTH_ACCESS_SYNIC, HV_MSR_SYNIC_AVAILABLE | HV_POST_MESSAGES | HV_SIGNAL_EVENTS},
    {HV_SYNTH_SIGNAL_EVENTS, HV_SIGNAL_EVENTS},
    {HV_SYNTH_ACCESS_SYNTHETIC_TIMERS, HV_MSR_SYNTIMER_AVAILABLE},
    {HV_SYNTH_ACCESS_INTR_CTRL, HV_MSR_APIC_ACCESS_AVAILABLE},
    {HV_SYNTH_ACCESS_HYPERCALL, HV_MSR_HYPERCALL_AVAILABLE},
    {HV_SYNTH_ACCESS_VP_INDEX, HV_MSR_VP_INDEX_AVAILABLE},
    {HV_SYNTH_ACCESS_REFERENCE_TSC, HV_MSR_REFERENCE_TSC_AVAILABLE | HV_ACCESS_TSC_INVARIANT},
    {HV_SYNTH_ACCESS_GUEST_IDLE, HV_MSR_GUEST_IDLE_AVAILABLE},
    {HV_SYNTH_ACCESS_FREQUENCY, HV_ACCESS_FREQUENCY_MSRS},
};

uint64_t properties_privileges(uint64_t synthetic_features)
{
    uint64_t privileges = 0;

    for (size_t i = 0; i < ARRAY_SIZE(grants); i++)
        if (synthetic_features & grants[i].feature)
            privileges |= grants[i].privileges;
    return privileges & PRIVILEGES_STOCK_CHILD;
}

void properties_init(struct partition *p)
{
    p->properties = (struct partition_properties){
        .synthetic_features = SYNTHETIC_FEATURES,
        .weight = SCHED_WEIGHT_DEFAULT,
    };
    p->privileges = PRIVILEGES_STOCK_CHILD;
}

void properties_disable_features(struct partition *p, const struct hv_input_create_partition *in)
{
    uint64_t *disabled = p->properties.disabled_features;

    disabled[FEATURES_BANK0] = in->disabled_processor_features[0];
    disabled[FEATURES_BANK1] = in->disabled_processor_features[1];
    disabled[FEATURES_XSAVE] = in->disabled_processor_xsave_features;
}

static enum partition_state state_of(const struct partition *p)
{
    return atomic_load_explicit(&p->state, memory_order_acquire);
}

static uint64_t processor_vendor(void)
{
    uint32_t r[4];

    cpu_cpuid(0, 0, r);
    switch (r[CPUID_EBX]) {
    case 0x756E6547: /* "Genu", of GenuineIntel */
        return PROCESSOR_VENDOR_INTEL;
    case 0x6F677948: /* "Hygo", of HygonGenuine */
        return PROCESSOR_VENDOR_HYGON;
    default:
        return PROCESSOR_VENDOR_AMD;
    }
}

static uint64_t physical_address_width(void)
{
    uint32_t r[4];

    cpu_cpuid(0x80000008, 0, r);
    return r[CPUID_EAX] & 0xff;
}

/* Bits that XCR0 may have, and the size of the area with all of them. */
static uint64_t xsave_states(uint64_t *size)
{
    uint32_t r[4];

    cpu_cpuid(1, 0, r);
    *size = 0;
    if (!(r[CPUID_ECX] & BIT(26)))
        return 0;
    cpu_cpuid(CPUID_XSTATE, 0, r);
    *size = r[CPUID_ECX];
    return (uint64_t)r[CPUID_EDX] << 32 | r[CPUID_EAX];
}

static uint64_t features_of(const struct partition *p, enum features_bank bank)
{
    return features_host(bank) & ~p->properties.disabled_features[bank];
}

/* Properties of the processor, the same for every partition but for what is disabled. */
static int processor_get(const struct partition *p, uint32_t code, uint64_t *value)
{
    uint64_t size;

    switch (code) {
    case HV_PARTITION_PROPERTY_PROCESSOR_VENDOR:
        *value = processor_vendor();
        return 0;
    case HV_PARTITION_PROPERTY_PROCESSOR_XSAVE_FEATURES:
        *value = features_of(p, FEATURES_XSAVE);
        return 0;
    case HV_PARTITION_PROPERTY_PHYSICAL_ADDRESS_WIDTH:
        *value = physical_address_width();
        return 0;
    case HV_PARTITION_PROPERTY_XSAVE_STATES:
        *value = xsave_states(&size);
        return 0;
    case HV_PARTITION_PROPERTY_MAX_XSAVE_DATA_SIZE:
        xsave_states(value);
        return 0;
    case HV_PARTITION_PROPERTY_PROCESSOR_CLOCK_FREQUENCY:
        *value = clock_tsc_hz();
        return 0;
    case HV_PARTITION_PROPERTY_PROCESSOR_FEATURES0:
        *value = features_of(p, FEATURES_BANK0);
        return 0;
    case HV_PARTITION_PROPERTY_PROCESSOR_FEATURES1:
        *value = features_of(p, FEATURES_BANK1);
        return 0;
    default:
        return -ENOENT;
    }
}

int property_get(struct partition *p, uint32_t code, uint64_t *value)
{
    const struct partition_properties *at = &p->properties;

    switch (code) {
    case HV_PARTITION_PROPERTY_PRIVILEGE_FLAGS:
        *value = p->privileges;
        return 0;
    case HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES:
        *value = p->is_child ? at->synthetic_features : SYNTHETIC_FEATURES;
        return 0;
    case HV_PARTITION_PROPERTY_SUSPEND:
        *value = at->suspended;
        return 0;
    case HV_PARTITION_PROPERTY_CPU_RESERVE:
        *value = at->reserve;
        return 0;
    case HV_PARTITION_PROPERTY_CPU_CAP:
        *value = at->cap;
        return 0;
    case HV_PARTITION_PROPERTY_CPU_WEIGHT:
        *value = at->weight;
        return 0;
    case HV_PARTITION_PROPERTY_CPU_GROUP_ID:
    case HV_PARTITION_PROPERTY_INTEGRATED_SCHEDULER:
        *value = 0;
        return 0;
    case HV_PARTITION_PROPERTY_TIME_FREEZE:
        *value = at->time_frozen;
        return 0;
    case HV_PARTITION_PROPERTY_REFERENCE_TIME:
        *value = partition_ref_time(p);
        return 0;
    case HV_PARTITION_PROPERTY_PROCESSORS_PER_SOCKET:
        *value = at->processors_per_socket;
        return 0;
    case HV_PARTITION_PROPERTY_GPA_PAGE_ACCESS_TRACKING:
        *value = at->page_access_tracking;
        return 0;
    case HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION:
        *value = at->unimplemented_msr_action;
        return 0;
    default:
        return processor_get(p, code, value);
    }
}

int property_get_ex(const struct partition *p, uint32_t code, uint64_t argument, void *buf,
                    uint32_t *len)
{
    /* A count of banks of 64 bits, then the banks. */
    uint64_t *words = buf;

    *len = 2 * sizeof(words[0]);
    words[0] = 1;
    switch (code) {
    case HV_PARTITION_PROPERTY_VMM_CAPABILITIES:
        words[1] = 0; /* none of those that are defined */
        return 0;
    case HV_PARTITION_PROPERTY_ASSIGNABLE_SYNTHETIC_PROC_FEATURES:
        words[1] = SYNTHETIC_FEATURES;
        return 0;
    default:
        words[0] = 0;
        return -ENOENT;
    }
}

/* What may change only while nothing of the partition exists. */
static int identity_set(struct partition *p, uint32_t code, uint64_t value)
{
    int rc = 0;

    spin_lock(&p->lock);
    if (state_of(p) != PARTITION_CREATED) {
        rc = -EBADF;
    } else if (code == HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES) {
        /* What is not assignable is not granted; the parent can read what was. */
        p->properties.synthetic_features = value & SYNTHETIC_FEATURES;
        p->privileges = properties_privileges(value);
    } else if (value & ~PRIVILEGES_STOCK_CHILD) {
        rc = -ERANGE;
    } else {
        p->privileges = value;
    }
    spin_unlock(&p->lock);
    return rc;
}

static bool params_valid(const struct partition_properties *at)
{
    return at->weight >= SCHED_WEIGHT_MIN && at->weight <= SCHED_WEIGHT_MAX &&
           at->reserve <= SCHED_FRACTION_ONE && at->cap <= SCHED_FRACTION_ONE &&
           (!at->cap || at->cap >= at->reserve);
}

/* All VPs before `end`, as the properties have it now; up to the first that cannot have it. */
static int params_apply(struct partition *p, uint32_t end, uint32_t *done)
{
    int rc = 0;

    for (*done = 0; *done < end && !rc; *done += !rc) {
        struct vp *vp = partition_vp(p, *done);

        /* One that is just being created takes them when it gets its home. */
        if (vp && sched_entity_lp(&vp->sched))
            rc = child_vp_set_params(vp);
    }
    return rc;
}

static int params_set(struct partition *p, uint32_t code, uint64_t value)
{
    struct partition_properties *at = &p->properties, old;
    uint32_t done;
    int rc = 0;

    if (value > UINT32_MAX)
        return -ERANGE;
    spin_lock(&p->lock);
    old = *at;
    if (code == HV_PARTITION_PROPERTY_CPU_WEIGHT)
        at->weight = (uint32_t)value;
    else if (code == HV_PARTITION_PROPERTY_CPU_RESERVE)
        at->reserve = (uint32_t)value;
    else
        at->cap = (uint32_t)value;
    if (!params_valid(at))
        rc = -ERANGE;
    else
        rc = params_apply(p, atomic_load_explicit(&p->vp_count, memory_order_acquire), &done);
    if (rc) {
        uint32_t undo = params_valid(at) ? done : 0;

        at->weight = old.weight;
        at->reserve = old.reserve;
        at->cap = old.cap;
        params_apply(p, undo, &done);
    }
    spin_unlock(&p->lock);
    return rc;
}

/* When it returns no VP runs, or all may. */
static int suspend_set(struct partition *p, uint64_t value)
{
    uint32_t count = atomic_load_explicit(&p->vp_count, memory_order_acquire);

    if (value > 1)
        return -ERANGE;
    __atomic_store_n(&p->properties.suspended, value, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < count; i++) {
        struct vp *vp = partition_vp(p, i);

        if (!vp)
            continue;
        if (value) {
            vp_pause(vp);
            vp_resume(vp);
        } else {
            vp_request(vp, VP_REQ_EVENT);
        }
    }
    return 0;
}

static struct vp *some_vp(struct partition *p)
{
    uint32_t count = atomic_load_explicit(&p->vp_count, memory_order_acquire);
    struct vp *vp = NULL;

    for (uint32_t i = 0; i < count && !vp; i++)
        vp = partition_vp(p, i);
    return vp;
}

static void vp_time_changed(struct vp *vp)
{
    vp_pause(vp);
    spin_lock(&vp->partition->lock);
    vp_tsc_follow(vp);
    spin_unlock(&vp->partition->lock);
    vp_resume(vp);
    stimers_time_changed(vp);
}

/* Under the lock: reference time is `time` now, and stands still or goes on. */
static void time_start(struct partition *p, bool frozen, uint64_t time)
{
    struct partition_properties *at = &p->properties;
    uint64_t tsc = clock_tsc();

    if (!frozen)
        p->ref_base = clock_ref_from_tsc(tsc) - time;
    if (!frozen && at->time_frozen)
        at->stood_tsc += tsc - at->frozen_tsc;
    else if (frozen && !at->time_frozen)
        __atomic_store_n(&at->frozen_tsc, tsc, __ATOMIC_RELAXED);
    __atomic_store_n(&at->frozen_at, time, __ATOMIC_RELAXED);
    at->time_steps++;
    __atomic_store_n(&at->time_frozen, frozen, __ATOMIC_RELEASE);
}

/* The TSCs, which stand still as well, the TSC page, and the timers follow. */
static int time_set(struct partition *p, uint32_t code, uint64_t value)
{
    struct vp *vp = some_vp(p);

    if (code == HV_PARTITION_PROPERTY_TIME_FREEZE && value > 1)
        return -ERANGE;
    if (vp)
        vp_pause(vp);
    spin_lock(&p->lock);
    if (code == HV_PARTITION_PROPERTY_REFERENCE_TIME)
        time_start(p, p->properties.time_frozen, value);
    else if (value != p->properties.time_frozen)
        time_start(p, value, partition_ref_time(p));
    if (vp) {
        vp_tsc_follow(vp);
        reference_tsc_update(vp);
    }
    spin_unlock(&p->lock);
    for (uint32_t i = 0; i < atomic_load_explicit(&p->vp_count, memory_order_acquire); i++)
        if (partition_vp(p, i))
            vp_time_changed(partition_vp(p, i));
    if (vp)
        vp_resume(vp);
    return 0;
}

static int number_set(uint64_t *field, uint64_t value, uint64_t max)
{
    if (value > max)
        return -ERANGE;
    __atomic_store_n(field, value, __ATOMIC_RELAXED);
    return 0;
}

static int tracking_set(struct partition *p, uint64_t value)
{
    if (value > 1)
        return -ERANGE;
    /* Before it is active it has no memory to watch. */
    if (atomic_load_explicit(&p->state, memory_order_acquire) != PARTITION_ACTIVE)
        return -EBADF;
    child_track(p, value);
    return 0;
}

int property_set(struct partition *p, uint32_t code, uint64_t value)
{
    struct partition_properties *at = &p->properties;
    uint64_t dummy;

    if (!p->is_child)
        return -EACCES;
    if (state_of(p) == PARTITION_FINALIZED)
        return -EBADF;
    switch (code) {
    case HV_PARTITION_PROPERTY_PRIVILEGE_FLAGS:
    case HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES:
        return identity_set(p, code, value);
    case HV_PARTITION_PROPERTY_SUSPEND:
        return suspend_set(p, value);
    case HV_PARTITION_PROPERTY_CPU_RESERVE:
    case HV_PARTITION_PROPERTY_CPU_CAP:
    case HV_PARTITION_PROPERTY_CPU_WEIGHT:
        return params_set(p, code, value);
    case HV_PARTITION_PROPERTY_CPU_GROUP_ID: /* only the group of all */
    case HV_PARTITION_PROPERTY_INTEGRATED_SCHEDULER:
        return value ? -ERANGE : 0;
    case HV_PARTITION_PROPERTY_TIME_FREEZE:
    case HV_PARTITION_PROPERTY_REFERENCE_TIME:
        return time_set(p, code, value);
    case HV_PARTITION_PROPERTY_PROCESSORS_PER_SOCKET:
        return number_set(&at->processors_per_socket, value, UINT16_MAX);
    case HV_PARTITION_PROPERTY_GPA_PAGE_ACCESS_TRACKING:
        return tracking_set(p, value);
    case HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION:
        return number_set(&at->unimplemented_msr_action, value,
                          HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO);
    default:
        return property_get(p, code, &dummy) ? -ENOENT : -EACCES;
    }
}
