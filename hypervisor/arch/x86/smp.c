/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/lapic.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/arch/x86/space.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/boot/acpi.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/debug/panic.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/sched/clock.h"
#include "lib/string.h"

#define INIT_WAIT_US   10000 /* between INIT and SIPI, MP specification B.4 */
#define SIPI_WAIT_US   200
#define ONLINE_WAIT_US 1000000

extern const uint8_t smp_trampoline[], smp_trampoline_end[];
extern uint32_t smp_trampoline_cr3[];
extern uint64_t smp_trampoline_stack[];
extern uint8_t boot_pml4[];
_Noreturn void smp_entry(void);

static struct lp *starting; /* one processor starts at a time */

_Noreturn void smp_entry(void)
{
    struct lp *lp = starting;

    space_load();
    lp_install(lp);
    if (vendor_lp_enable(lp))
        fatal("out of memory while starting LP %u", lp->index);
    atomic_store_explicit(&lp->online, true, memory_order_release);
    lp_loop();
}

static void delay_us(uint64_t us)
{
    uint64_t end = clock_tsc() + clock_tsc_hz() / 1000000 * us;

    while (clock_tsc() < end)
        __builtin_ia32_pause();
}

static bool wait_online(struct lp *lp, uint64_t us)
{
    uint64_t end = clock_tsc() + clock_tsc_hz() / 1000000 * us;

    while (!atomic_load_explicit(&lp->online, memory_order_acquire))
        if (clock_tsc() >= end)
            return false;
    return true;
}

static void *in_copy(void *copy, const void *field)
{
    return (uint8_t *)copy + ((uintptr_t)field - (uintptr_t)smp_trampoline);
}

static bool start_one(struct lp *lp, void *page, uint8_t vector)
{
    uint32_t boot_root = (uint32_t)((uintptr_t)boot_pml4 & 0x7fffffff);

    memcpy(page, smp_trampoline, (size_t)(smp_trampoline_end - smp_trampoline));
    memcpy(in_copy(page, smp_trampoline_cr3), &boot_root, sizeof(boot_root));
    memcpy(in_copy(page, smp_trampoline_stack), &lp->stack_top, sizeof(lp->stack_top));
    starting = lp;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    lapic_send_init(lp->apic_id);
    delay_us(INIT_WAIT_US);
    lapic_send_sipi(lp->apic_id, vector);
    if (wait_online(lp, SIPI_WAIT_US))
        return true;
    lapic_send_sipi(lp->apic_id, vector);
    return wait_online(lp, ONLINE_WAIT_US);
}

int smp_start_all(const struct acpi_info *acpi, uint32_t max_lps, hpa_t trampoline)
{
    void *page = hpa_to_virt(trampoline);
    apic_id_t self = lapic_id();

    for (unsigned i = 0; i < acpi->lp_count && lp_count < max_lps; i++) {
        struct lp *lp;
        int rc;

        if (!acpi->lps[i].enabled || acpi->lps[i].apic_id.v == self.v)
            continue;
        rc = lp_create(lp_count, acpi->lps[i].apic_id, &lp);
        if (rc)
            return rc;
        if (!start_one(lp, page, (uint8_t)(trampoline.v >> PAGE_SHIFT))) {
            log_error("the processor with APIC id %u does not start; going on without it",
                      lp->apic_id.v);
            continue;
        }
        lps[lp_count++] = lp;
    }
    memset(page, 0, PAGE_SIZE);
    return 0;
}
