/* SPDX-License-Identifier: MIT */
/* Operations that leave the guest, and the loop that does not. */
#include "bench/child/child.h"
#include "bench/child/loop.h"
#include "tests/guest/rt/hv.h"

/* On the list of no hypervisor: the cheapest call that there is. */
#define UNKNOWN_CALL 0x0FFFU

#define KVM_CPUID       0x40000100U /* where KVM shows itself beside its Hyper-V leaves */
#define KVM_CPUID_ALONE 0x40000000U
#define KVM_SIGNATURE   0x4b4d564bU /* EBX: "KVMK" */
#define KVM_HC_POLL_IRQ 1U          /* does nothing */
#define PORT_POST       0x80U       /* POST codes: nobody listens, user space answers */

bool bench_cpuid(uint64_t count)
{
    while (count--)
        cpuid(0, 0);
    return true;
}

bool bench_hypercall(uint64_t count)
{
    if (!hv_hypercall_enable())
        return false;
    while (count--)
        hv_vmmcall(UNKNOWN_CALL | HC_FAST, 0, 0);
    return true;
}

/* KVM's own form; before the hypercall page is enabled, which makes every VMMCALL the other. */
bool bench_hypercall_kvm(uint64_t count)
{
    if (cpuid(KVM_CPUID, 0).ebx != KVM_SIGNATURE && cpuid(KVM_CPUID_ALONE, 0).ebx != KVM_SIGNATURE)
        return false;
    while (count--) {
        uint64_t rax = KVM_HC_POLL_IRQ;

        __asm__ volatile("vmmcall" : "+a"(rax) : : "memory");
    }
    return true;
}

bool bench_msr_read(uint64_t count)
{
    if (!this_cpu()->x2apic)
        return false;
    while (count--)
        rdmsr(X2APIC_MSR(APIC_LVT_ERROR));
    return true;
}

bool bench_msr_write(uint64_t count)
{
    uint64_t value;

    if (!this_cpu()->x2apic)
        return false;
    value = rdmsr(X2APIC_MSR(APIC_LVT_ERROR));
    while (count--)
        wrmsr(X2APIC_MSR(APIC_LVT_ERROR), value);
    return true;
}

bool bench_port_read(uint64_t count)
{
    while (count--)
        inb(PORT_POST);
    return true;
}

bool bench_port_write(uint64_t count)
{
    while (count--)
        outb(PORT_POST, 0);
    return true;
}

bool bench_loop(uint64_t count)
{
    loop_run(count);
    return true;
}
