/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/lapic.h"

#include "hypervisor/arch/x86/apicreg.h"
#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/space.h"
#include "hypervisor/arch/x86/trap.h"

#define ICR_SPINS 1000000

static volatile uint32_t *page; /* NULL in x2APIC mode */

static uint32_t reg_read(enum apic_reg r)
{
    return page ? page[r / 4] : (uint32_t)cpu_rdmsr(X2APIC_MSR(r));
}

static void reg_write(enum apic_reg r, uint32_t v)
{
    if (page)
        page[r / 4] = v;
    else
        cpu_wrmsr(X2APIC_MSR(r), v);
}

int lapic_init(void)
{
    uint64_t base = cpu_rdmsr(MSR_APIC_BASE);

    if (base & APIC_BASE_X2APIC)
        return 0;
    page = space_map_device(hpa(base & APIC_BASE_ADDR_MASK), PAGE_SIZE);
    return page ? 0 : -1;
}

void lapic_enable(void)
{
    cpu_wrmsr(MSR_APIC_BASE, cpu_rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE);
    reg_write(APIC_TPR, 0);
    reg_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
    reg_write(APIC_LVT_LINT0, APIC_LVT_MASKED);
    reg_write(APIC_LVT_LINT1, APIC_LVT_MASKED);
    reg_write(APIC_LVT_ERROR, APIC_LVT_MASKED);
    if (page) {
        /* Flat logical ids as every operating system starts with; mirrored from the parent later.
         */
        reg_write(APIC_DFR, APIC_DFR_FLAT | APIC_DFR_ONES);
    }
    reg_write(APIC_SVR, APIC_SVR_ENABLE | VECTOR_HV_SPURIOUS);
    reg_write(APIC_TIMER_DIVIDE, 0xb); /* divide by 1 */
    reg_write(APIC_TIMER_INITIAL, 0);
    reg_write(APIC_LVT_TIMER, VECTOR_HV_TIMER);
}

apic_id_t lapic_id(void)
{
    uint32_t id = reg_read(APIC_ID);

    return (apic_id_t){page ? id >> 24 : id};
}

void lapic_eoi(void)
{
    reg_write(APIC_EOI, 0);
}

bool lapic_in_service(uint8_t vector)
{
    uint32_t r = APIC_ISR0 + vector / 32 * APIC_REG_STRIDE;

    return reg_read((enum apic_reg)r) & BIT(vector % 32);
}

static void send(apic_id_t dest, uint32_t low)
{
    if (!page) {
        cpu_wrmsr(X2APIC_MSR(APIC_ICR), (uint64_t)dest.v << X2APIC_DEST_SHIFT | low);
        return;
    }
    for (unsigned i = 0; i < ICR_SPINS && (reg_read(APIC_ICR) & APIC_ICR_BUSY); i++)
        __builtin_ia32_pause();
    reg_write(APIC_ICR_HIGH, dest.v << 24);
    reg_write(APIC_ICR, low);
}

void lapic_send_fixed(apic_id_t dest, uint8_t vector)
{
    send(dest, APIC_ICR_ASSERT | vector);
}

void lapic_send_init(apic_id_t dest)
{
    send(dest, APIC_ICR_ASSERT | APIC_INIT << APIC_ICR_MODE_SHIFT);
}

void lapic_send_sipi(apic_id_t dest, uint8_t vector)
{
    send(dest, APIC_ICR_ASSERT | APIC_SIPI << APIC_ICR_MODE_SHIFT | vector);
}

void lapic_nmi_others(void)
{
    send((apic_id_t){0}, APIC_ICR_ASSERT | APIC_NMI << APIC_ICR_MODE_SHIFT |
                             APIC_DEST_OTHERS << APIC_ICR_SHORTHAND_SHIFT);
}

void lapic_timer_start(uint32_t ticks)
{
    reg_write(APIC_TIMER_INITIAL, ticks);
}

uint32_t lapic_timer_current(void)
{
    return reg_read(APIC_TIMER_CURRENT);
}

/* Only what needs no vector of ours may come through the pins. */
static uint32_t lint_allowed(uint32_t lvt, bool enabled)
{
    uint32_t mode = (lvt & APIC_LVT_MODE_MASK) >> APIC_LVT_MODE_SHIFT;

    if ((lvt & APIC_LVT_MASKED) || !enabled || (mode != APIC_EXTINT && mode != APIC_NMI))
        return APIC_LVT_MASKED;
    return lvt & (APIC_LVT_MODE_MASK | APIC_LVT_POLARITY | APIC_LVT_LEVEL);
}

void lapic_mirror_lint(uint32_t lvt0, uint32_t lvt1, bool enabled)
{
    reg_write(APIC_LVT_LINT0, lint_allowed(lvt0, enabled));
    reg_write(APIC_LVT_LINT1, lint_allowed(lvt1, enabled));
    /*
     * A request of the 8259 that LINT0 had passed on already is gone when it is masked. TCG
     * would still deliver it, as vector -1: a #GP out of nowhere.
     */
    lapic_weigh_again();
}

void lapic_weigh_again(void)
{
    reg_write(APIC_SVR, APIC_SVR_ENABLE | VECTOR_HV_SPURIOUS);
}

void lapic_mirror_logical(uint32_t ldr, uint32_t dfr)
{
    if (!page)
        return;
    reg_write(APIC_DFR, dfr | APIC_DFR_ONES);
    reg_write(APIC_LDR, ldr & APIC_LDR_MASK);
}
