/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/rt.h"

bool cpu_has_x2apic(void)
{
    return cpuid(1, 0).ecx & BIT(21);
}

uint32_t apic_read(enum apic_reg reg)
{
    return this_cpu()->x2apic ? (uint32_t)rdmsr(X2APIC_MSR(reg)) : mmio_read32(XAPIC_REG(reg));
}

void apic_write(enum apic_reg reg, uint32_t v)
{
    if (this_cpu()->x2apic)
        wrmsr(X2APIC_MSR(reg), v);
    else
        mmio_write32(XAPIC_REG(reg), v);
}

void apic_icr_wait(void)
{
    for (unsigned i = 0; i < 1000000 && (mmio_read32(XAPIC_REG(APIC_ICR)) & BIT(12)); i++)
        pause();
}

void apic_icr(uint32_t dest, uint32_t low)
{
    if (this_cpu()->x2apic) {
        /* WRMSR to the APIC does not order earlier stores (SDM 11.12.3). */
        __asm__ volatile("mfence; lfence" : : : "memory");
        wrmsr(X2APIC_MSR(APIC_ICR), (uint64_t)dest << 32 | low);
        return;
    }
    mmio_write32(XAPIC_REG(APIC_ICR_HIGH), dest << 24);
    mmio_write32(XAPIC_REG(APIC_ICR), low);
    apic_icr_wait();
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

bool apic_bit(enum apic_reg bank, uint8_t vector)
{
    return apic_read((enum apic_reg)((unsigned)bank + vector / 32)) & BIT(vector % 32);
}

void apic_init(bool x2)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    bool now = base & APIC_BASE_EXTD;

    if (!now && x2) {
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_EN);
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_EN | APIC_BASE_EXTD);
    } else if (now && !x2) {
        /* The only way from x2APIC to xAPIC mode leads through the disabled state. */
        wrmsr(MSR_APIC_BASE, base & ~(APIC_BASE_EN | APIC_BASE_EXTD));
        wrmsr(MSR_APIC_BASE, (base | APIC_BASE_EN) & ~APIC_BASE_EXTD);
    }
    this_cpu()->x2apic = x2;
    apic_write(APIC_SVR, 0x1ff);
    apic_write(APIC_LVT_TIMER, LVT_MASKED | 0xf0);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_LVT_LINT1, ICR_NMI);
    apic_write(APIC_LVT_ERROR, LVT_MASKED);
    apic_write(APIC_TPR, 0);
}
