/* SPDX-License-Identifier: MIT */
/* Intercepts that a parent installs on its child, and the messages that they make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "abi/tlfs/management.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/cpuid.h"
#include "hypervisor/partition/intercepts.h"
#include "hypervisor/vp/walk.h"
#include "shim_vpreg.h"

#define CHILD_ID  2U
#define MSR_LSTAR (MSR_STAR + 1)

static struct vp *vp;
static struct hv_message sent;
static unsigned messages, paused, pauses, holds;
static uint64_t tsc_aux;

int child_get_active(struct partition *parent, uint64_t id, struct partition **out)
{
    if (id != CHILD_ID)
        return -ENOENT;
    holds++;
    *out = &shim.partition;
    return 0;
}

void partition_put(struct partition *p)
{
    holds--;
}

void vp_pause(struct vp *v)
{
    paused++;
    pauses++;
}

void vp_resume(struct vp *v)
{
    paused--;
}

void notify_header(struct vp *v, struct hv_x64_intercept_message_header *h, uint8_t insn_len,
                   uint8_t access)
{
    *h = (struct hv_x64_intercept_message_header){.vp_index = v->index.v,
                                                  .length_cr8 = insn_len,
                                                  .intercept_access_type = access,
                                                  .rip = v->regs.rip};
}

void notify_segment(const struct vp *v, enum seg s, struct hv_x64_segment_register *out)
{
    *out = (struct hv_x64_segment_register){.selector = (uint16_t)s};
}

void notify_intercept(struct vp *v, uint32_t type, const void *payload, size_t len)
{
    assert_ptr_equal(v, vp);
    assert_true(len <= HV_MESSAGE_PAYLOAD_BYTES);
    messages++;
    memset(&sent, 0, sizeof(sent));
    sent.header.message_type = type;
    memcpy(sent.payload, payload, len);
}

void vp_cpuid(const struct vp *v, uint32_t leaf, uint32_t subleaf, bool registered,
              uint32_t regs[4])
{
    regs[CPUID_EAX] = leaf + 1;
    regs[CPUID_EBX] = leaf + 2;
    regs[CPUID_ECX] = subleaf + 3;
    regs[CPUID_EDX] = registered ? 4 : 0;
}

size_t walk_fetch(struct vp *v, uint8_t *bytes, size_t len)
{
    bytes[0] = 0x90;
    return 1;
}

/* No page of this child is closed. */
bool child_denied(struct vp *v, gpa_t at, enum access wanted)
{
    return false;
}

int cpu_rdmsr_safe(uint32_t msr, uint64_t *v)
{
    *v = tsc_aux;
    return msr == MSR_TSC_AUX ? 0 : -EPERM;
}

int cpu_wrmsr_safe(uint32_t msr, uint64_t v)
{
    if (msr != MSR_TSC_AUX)
        return -EPERM;
    tsc_aux = v;
    return 0;
}

static int setup(void **state)
{
    vp = shim_vpreg_start();
    messages = paused = pauses = holds = 0;
    shim_vp(1)->arch = vp->arch; /* it is paused and told, no more */
    svm_child_msrpm = hpa(0x2000);
    svm_closed_msrpm = hpa(0x4000);
    vendor_vp_reset(vp);
    vp->regs.rip = 0x1000;
    return 0;
}

static uint16_t install(uint32_t type, uint32_t access, uint64_t parameter)
{
    const struct hv_input_install_intercept in = {CHILD_ID, access, type, parameter};
    struct hypercall call = {.vp = shim_vp(1)};
    uint16_t status;

    memcpy(call.in, &in, sizeof(in));
    status = hypercall_install_intercept(&call);
    assert_int_equal(holds, 0);
    assert_int_equal(paused, 0);
    return status;
}

/* RDMSR or WRMSR exits; true if it became a message. */
static bool msr_exit(uint32_t msr, bool write, uint64_t v)
{
    struct exit exit = {.reason = EXIT_MSR, .insn_len = 2, .msr.write = write};
    unsigned before = messages;

    vp->regs.rip = 0x1000;
    vp->regs.gpr[RCX] = msr;
    vp->regs.gpr[RAX] = v & 0xffffffff;
    vp->regs.gpr[RDX] = v >> 32;
    shim_vmcb.event_inj = 0;
    intercept_msr(vp, &exit);
    return messages != before;
}

static void refused(void **state)
{
    static const struct {
        uint32_t type, access;
        uint64_t parameter;
    } rows[] = {
        {HV_INTERCEPT_TYPE_REGISTER, 1, 0},
        {HV_INTERCEPT_TYPE_MMIO, 1, 0},
        {HV_INTERCEPT_TYPE_X64_EXCEPTION_TRAP, 4, 1},
        {0x12, 1, 0},
        {UINT32_MAX, 0, 0},
        {HV_INTERCEPT_TYPE_HYPERCALL, 8, 0},
        {HV_INTERCEPT_TYPE_X64_MSR, 4, 0},
        {HV_INTERCEPT_TYPE_X64_MSR, 8, 0},
        {HV_INTERCEPT_TYPE_X64_MSR, 3, 1},
        {HV_INTERCEPT_TYPE_X64_MSR_INDEX, 5, 0x10},
        {HV_INTERCEPT_TYPE_X64_MSR_INDEX, 1, BIT64(32)},
        {HV_INTERCEPT_TYPE_X64_CPUID, 1, 0},
        {HV_INTERCEPT_TYPE_X64_CPUID, 4, BIT64(32)},
        {HV_INTERCEPT_TYPE_X64_GLOBAL_CPUID, 2, 0},
        {HV_INTERCEPT_TYPE_X64_GLOBAL_CPUID, 4, 1},
        {HV_INTERCEPT_TYPE_EXCEPTION, 1, VECTOR_UD},
        {HV_INTERCEPT_TYPE_EXCEPTION, 4, 2},
        {HV_INTERCEPT_TYPE_EXCEPTION, 4, 9},
        {HV_INTERCEPT_TYPE_EXCEPTION, 4, 15},
        {HV_INTERCEPT_TYPE_EXCEPTION, 4, 20},
        {HV_INTERCEPT_TYPE_EXCEPTION, 4, 32 + VECTOR_UD},
        {HV_INTERCEPT_TYPE_EXCEPTION, 4, BIT64(16) | VECTOR_UD},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(install(rows[i].type, rows[i].access, rows[i].parameter),
                         HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(pauses, 0);
    assert_int_equal(install(HV_INTERCEPT_TYPE_HYPERCALL, 4, 0), HV_STATUS_SUCCESS);
    assert_int_equal(shim.partition.intercepts.hypercall, 4);
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_IO_PORT, 3, 0x80), HV_STATUS_SUCCESS);
}

static void msr_of_all(void **state)
{
    const struct hv_x64_msr_intercept_message *m = (void *)sent.payload;

    assert_false(msr_exit(MSR_TSC, false, 0));
    assert_int_equal(vp->regs.rip, 0x1002);
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR, 1, 0), HV_STATUS_SUCCESS);
    assert_int_equal(shim_vmcb.msrpm_base, svm_closed_msrpm.v);
    assert_int_equal(pauses, 2);
    assert_true(msr_exit(MSR_STAR, false, 0x1122334455667788));
    assert_int_equal(sent.header.message_type, HVMSG_X64_MSR_INTERCEPT);
    assert_int_equal(m->header.intercept_access_type, HV_INTERCEPT_ACCESS_READ);
    assert_int_equal(m->header.length_cr8, 2);
    assert_int_equal(m->msr_number, MSR_STAR);
    assert_int_equal(m->rax, 0x55667788);
    assert_int_equal(m->rdx, 0x11223344);
    assert_int_equal(vp->regs.rip, 0x1000);    /* the parent moves it on */
    assert_false(msr_exit(MSR_STAR, true, 5)); /* only reads were asked for */
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR, 2, 0), HV_STATUS_SUCCESS);
    assert_true(msr_exit(0x12345678, true, 5));
    assert_int_equal(m->header.intercept_access_type, HV_INTERCEPT_ACCESS_WRITE);
    assert_false(msr_exit(MSR_STAR, false, 0));
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR, 0, 0), HV_STATUS_SUCCESS);
    assert_int_equal(shim_vmcb.msrpm_base, svm_child_msrpm.v);
    assert_false(msr_exit(MSR_TSC, false, 0));
}

static void msr_of_one(void **state)
{
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 3, MSR_LSTAR), HV_STATUS_SUCCESS);
    assert_int_equal(shim_vmcb.msrpm_base, svm_closed_msrpm.v);
    assert_true(msr_exit(MSR_LSTAR, false, 0));
    assert_true(msr_exit(MSR_LSTAR, true, 0));
    assert_false(msr_exit(MSR_STAR, false, 0));
    vendor_vp_reset(vp); /* an INIT changes nothing of it */
    assert_int_equal(shim_vmcb.msrpm_base, svm_closed_msrpm.v);
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 2, MSR_LSTAR), HV_STATUS_SUCCESS);
    assert_false(msr_exit(MSR_LSTAR, false, 0));
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 0, MSR_LSTAR), HV_STATUS_SUCCESS);
    assert_false(msr_exit(MSR_LSTAR, true, 0));
    assert_int_equal(shim_vmcb.msrpm_base, svm_child_msrpm.v);
}

/* The list has an end, replacing needs no place, and what is taken away makes room. MSR 0 too. */
static void indices_are_bounded(void **state)
{
    for (uint32_t i = 0; i < INTERCEPT_INDICES; i++)
        assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 3, i), HV_STATUS_SUCCESS);
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 3, 100), HV_STATUS_NO_RESOURCES);
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 0, 100), HV_STATUS_SUCCESS);
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 1, 0), HV_STATUS_SUCCESS);
    assert_true(intercepts_msr(&shim.partition, 0, false));
    assert_false(intercepts_msr(&shim.partition, 0, true));
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 0, 3), HV_STATUS_SUCCESS);
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 3, 15), HV_STATUS_SUCCESS);
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 3, 100), HV_STATUS_SUCCESS);
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 3, 3), HV_STATUS_NO_RESOURCES);
    assert_true(intercepts_msr(&shim.partition, 100, false));
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_MSR_INDEX, 0, 15), HV_STATUS_SUCCESS);
    assert_false(intercepts_msr(&shim.partition, 15, false));
}

static uint64_t msr_value(uint32_t msr)
{
    assert_false(msr_exit(msr, false, 0));
    assert_false(shim_vmcb.event_inj & EVENT_VALID);
    return vp->regs.gpr[RDX] << 32 | vp->regs.gpr[RAX];
}

/* What the guest otherwise does natively means the same when it exits. */
static void native_registers(void **state)
{
    static const struct {
        uint32_t msr;
        uint64_t good, bad; /* bad: 0 if there is none */
    } rows[] = {
        {MSR_SYSENTER_CS, 0x10, 0},
        {MSR_SYSENTER_CS + 1, 0xffff800000001000, BIT64(47)},
        {MSR_SYSENTER_EIP, 0xffff800000002000, BIT64(63)},
        {MSR_STAR, 0x23001000000000, 0},
        {MSR_LSTAR, 0xffff800000003000, BIT64(47)},
        {MSR_STAR + 2, 0xffff800000004000, BIT64(47)},
        {MSR_SFMASK, 0x47700, 0},
        {MSR_FS_BASE, 0x7fff00001000, BIT64(47)},
        {MSR_GS_BASE, 0xffff800000005000, BIT64(47)},
        {MSR_KERNEL_GS_BASE, 0xffff800000006000, BIT64(48)},
        {MSR_TSC_AUX, 7, BIT64(32)},
    };
    uint64_t fs = 0, gs = 0;
    struct segment s;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_false(msr_exit(rows[i].msr, true, rows[i].good));
        assert_int_equal(vp->regs.rip, 0x1002);
        if (rows[i].bad) {
            assert_false(msr_exit(rows[i].msr, true, rows[i].bad));
            assert_int_equal(vp->regs.rip, 0x1000);
            assert_int_equal(EVENT_VECTOR(shim_vmcb.event_inj), VECTOR_GP);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(msr_value(rows[i].msr), rows[i].good);
    vendor_vp_get_segment(vp, SEG_FS, &s);
    fs = s.base;
    vendor_vp_get_segment(vp, SEG_GS, &s);
    gs = s.base;
    assert_int_equal(fs, 0x7fff00001000);
    assert_int_equal(gs, 0xffff800000005000);
    assert_int_equal(shim_vmcb.lstar, 0xffff800000003000);
}

static void cpuid_leaves(void **state)
{
    const struct hv_x64_cpuid_intercept_message *m = (void *)sent.payload;
    struct exit exit = {.reason = EXIT_CPUID, .insn_len = 2};

    assert_false(intercepts_cpuid(&shim.partition, 0));
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_CPUID, 4, 7), HV_STATUS_SUCCESS);
    assert_int_equal(pauses, 0); /* CPUID exits anyway */
    assert_true(intercepts_cpuid(&shim.partition, 7));
    assert_false(intercepts_cpuid(&shim.partition, 0));
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_CPUID, 0, 7), HV_STATUS_SUCCESS);
    assert_false(intercepts_cpuid(&shim.partition, 7));
    assert_int_equal(install(HV_INTERCEPT_TYPE_X64_GLOBAL_CPUID, 4, 0), HV_STATUS_SUCCESS);
    assert_true(intercepts_cpuid(&shim.partition, 7));
    assert_true(intercepts_cpuid(&shim.partition, 0x80000000));
    vp->regs.gpr[RAX] = 0xfeed00000007;
    vp->regs.gpr[RCX] = 0x20;
    child_cpuid(vp, &exit);
    assert_int_equal(sent.header.message_type, HVMSG_X64_CPUID_INTERCEPT);
    assert_int_equal(m->rax, 0xfeed00000007);
    assert_int_equal(m->rcx, 0x20);
    assert_int_equal(m->default_result_rax, 8);
    assert_int_equal(m->default_result_rbx, 9);
    assert_int_equal(m->default_result_rcx, 0x23);
    assert_int_equal(m->default_result_rdx, 4);
    assert_int_equal(m->header.intercept_access_type, HV_INTERCEPT_ACCESS_EXECUTE);
    assert_int_equal(vp->regs.rip, 0x1000);
}

/* Those that the processor reports, those that the hypervisor raises, and what the parent injects.
 */
static void exceptions(void **state)
{
    const struct hv_x64_exception_intercept_message *m = (void *)sent.payload;
    const struct vp_event gp = {
        .valid = true, .type = HV_INTERRUPTION_EXCEPTION, .vector = VECTOR_GP};
    struct exit exit;

    vp_inject_exception(vp, VECTOR_GP, 0);
    assert_int_equal(messages, 0);
    assert_int_equal(EVENT_VECTOR(shim_vmcb.event_inj), VECTOR_GP);
    shim_vmcb.event_inj = 0;
    assert_int_equal(install(HV_INTERCEPT_TYPE_EXCEPTION, 4, VECTOR_GP), HV_STATUS_SUCCESS);
    assert_int_equal(install(HV_INTERCEPT_TYPE_EXCEPTION, 4, VECTOR_PF), HV_STATUS_SUCCESS);
    assert_int_equal(shim_vmcb.intercept[2], BIT(VECTOR_GP) | BIT(VECTOR_PF));
    assert_int_equal(shim_vmcb.msrpm_base, svm_child_msrpm.v);
    shim_vmcb.cr0 |= CR0_PE;
    vp_inject_exception(vp, VECTOR_GP, 0x18);
    assert_int_equal(messages, 1);
    assert_false(shim_vmcb.event_inj & EVENT_VALID);
    assert_int_equal(sent.header.message_type, HVMSG_X64_EXCEPTION_INTERCEPT);
    assert_int_equal(m->exception_vector, VECTOR_GP);
    assert_int_equal(m->exception_info, HV_EXCEPTION_INFO_ERROR_CODE_VALID);
    assert_int_equal(m->error_code, 0x18);
    vp_inject_exception(vp, VECTOR_UD, 0);
    assert_int_equal(messages, 1); /* not asked for */
    assert_int_equal(vendor_vp_set_event(vp, &gp), 0);
    assert_int_equal(messages, 1);
    assert_true(shim_vmcb.event_inj & EVENT_VALID);

    vp->regs.gpr[RSP] = 0x7000;
    vp->regs.gpr[R15] = 15;
    svm_event_describe(&shim_vmcb, VECTOR_PF, 7, &exit);
    exit.exception.address = 0x123456789000;
    child_exception(vp, &exit);
    assert_int_equal(m->exception_vector, VECTOR_PF);
    assert_int_equal(m->error_code, 7);
    assert_int_equal(m->exception_parameter, 0x123456789000);
    assert_int_equal(m->gp_registers[RSP], 0x7000);
    assert_int_equal(m->gp_registers[R15], 15);
    assert_int_equal(m->ss_segment.selector, SEG_SS);
    assert_int_equal(m->instruction_byte_count, 1);
    assert_int_equal(vp->regs.rip, 0x1000);

    shim_vmcb.cr0 &= ~CR0_PE;
    svm_event_describe(&shim_vmcb, VECTOR_GP, 7, &exit);
    assert_false(exit.exception.has_error_code);
    assert_int_equal(install(HV_INTERCEPT_TYPE_EXCEPTION, 0, VECTOR_GP), HV_STATUS_SUCCESS);
    assert_int_equal(shim_vmcb.intercept[2], BIT(VECTOR_PF));
    vendor_vp_reset(vp);
    assert_int_equal(shim_vmcb.intercept[2], BIT(VECTOR_PF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(refused, setup),
        cmocka_unit_test_setup(msr_of_all, setup),
        cmocka_unit_test_setup(msr_of_one, setup),
        cmocka_unit_test_setup(indices_are_bounded, setup),
        cmocka_unit_test_setup(native_registers, setup),
        cmocka_unit_test_setup(cpuid_leaves, setup),
        cmocka_unit_test_setup(exceptions, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
