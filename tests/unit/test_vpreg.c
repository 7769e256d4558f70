/* SPDX-License-Identifier: MIT */
/* Registers by their names on a real VMCB: round trips, what is refused, the register page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "shim_vpreg.h"

static struct vp *vp;

void child_exception(struct vp *v, const struct exit *exit)
{
}

static int setup(void **state)
{
    vp = shim_vpreg_start();
    return 0;
}

static uint64_t get(uint32_t name)
{
    union hv_register_value v = {.reg128 = {~0ULL, ~0ULL}};

    assert_int_equal(vpreg_get(vp, name, &v), 0);
    return v.reg64;
}

static int set(uint32_t name, uint64_t v)
{
    const union hv_register_value value = {.reg128 = {v, 0}};

    return vpreg_set(vp, name, &value);
}

/* Each takes the value and shows it. */
static void round_trips(void **state)
{
    static const struct {
        uint32_t name;
        uint64_t value;
    } rows[] = {
        {HV_X64_REGISTER_RAX, 0x1122334455667788},
        {HV_X64_REGISTER_RSP, 0x7fff0000},
        {HV_X64_REGISTER_R15, ~0ULL},
        {HV_X64_REGISTER_RIP, 0xffffffff81000000},
        {HV_X64_REGISTER_RFLAGS, 0x246},
        {HV_X64_REGISTER_CR0, 0x80050033},
        {HV_X64_REGISTER_CR2, 0xdeadbeef000},
        {HV_X64_REGISTER_CR3, 0x1234000},
        {HV_X64_REGISTER_CR4, 0x6b0},
        {HV_X64_REGISTER_CR8, 0xf},
        {HV_X64_REGISTER_INTERMEDIATE_CR0, 0x33},
        {HV_X64_REGISTER_INTERMEDIATE_CR3, 0x5000},
        {HV_X64_REGISTER_INTERMEDIATE_CR4, 0x20},
        {HV_X64_REGISTER_INTERMEDIATE_CR8, 0x2},
        {HV_X64_REGISTER_DR0, ~0ULL},
        {HV_X64_REGISTER_DR3, 3},
        {HV_X64_REGISTER_DR6, 0xffff0ff1},
        {HV_X64_REGISTER_DR7, 0x402},
        {HV_X64_REGISTER_EFER, 0x100},
        {HV_X64_REGISTER_KERNEL_GS_BASE, 0xffff888000000000},
        {HV_X64_REGISTER_PAT, 0x0606060606060606},
        {HV_X64_REGISTER_SYSENTER_CS, 0x10},
        {HV_X64_REGISTER_SYSENTER_EIP, 0xffffffff82000000},
        {HV_X64_REGISTER_SYSENTER_ESP, 0xffffffff82001000},
        {HV_X64_REGISTER_STAR, 0x23001000000000},
        {HV_X64_REGISTER_LSTAR, 0xffffffff81c00000},
        {HV_X64_REGISTER_CSTAR, 0xffffffff81c00100},
        {HV_X64_REGISTER_SFMASK, 0x47700},
        {HV_X64_REGISTER_APIC_BASE, 0xfee00d00},
        {HV_X64_REGISTER_APIC_BASE, 0xfee00900},
        {HV_X64_REGISTER_TSC, 12345},
        {HV_X64_REGISTER_TSC_ADJUST, 99},
        {HV_X64_REGISTER_MSR_MTRR_DEF_TYPE, 0xc06},
        {HV_X64_REGISTER_MSR_MTRR_PHYS_BASE0 + 7, 0x80000006},
        {HV_X64_REGISTER_MSR_MTRR_PHYS_MASK0, 0xff80000800},
        {HV_X64_REGISTER_MSR_MTRR_FIX4KF8000, 0x0606060606060606},
        {HV_X64_REGISTER_APIC_FIRST + 0xf, 0x1ff},
        {HV_REGISTER_EXPLICIT_SUSPEND, 1},
        {HV_REGISTER_EXPLICIT_SUSPEND, 0},
        {HV_REGISTER_INTERCEPT_SUSPEND, 1},
        {HV_REGISTER_INTERNAL_ACTIVITY_STATE, 1},
        {HV_REGISTER_INTERNAL_ACTIVITY_STATE, 2},
        {HV_REGISTER_INTERNAL_ACTIVITY_STATE, 4},
        {HV_REGISTER_INTERNAL_ACTIVITY_STATE, 0},
        {HV_REGISTER_INTERRUPT_STATE, 3},
        {HV_REGISTER_INTERRUPT_STATE, 0},
        {HV_REGISTER_DELIVERABILITY_NOTIFICATIONS, 0x1000000000003},
        {HV_REGISTER_PENDING_INTERRUPTION, 0x0000000500000000 | 13 << 16 | 1 << 4 | 3 << 1 | 1},
        {HV_REGISTER_PENDING_INTERRUPTION, 2 << 16 | 2 << 1 | 1},
        {HV_REGISTER_PENDING_INTERRUPTION, 0},
        {HV_REGISTER_PENDING_EVENT0, 6 << 16 | 1},
        {HV_REGISTER_PENDING_EVENT0, 0},
        {HV_REGISTER_PENDING_EVENT1, 0},
        {HV_REGISTER_PENDING_EVENT0, 0x30 << 8 | 5 << 1 | 1},
        {HV_REGISTER_SINT0 + 2, 0x200f3},
        {HV_REGISTER_SIRBP, 0x5001},
        {HV_REGISTER_STIMER3_COUNT, 77},
        {HV_REGISTER_GUEST_CRASH_P4, 4},
        {HV_REGISTER_VP_ASSIST_PAGE, 0x7001},
        {HV_X64_REGISTER_INITIAL_APIC_ID, 5},
        {HV_X64_REGISTER_XSS, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(set(rows[i].name, rows[i].value), 0);
        assert_int_equal(get(rows[i].name), rows[i].value);
        assert_true(shim_vmcb_sound(&shim_vmcb));
    }
}

static void refused(void **state)
{
    static const struct {
        uint32_t name;
        uint64_t value;
    } rows[] = {
        {HV_X64_REGISTER_CR0, BIT64(32)},
        {HV_X64_REGISTER_CR0, CR0_PG},
        {HV_X64_REGISTER_CR0, CR0_PE | CR0_NW},
        {HV_X64_REGISTER_CR3, BIT64(52)},
        {HV_X64_REGISTER_CR4, CR4_LA57},
        {HV_X64_REGISTER_CR4, BIT64(23)},
        {HV_X64_REGISTER_CR4, BIT64(13)},
        {HV_X64_REGISTER_CR8, 16},
        {HV_X64_REGISTER_RFLAGS, BIT64(22)},
        {HV_X64_REGISTER_RFLAGS, BIT64(63)},
        {HV_X64_REGISTER_EFER, EFER_SVME},
        {HV_X64_REGISTER_EFER, EFER_LMA},
        {HV_X64_REGISTER_EFER, BIT64(1)},
        {HV_X64_REGISTER_PAT, 2},
        {HV_X64_REGISTER_DR6, BIT64(32)},
        {HV_X64_REGISTER_DR7, BIT64(32)},
        {HV_X64_REGISTER_LSTAR, BIT64(47)},
        {HV_X64_REGISTER_KERNEL_GS_BASE, BIT64(63)},
        {HV_X64_REGISTER_FS, BIT64(47)},
        {HV_X64_REGISTER_CS, BIT64(32)},
        {HV_X64_REGISTER_XFEM, 0},
        {HV_X64_REGISTER_XFEM, 5},
        {HV_X64_REGISTER_XFEM, BIT64(63) | 1},
        {HV_X64_REGISTER_TSC_AUX, BIT64(32)},
        {HV_X64_REGISTER_APIC_BASE, 0xfee00400},
        {HV_X64_REGISTER_APIC_BASE, 0xfee00801},
        {HV_X64_REGISTER_INITIAL_APIC_ID, 1}, /* VP 1's */
        {HV_X64_REGISTER_INITIAL_APIC_ID, UINT32_MAX},
        {HV_X64_REGISTER_MSR_MTRR_DEF_TYPE, BIT64(12)},
        {HV_X64_REGISTER_SPEC_CTRL, 1},
        {HV_X64_REGISTER_DEBUG_CTL, 1},
        {HV_REGISTER_EXPLICIT_SUSPEND, 2},
        {HV_REGISTER_INTERNAL_ACTIVITY_STATE, 3},
        {HV_REGISTER_INTERRUPT_STATE, 4},
        {HV_REGISTER_DELIVERABILITY_NOTIFICATIONS, BIT64(6)},
        {HV_REGISTER_PENDING_INTERRUPTION, 15 << 16 | 3 << 1 | 1},
        {HV_REGISTER_PENDING_INTERRUPTION, 256 << 16 | 1},
        {HV_REGISTER_PENDING_INTERRUPTION, 1 << 1 | 1},
        {HV_REGISTER_PENDING_EVENT0, 2 << 16 | 1},
        {HV_REGISTER_PENDING_EVENT0, 1 << 1 | 1},
    };
    const struct vmcb before = shim_vmcb;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(set(rows[i].name, rows[i].value), -EINVAL);
    assert_memory_equal(&shim_vmcb, &before, sizeof(before));
}

static void unknown_and_read_only(void **state)
{
    union hv_register_value v;

    assert_int_equal(vpreg_get(vp, 2, &v), -ENOENT);
    assert_int_equal(vpreg_get(vp, 0x20012, &v), -ENOENT);
    assert_int_equal(vpreg_get(vp, UINT32_MAX, &v), -ENOENT);
    assert_int_equal(vpreg_get(vp, HV_X64_REGISTER_MSR_MTRR_PHYS_BASE0 + 8, &v), -ENOENT);
    assert_int_equal(set(HV_REGISTER_HYPERVISOR_VERSION, 0), -ENOENT);
    assert_int_equal(set(HV_REGISTER_VP_INDEX, 0), -ENOENT);
    assert_int_equal(get(HV_X64_REGISTER_MSR_MTRR_CAP), 0x508);
    assert_int_equal(set(HV_X64_REGISTER_MSR_IA32_MISC_ENABLE, 1), 0);
    assert_int_equal(get(HV_X64_REGISTER_MSR_IA32_MISC_ENABLE), 0);
    assert_int_equal(vpreg_get(vp, HV_REGISTER_FEATURES_INFO, &v), 0);
    assert_int_equal(v.reg128[0], 0x4000000540000004);
    assert_int_equal(v.reg128[1], 0x4000000740000006);
    /* The parent has none of what only a child has. */
    shim.partition.is_child = false;
    assert_int_equal(set(HV_REGISTER_EXPLICIT_SUSPEND, 1), -EINVAL);
    assert_int_equal(set(HV_REGISTER_INTERNAL_ACTIVITY_STATE, 2), -EINVAL);
    assert_int_equal(set(HV_X64_REGISTER_INITIAL_APIC_ID, 7), -EINVAL);
    assert_int_equal(vpreg_get(vp, HV_X64_REGISTER_MSR_MTRR_DEF_TYPE, &v), -ENOENT);
}

static void segments_and_tables(void **state)
{
    const union hv_register_value cs = {
        .segment = {.base = 0x1000, .limit = 0xffffffff, .selector = 0x10, .attributes = 0xa09b}};
    const union hv_register_value ss = {
        .segment = {.limit = 0xffffffff, .selector = 0x1b, .attributes = 0xc0f3}};
    const union hv_register_value gdt = {.table = {.base = 0xffff888000001000, .limit = 0x7f}};
    union hv_register_value v;

    assert_int_equal(vpreg_set(vp, HV_X64_REGISTER_CS, &cs), 0);
    assert_int_equal(shim_vmcb.cs.attributes, 0xa9b);
    assert_int_equal(vpreg_get(vp, HV_X64_REGISTER_CS, &v), 0);
    assert_memory_equal(&v, &cs, sizeof(v));
    assert_int_equal(set(HV_X64_REGISTER_CR0, CR0_PE), 0);
    assert_int_equal(vpreg_set(vp, HV_X64_REGISTER_SS, &ss), 0);
    assert_int_equal(vp_cpl(vp), 3);
    assert_int_equal(vpreg_set(vp, HV_X64_REGISTER_GDTR, &gdt), 0);
    assert_int_equal(shim_vmcb.gdtr.base, gdt.table.base);
    assert_int_equal(shim_vmcb.gdtr.limit, 0x7f);
    assert_int_equal(vpreg_get(vp, HV_X64_REGISTER_GDTR, &v), 0);
    assert_memory_equal(&v, &gdt, sizeof(v));
    assert_int_equal(get(HV_X64_REGISTER_IDTR) >> 48, 0xffff); /* limit */
}

/* A VMM sets the registers of long mode in any order; together they count at the entry. */
static void long_mode_in_any_order(void **state)
{
    const union hv_register_value cs = {
        .segment = {.limit = 0xffffffff, .selector = 0x10, .attributes = 0xa09b}};
    const union hv_register_value both = {
        .segment = {.limit = 0xffffffff, .selector = 0x10, .attributes = 0xe09b}};

    assert_int_equal(set(HV_X64_REGISTER_CR0, CR0_PE | CR0_PG), 0);
    assert_int_equal(set(HV_X64_REGISTER_EFER, EFER_LME | EFER_LMA), 0);
    assert_int_equal(get(HV_X64_REGISTER_EFER), EFER_LME | EFER_LMA);
    assert_false(svm_set_consistent(vp)); /* no PAE */
    assert_int_equal(set(HV_X64_REGISTER_CR4, CR4_PAE), 0);
    assert_int_equal(vpreg_set(vp, HV_X64_REGISTER_CS, &both), 0);
    assert_false(svm_set_consistent(vp)); /* L and D */
    assert_int_equal(vpreg_set(vp, HV_X64_REGISTER_CS, &cs), 0);
    assert_true(svm_set_consistent(vp));
    assert_true(vp_long_mode(vp));
    assert_int_equal(set(HV_X64_REGISTER_RFLAGS, RFLAGS_VM | 2), 0);
    assert_false(svm_set_consistent(vp));
    assert_int_equal(set(HV_X64_REGISTER_RFLAGS, 2), 0);
    assert_int_equal(set(HV_REGISTER_PENDING_EVENT0, 4 << 16 | 1), 0); /* INTO */
    assert_false(svm_set_consistent(vp));
    assert_int_equal(set(HV_REGISTER_PENDING_EVENT0, 0), 0);
    assert_true(svm_set_consistent(vp));
    /* Without LME in EFER, LMA follows. */
    assert_int_equal(set(HV_X64_REGISTER_EFER, 0), 0);
    assert_int_equal(get(HV_X64_REGISTER_EFER), 0);
    assert_true(shim_arch.flush_tlb);
}

static void a_page_fault_brings_its_address(void **state)
{
    const union hv_register_value fault = {
        .reg128 = {0x0000000600000000 | 14 << 16 | 1 << 8 | 1, 0x1234567000}};
    union hv_register_value v;

    assert_int_equal(vpreg_set(vp, HV_REGISTER_PENDING_EVENT0, &fault), 0);
    assert_int_equal(get(HV_X64_REGISTER_CR2), 0x1234567000);
    assert_int_equal(shim_vmcb.event_inj, 0x0000000600000000 | 14 | 3 << 8 | 1 << 11 | BIT64(31));
    assert_int_equal(vpreg_get(vp, HV_REGISTER_PENDING_EVENT0, &v), 0);
    assert_memory_equal(&v, &fault, sizeof(v));
    /* An ExtINT beside it stands in the second place. */
    vendor_vp_set_extint(vp, 0x41);
    assert_int_equal(get(HV_REGISTER_PENDING_EVENT1), 0x41 << 8 | 5 << 1 | 1);
    assert_int_equal(set(HV_REGISTER_PENDING_EVENT0, 0), 0);
    assert_int_equal(get(HV_REGISTER_PENDING_EVENT0), 0x41 << 8 | 5 << 1 | 1);
    assert_int_equal(set(HV_REGISTER_PENDING_EVENT0, 0), 0);
    assert_false(vendor_vp_extint_pending(vp));
    /* An interrupt that waits for IF is one of the 8259, and INT n is executed again. */
    assert_int_equal(set(HV_REGISTER_PENDING_INTERRUPTION, 0x50 << 16 | 1), 0);
    assert_int_equal(vendor_vp_extint(vp), 0x50);
    assert_int_equal(set(HV_REGISTER_PENDING_INTERRUPTION, 0x80 << 16 | 4 << 1 | 1), 0);
    assert_false(vendor_vp_event_pending(vp));
}

static void extended_registers(void **state)
{
    const union hv_register_value a = {.reg128 = {1, 2}}, mx = {.reg128 = {0x1234, 0x1f80}},
                                  bad = {.reg128 = {0, 0xffffffff}};
    union hv_register_value v;

    for (uint32_t name = HV_X64_REGISTER_XMM0; name <= HV_X64_REGISTER_XMM15; name++) {
        assert_int_equal(vpreg_set(vp, name, &a), 0);
        assert_int_equal(vpreg_get(vp, name, &v), 0);
        assert_memory_equal(&v, &a, sizeof(v));
    }
    assert_int_equal(set(HV_X64_REGISTER_FP_MMX7, 0x8000000000000000), 0);
    assert_int_equal(get(HV_X64_REGISTER_FP_MMX7), 0x8000000000000000);
    assert_int_equal(get(HV_X64_REGISTER_FP_CONTROL_STATUS) & 0xffff, 0x37f);
    assert_int_equal(set(HV_X64_REGISTER_FP_CONTROL_STATUS, 0x27f), 0);
    assert_int_equal(get(HV_X64_REGISTER_FP_CONTROL_STATUS), 0x27f);
    assert_int_equal(vpreg_set(vp, HV_X64_REGISTER_XMM_CONTROL_STATUS, &mx), 0);
    assert_int_equal(vpreg_set(vp, HV_X64_REGISTER_XMM_CONTROL_STATUS, &bad), -EINVAL);
    assert_int_equal(vpreg_get(vp, HV_X64_REGISTER_XMM_CONTROL_STATUS, &v), 0);
    assert_int_equal(v.reg128[0], 0x1234);
    assert_int_equal((uint32_t)v.reg128[1], 0x1f80);
    assert_int_equal(set(HV_X64_REGISTER_XFEM, 3), 0);
    assert_int_equal(get(HV_X64_REGISTER_XFEM), 3);
}

static void moving_rip_ends_the_shadow(void **state)
{
    assert_int_equal(set(HV_REGISTER_INTERRUPT_STATE, 3), 0);
    assert_int_equal(set(HV_X64_REGISTER_RIP, vp->regs.rip), 0);
    assert_int_equal(get(HV_REGISTER_INTERRUPT_STATE), 3);
    assert_int_equal(set(HV_X64_REGISTER_RIP, vp->regs.rip + 1), 0);
    assert_int_equal(get(HV_REGISTER_INTERRUPT_STATE), 2);
    assert_true(shim_vmcb.intercept[3] & INTERCEPT3_IRET);
}

static void register_page(void **state)
{
    vp->regs.gpr[RBX] = 42;
    vpreg_page_fill(vp);
    assert_int_equal(shim_page.version, 1);
    assert_int_equal(shim_page.isvalid, 1);
    assert_int_equal(shim_page.gp_registers[3], 42);
    assert_int_equal(shim_page.rip, 0xfff0);
    assert_int_equal(shim_page.segment_registers[1].selector, 0xf000);
    assert_int_equal(shim_page.efer, 0);
    /* Only what is marked is taken. */
    shim_page.gp_registers[3] = 43;
    shim_page.rip = 0x1000;
    shim_page.dirty = BIT(HV_X64_REGISTER_CLASS_IP);
    assert_true(vpreg_page_dirty(vp));
    vpreg_page_take(vp);
    assert_int_equal(vp->regs.rip, 0x1000);
    assert_int_equal(vp->regs.gpr[RBX], 42);
    assert_int_equal(shim_page.isvalid, 0);
    assert_int_equal(shim_page.dirty, 0);
    /* An invalid page says nothing. */
    shim_page.rip = 0x2000;
    shim_page.dirty = ~0U;
    vpreg_page_take(vp);
    assert_int_equal(vp->regs.rip, 0x1000);
    /* What no processor takes leaves the register as it is. */
    vpreg_page_fill(vp);
    shim_page.rflags = BIT64(40);
    shim_page.segment_registers[SEG_FS].base = BIT64(50);
    shim_page.segment_registers[SEG_GS].base = 0x5000;
    shim_page.xmm_registers[5][1] = 55;
    shim_page.dirty = ~0U;
    vpreg_page_take(vp);
    assert_int_equal(vp->regs.rflags, 2);
    assert_int_equal(shim_vmcb.fs.base, 0);
    assert_int_equal(shim_vmcb.gs.base, 0x5000);
    {
        union hv_register_value v;

        assert_int_equal(vpreg_get(vp, HV_X64_REGISTER_XMM0 + 5, &v), 0);
        assert_int_equal(v.reg128[1], 55);
    }
    vp->register_page = NULL;
    vpreg_page_fill(vp);
    vpreg_page_take(vp);
    assert_false(vpreg_page_dirty(vp));
}

static void apic_state(void **state)
{
    struct hv_local_interrupt_controller_state s, after;

    vapic_state_get(vp, &s);
    assert_int_equal(s.apic_id, 0);
    assert_int_equal(s.apic_lvt_lint0, APIC_LVT_MASKED);
    s.apic_spurious = 0x1ff;
    s.apic_lvt_lint0 = 0x700;
    s.apic_lvt_lint1 = 0x400;
    s.apic_lvt_timer = 0x20030;
    s.apic_divide_configuration = 0xb;
    s.apic_initial_count = 1000000;
    s.apic_counter_value = 400000;
    s.apic_irr[1] = 0x10;
    s.apic_isr[0] = 0xffffffff; /* the first 16 do not exist */
    s.apic_icr_low = 0xffffffff;
    s.apic_ldr = 0xffffffff;
    s.apic_id = 0x55;
    vapic_state_set(vp, &s);
    vapic_state_get(vp, &after);
    assert_int_equal(after.apic_id, 0);
    assert_int_equal(after.apic_spurious, 0x1ff);
    assert_int_equal(after.apic_lvt_lint0, 0x700);
    assert_int_equal(after.apic_lvt_lint1, 0x400);
    assert_int_equal(after.apic_initial_count, 1000000);
    assert_in_range(after.apic_counter_value, 399999, 400000);
    assert_int_equal(after.apic_irr[1], 0x10);
    assert_int_equal(after.apic_isr[0], 0xffff0000);
    assert_int_equal(after.apic_icr_low & APIC_ICR_BUSY, 0);
    assert_int_equal(after.apic_ldr, 0xff000000);
    assert_true(shim_requests(vp) & VP_REQ_EVENT);
    assert_int_equal(shim.eoi_hooks, 0);
    /* The timer goes on from where it was. */
    shim_run_until(shim.tsc + shim.tsc_hz / 1000 * 4 / 10 + 100000);
    assert_true(atomic_load(&vp->apic.state.irr[1]) & BIT(0x10));
    /* In x2APIC mode the id is whole and the LDR follows from it. */
    assert_int_equal(set(HV_X64_REGISTER_INITIAL_APIC_ID, 0x123), 0);
    assert_int_equal(set(HV_X64_REGISTER_APIC_BASE, 0xfee00d00), 0);
    vapic_state_get(vp, &after);
    assert_int_equal(after.apic_id, 0x123);
    assert_int_equal(after.apic_ldr, 0x120008);
}

/* A VMM sets the TSC of one VP after the other. */
static void tscs_stay_together(void **state)
{
    uint64_t origin;

    shim.tsc = 50 * shim.tsc_hz;
    assert_int_equal(set(HV_X64_REGISTER_TSC, 0), 0);
    origin = vendor_vp_tsc_offset(vp);
    vp->index.v = 1;
    vendor_vp_shift_tsc(vp, 1234);
    shim.tsc += shim.tsc_hz / 2;
    assert_int_equal(set(HV_X64_REGISTER_TSC, 0), 0);
    assert_int_equal(vendor_vp_tsc_offset(vp), origin);
    assert_int_equal(get(HV_X64_REGISTER_TSC), shim.tsc_hz / 2);
    /* A little ahead is the same; far apart is meant. */
    assert_int_equal(set(HV_X64_REGISTER_TSC, shim.tsc_hz), 0);
    assert_int_equal(vendor_vp_tsc_offset(vp), origin);
    assert_int_equal(set(HV_X64_REGISTER_TSC, 3 * shim.tsc_hz), 0);
    assert_int_equal(get(HV_X64_REGISTER_TSC), 3 * shim.tsc_hz);
    /* So is what the same VP is set to twice. */
    assert_int_equal(set(HV_X64_REGISTER_TSC, 3 * shim.tsc_hz + 5), 0);
    assert_int_equal(get(HV_X64_REGISTER_TSC), 3 * shim.tsc_hz + 5);
    vp->index.v = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(round_trips, setup),
        cmocka_unit_test_setup(refused, setup),
        cmocka_unit_test_setup(tscs_stay_together, setup),
        cmocka_unit_test_setup(unknown_and_read_only, setup),
        cmocka_unit_test_setup(segments_and_tables, setup),
        cmocka_unit_test_setup(long_mode_in_any_order, setup),
        cmocka_unit_test_setup(a_page_fault_brings_its_address, setup),
        cmocka_unit_test_setup(extended_registers, setup),
        cmocka_unit_test_setup(moving_rip_ends_the_shadow, setup),
        cmocka_unit_test_setup(register_page, setup),
        cmocka_unit_test_setup(apic_state, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
