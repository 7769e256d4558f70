/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/* Open-source kind, an unregistered vendor: what TLFS asks of a free system. */
#define GUEST_OS_ID 0x81000000000B0001ULL

uint8_t hv_hypercall_page[4096] PAGE_ALIGNED;
static uint8_t input_pages[MAX_CPUS][4096] PAGE_ALIGNED;
static uint8_t output_pages[MAX_CPUS][4096] PAGE_ALIGNED;
static uint8_t message_pages[MAX_CPUS][4096] PAGE_ALIGNED;
static uint8_t event_pages[MAX_CPUS][4096] PAGE_ALIGNED;

bool hv_present(void)
{
    struct cpuid c;

    if (!(cpuid(1, 0).ecx & BIT(31)))
        return false;
    c = cpuid(HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS, 0);
    return c.eax >= HYPERV_CPUID_MIN && c.eax <= HYPERV_CPUID_MAX && c.ebx == 0x7263694d &&
           c.ecx == 0x666f736f && c.edx == 0x76482074;
}

uint64_t hv_privileges(void)
{
    struct cpuid c = cpuid(HYPERV_CPUID_FEATURES, 0);

    return hv_present() ? (uint64_t)c.ebx << 32 | c.eax : 0;
}

uint32_t hv_features_edx(void)
{
    return hv_present() ? cpuid(HYPERV_CPUID_FEATURES, 0).edx : 0;
}

bool hv_hypercall_enable(void)
{
    uint64_t v = PA(hv_hypercall_page) | HV_X64_MSR_HYPERCALL_ENABLE;
    uint64_t now;

    if (!hv_present())
        return false;
    if (!safe_rdmsr(HV_X64_MSR_HYPERCALL, &now) && now == v)
        return true;
    if (safe_wrmsr(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID) || safe_wrmsr(HV_X64_MSR_HYPERCALL, v) ||
        safe_rdmsr(HV_X64_MSR_HYPERCALL, &now) || now != v) {
        case_fail("the hypercall page cannot be enabled");
        return false;
    }
    return true;
}

void hv_hypercall_disable(void)
{
    safe_wrmsr(HV_X64_MSR_HYPERCALL, 0);
    safe_wrmsr(HV_X64_MSR_GUEST_OS_ID, 0);
}

uint64_t hv_call(uint64_t control, uint64_t input, uint64_t output)
{
    register uint64_t r8 __asm__("r8") = output;
    uint64_t status;

    __asm__ volatile("call *%[page]"
                     : "=a"(status), "+c"(control), "+d"(input), "+r"(r8)
                     : [page] "r"(hv_hypercall_page)
                     : "r9", "r10", "r11", "memory", "cc");
    return status;
}

uint64_t hv_vmmcall(uint64_t control, uint64_t input, uint64_t output)
{
    register uint64_t r8 __asm__("r8") = output;
    uint64_t status;

    __asm__ volatile("vmmcall"
                     : "=a"(status), "+c"(control), "+d"(input), "+r"(r8)
                     :
                     : "r9", "r10", "r11", "memory", "cc");
    return status;
}

void *hv_input_page(void)
{
    return input_pages[this_cpu()->index];
}

void *hv_output_page(void)
{
    return output_pages[this_cpu()->index];
}

void hv_synic_enable(void)
{
    unsigned i = this_cpu()->index;

    memset(message_pages[i], 0, 4096);
    memset(event_pages[i], 0, 4096);
    for (unsigned s = 0; s < HV_SYNIC_SINT_COUNT; s++)
        hv_sint_set(s, HV_SYNIC_SINT_MASKED);
    wrmsr(HV_X64_MSR_SIMP, PA(message_pages[i]) | 1);
    wrmsr(HV_X64_MSR_SIEFP, PA(event_pages[i]) | 1);
    wrmsr(HV_X64_MSR_SCONTROL, 1);
    /* An overlay hides what was zeroed: clear the page that is really there. */
    memset(message_pages[i], 0, 4096);
    memset(event_pages[i], 0, 4096);
}

void hv_synic_disable(void)
{
    for (unsigned t = 0; t < HV_SYNIC_STIMER_COUNT; t++)
        hv_stimer_stop(t);
    for (unsigned s = 0; s < HV_SYNIC_SINT_COUNT; s++)
        safe_wrmsr(HV_X64_MSR_SINT0 + s, HV_SYNIC_SINT_MASKED);
    safe_wrmsr(HV_X64_MSR_SCONTROL, 0);
    safe_wrmsr(HV_X64_MSR_SIMP, 0);
    safe_wrmsr(HV_X64_MSR_SIEFP, 0);
}

volatile struct hv_message *hv_message_slot(unsigned sint)
{
    return (struct hv_message *)(void *)message_pages[this_cpu()->index] + sint;
}

volatile struct hv_timer_message_payload *hv_timer_message(unsigned sint)
{
    return (volatile struct hv_timer_message_payload *)hv_message_slot(sint)->payload;
}

volatile struct hv_synic_event_flags *hv_event_flags(unsigned sint)
{
    return (struct hv_synic_event_flags *)(void *)event_pages[this_cpu()->index] + sint;
}

void hv_sint_set(unsigned sint, uint64_t value)
{
    wrmsr(HV_X64_MSR_SINT0 + sint, value);
}

void hv_message_done(unsigned sint)
{
    volatile struct hv_message *m = hv_message_slot(sint);

    m->header.message_type = HVMSG_NONE;
    /* The slot is free before the flag is read: the hypervisor writes them in the other order. */
    atomic_thread_fence(memory_order_seq_cst);
    if (m->header.message_flags & HV_MESSAGE_FLAG_PENDING)
        wrmsr(HV_X64_MSR_EOM, 0);
}

uint64_t hv_ref_time(void)
{
    return rdmsr(HV_X64_MSR_TIME_REF_COUNT);
}

void hv_stimer_start(unsigned timer, uint64_t config, uint64_t count)
{
    wrmsr(STIMER_CONFIG(timer), 0);
    wrmsr(STIMER_VALUE(timer), count);
    wrmsr(STIMER_CONFIG(timer), config | HV_STIMER_ENABLE);
}

void hv_stimer_stop(unsigned timer)
{
    safe_wrmsr(STIMER_CONFIG(timer), 0);
    safe_wrmsr(STIMER_VALUE(timer), 0);
}
