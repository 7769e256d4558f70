/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/intercepts.h"

#include "abi/tlfs/intercept.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"

#define READ_WRITE (HV_INTERCEPT_ACCESS_MASK_READ | HV_INTERCEPT_ACCESS_MASK_WRITE)
#define EXECUTE    HV_INTERCEPT_ACCESS_MASK_EXECUTE
#define ANY        (READ_WRITE | EXECUTE)

static uint32_t load(const uint32_t *field)
{
    return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static void store(uint32_t *field, uint32_t v)
{
    __atomic_store_n(field, v, __ATOMIC_RELAXED);
}

static uint64_t *entry(struct partition_intercepts *i, size_t at)
{
    return (uint64_t *)(void *)((uint8_t *)i + at);
}

/* `at` is where the access mask stands. */
static int set_mask(struct partition_intercepts *i, size_t at, uint32_t access, uint64_t parameter)
{
    store((uint32_t *)(void *)((uint8_t *)i + at), access);
    return 0;
}

/* `at` is where the list of indices stands; an entry with its access is one word, 0 is free. */
static int set_index(struct partition_intercepts *i, size_t at, uint32_t access, uint64_t parameter)
{
    uint64_t *place = NULL, *list = entry(i, at);

    for (unsigned n = 0; n < INTERCEPT_INDICES; n++) {
        if (list[n] && (uint32_t)list[n] == parameter) {
            place = &list[n];
            break;
        }
        if (!list[n] && !place)
            place = &list[n];
    }
    if (!place)
        return access ? -EAGAIN : 0;
    __atomic_store_n(place, access ? (uint64_t)access << 32 | parameter : 0, __ATOMIC_RELAXED);
    return 0;
}

/* Exceptions that exist and that the parent can inject instead; 2 is the NMI. */
#define EXCEPTIONS 0x000f7dfbU

static int set_exception(struct partition_intercepts *i, size_t at, uint32_t access,
                         uint64_t parameter)
{
    if (parameter > 31 || !(EXCEPTIONS & BIT(parameter)))
        return -EINVAL;
    store(&i->exceptions,
          access ? i->exceptions | BIT(parameter) : i->exceptions & ~BIT(parameter));
    return 0;
}

/* Every port of a child is intercepted, whether that is asked for or not. */
static int set_nothing(struct partition_intercepts *i, size_t at, uint32_t access,
                       uint64_t parameter)
{
    return 0;
}

#define AT(field) offsetof(struct partition_intercepts, field)

static const struct kind {
    uint32_t type;   /* enum hv_intercept_type */
    uint32_t access; /* the mask may have */
    uint64_t parameter_max;
    size_t at;
    int (*set)(struct partition_intercepts *i, size_t at, uint32_t access, uint64_t parameter);
    bool vps; /* the VPs must be told */
} kinds[] = {
    {HV_INTERCEPT_TYPE_X64_IO_PORT, ANY, UINT64_MAX, 0, set_nothing, false},
    {HV_INTERCEPT_TYPE_X64_IO_PORT_RANGE, ANY, UINT64_MAX, 0, set_nothing, false},
    {HV_INTERCEPT_TYPE_HYPERCALL, ANY, UINT64_MAX, AT(hypercall), set_mask, false},
    {HV_INTERCEPT_TYPE_UNKNOWN_SYNIC_CONNECTION, ANY, UINT64_MAX, AT(unknown_connection), set_mask,
     false},
    {HV_INTERCEPT_TYPE_RETARGET_INTERRUPT_WITH_UNKNOWN_DEVICE_ID, ANY, UINT64_MAX,
     AT(retarget_unknown), set_mask, false},
    {HV_INTERCEPT_TYPE_X64_APIC_EOI, ANY, UINT64_MAX, AT(apic_eoi), set_mask, false},
    {HV_INTERCEPT_TYPE_X64_MSR, READ_WRITE, 0, AT(msr), set_mask, true},
    {HV_INTERCEPT_TYPE_X64_MSR_INDEX, READ_WRITE, UINT32_MAX, AT(msrs), set_index, true},
    {HV_INTERCEPT_TYPE_EXCEPTION, EXECUTE, UINT16_MAX, 0, set_exception, true},
    {HV_INTERCEPT_TYPE_X64_GLOBAL_CPUID, EXECUTE, 0, AT(cpuid), set_mask, false},
    {HV_INTERCEPT_TYPE_X64_CPUID, EXECUTE, UINT32_MAX, AT(cpuids), set_index, false},
};

static const struct kind *find(uint32_t type)
{
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
        if (kinds[k].type == type)
            return &kinds[k];
    return NULL;
}

static uint32_t all_of(uint32_t mask, const uint64_t list[INTERCEPT_INDICES])
{
    for (unsigned n = 0; n < INTERCEPT_INDICES; n++)
        mask |= (uint32_t)(list[n] >> 32);
    return mask;
}

/*
 * Under the lock, so that of two who tell a VP at once the later one tells it the later state. The
 * VP does not run.
 */
void intercepts_apply(struct vp *vp)
{
    spin_lock(&vp->partition->lock);
    vendor_vp_update_intercepts(vp);
    spin_unlock(&vp->partition->lock);
}

int intercepts_install(struct partition *p, uint32_t type, uint32_t access, uint64_t parameter)
{
    struct partition_intercepts *i = &p->intercepts;
    const struct kind *k = find(type);
    int rc;

    if (!k || (access & ~k->access) || parameter > k->parameter_max)
        return -EINVAL;
    spin_lock(&p->lock);
    rc = k->set(i, k->at, access, parameter);
    store(&i->any_msr, all_of(i->msr, i->msrs));
    store(&i->any_cpuid, all_of(i->cpuid, i->cpuids));
    spin_unlock(&p->lock);
    if (rc || !k->vps)
        return rc;
    for (uint32_t n = 0; n < PARTITION_MAX_VPS; n++) {
        struct vp *vp = partition_vp(p, n);

        if (!vp)
            continue;
        vp_pause(vp);
        intercepts_apply(vp);
        vp_resume(vp);
    }
    return 0;
}

static bool listed(const uint64_t list[INTERCEPT_INDICES], uint32_t index, uint32_t access)
{
    for (unsigned n = 0; n < INTERCEPT_INDICES; n++) {
        uint64_t e = __atomic_load_n(&list[n], __ATOMIC_RELAXED);

        if ((uint32_t)e == index && ((uint32_t)(e >> 32) & access))
            return true;
    }
    return false;
}

bool intercepts_msr(const struct partition *p, uint32_t msr, bool write)
{
    const struct partition_intercepts *i = &p->intercepts;
    uint32_t access = write ? HV_INTERCEPT_ACCESS_MASK_WRITE : HV_INTERCEPT_ACCESS_MASK_READ;

    return (load(&i->any_msr) & access) &&
           ((load(&i->msr) & access) || listed(i->msrs, msr, access));
}

bool intercepts_cpuid(const struct partition *p, uint32_t leaf)
{
    const struct partition_intercepts *i = &p->intercepts;

    return load(&i->any_cpuid) && (load(&i->cpuid) || listed(i->cpuids, leaf, EXECUTE));
}
