/* SPDX-License-Identifier: MIT */

#include "hypervisor/arch/x86/svm/svm_priv.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/frame.h"
#include "lib/string.h"

/* APM volume 2 section 15.10 and 15.11: 12 KiB for I/O, 8 KiB for MSRs, one and two bits each. */
#define IOPM_PAGES  3
#define MSRPM_PAGES 2
#define MSR_READ    1
#define MSR_WRITE   2

hpa_t svm_parent_iopm, svm_parent_msrpm;
hpa_t svm_child_iopm, svm_child_msrpm, svm_closed_msrpm;

/* The MSRs that the parent does not reach natively. 0x40000000.. are outside the map: always exit.
 */
static const struct {
    uint32_t first, last;
    uint8_t what;
} parent_msrs[] = {
    {MSR_TSC, MSR_TSC, MSR_WRITE},
    {MSR_APIC_BASE, MSR_APIC_BASE, MSR_READ | MSR_WRITE},
    {MSR_TSC_ADJUST, MSR_TSC_ADJUST, MSR_READ | MSR_WRITE},
    {MSR_MTRR_FIRST, MSR_MTRR_LAST, MSR_WRITE},
    {MSR_MTRR_FIX64K, MSR_MTRR_FIX64K, MSR_WRITE},
    {MSR_MTRR_FIX16KA, MSR_MTRR_FIX16KB, MSR_WRITE},
    {MSR_MTRR_FIX4K, MSR_MTRR_FIX4K + 7, MSR_WRITE},
    {MSR_PAT, MSR_PAT, MSR_READ | MSR_WRITE},
    {MSR_MTRR_DEFTYPE, MSR_MTRR_DEFTYPE, MSR_WRITE},
    {MSR_X2APIC_FIRST, MSR_X2APIC_LAST, MSR_READ | MSR_WRITE},
    {MSR_EFER, MSR_EFER, MSR_READ | MSR_WRITE},
    {MSR_VM_CR, MSR_SVM_KEY, MSR_READ | MSR_WRITE},
};

/* What a child reaches natively: registers that the world switch exchanges. Each has a row in
   intercept/msr.c too, for children whose parent intercepts MSRs. */
static const struct {
    uint32_t first, last;
    uint8_t what;
} child_msrs[] = {
    {MSR_TSC, MSR_TSC, MSR_READ},
    {MSR_SYSENTER_CS, MSR_SYSENTER_EIP, MSR_READ | MSR_WRITE},
    {MSR_STAR, MSR_SFMASK, MSR_READ | MSR_WRITE},
    {MSR_FS_BASE, MSR_KERNEL_GS_BASE, MSR_READ | MSR_WRITE},
    {MSR_TSC_AUX, MSR_TSC_AUX, MSR_READ | MSR_WRITE},
};

static void msrpm_change(uint8_t *map, uint32_t msr, uint8_t what, bool exits)
{
    uint32_t base, index;

    if (msr < 0x2000) {
        base = 0;
        index = msr;
    } else if (msr >= 0xc0000000U && msr < 0xc0002000U) {
        base = 0x800;
        index = msr - 0xc0000000U;
    } else if (msr >= 0xc0010000U && msr < 0xc0012000U) {
        base = 0x1000;
        index = msr - 0xc0010000U;
    } else {
        return; /* not in the map: such MSRs always exit */
    }
    what = (uint8_t)(what << (index % 4 * 2));
    if (exits)
        map[base + index / 4] |= what;
    else
        map[base + index / 4] &= (uint8_t)~what;
}

/* Every port and every MSR exits, except those of the table. */
static int child_maps_init(void)
{
    uint8_t *map;
    int rc = frame_alloc(IOPM_PAGES, 1, &svm_child_iopm);

    if (rc)
        return rc;
    rc = frame_alloc(MSRPM_PAGES, 1, &svm_child_msrpm);
    if (rc)
        return rc;
    rc = frame_alloc(MSRPM_PAGES, 1, &svm_closed_msrpm);
    if (rc)
        return rc;
    memset(hpa_to_virt(svm_closed_msrpm), 0xff, MSRPM_PAGES * PAGE_SIZE);
    memset(hpa_to_virt(svm_child_iopm), 0xff, IOPM_PAGES * PAGE_SIZE);
    map = hpa_to_virt(svm_child_msrpm);
    memset(map, 0xff, MSRPM_PAGES * PAGE_SIZE);
    for (size_t i = 0; i < ARRAY_SIZE(child_msrs); i++)
        for (uint32_t m = child_msrs[i].first; m <= child_msrs[i].last; m++)
            msrpm_change(map, m, child_msrs[i].what, false);
    return 0;
}

int svm_maps_init(void)
{
    uint8_t *map;
    int rc = frame_alloc(IOPM_PAGES, 1, &svm_parent_iopm);

    if (rc)
        return rc;
    rc = frame_alloc(MSRPM_PAGES, 1, &svm_parent_msrpm);
    if (rc)
        return rc;
    map = hpa_to_virt(svm_parent_msrpm);
    for (size_t i = 0; i < ARRAY_SIZE(parent_msrs); i++)
        for (uint32_t m = parent_msrs[i].first; m <= parent_msrs[i].last; m++)
            msrpm_change(map, m, parent_msrs[i].what, true);
    return child_maps_init();
}

void vendor_intercept_ports(uint16_t first, unsigned count)
{
    uint8_t *map = hpa_to_virt(svm_parent_iopm);

    for (unsigned p = first; p < first + count; p++)
        map[p / 8] |= (uint8_t)BIT(p % 8);
}
