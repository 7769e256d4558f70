/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/msr.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "tests/unit/shim_tlfs.h"
#include "tests/unit/shim_children.h"

/*
 * A guest makes one hypercall after another with any registers and any memory.
 * Input: a head, then eight bytes a register for each call, then what the memory
 * holds. Each call must end with a status that is named or with a fault, must
 * not write guest memory outside of its output list, and must leave alone all
 * registers but the result. The memory model is under the address sanitizer.
 */

#define IN_PAGE  1U
#define CALL_MAX 8U

#define CHILD_BIT BIT(7) /* of head.calls */

struct head {
    uint64_t privileges;
    uint8_t flags;
    uint8_t calls;
};

#define FLAG_ROOT      BIT(0)
#define FLAG_32BIT     BIT(1)
#define FLAG_USER      BIT(2)
#define FLAG_REAL      BIT(3)
#define FLAG_DISABLED  BIT(4)
#define FLAG_SLOW      BIT(5)
#define FLAG_KNOWN     BIT(6) /* take the call code from the table and keep addresses in memory */
#define FLAG_ALL_RIGHT BIT(7)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t before[sizeof(shim.ram)];

static void check(bool cond)
{
    if (!cond)
        abort();
}

static void take(const uint8_t **data, size_t *size, void *to, size_t len)
{
    size_t n = *size < len ? *size : len;

    memset(to, 0, len);
    memcpy(to, *data, n);
    *data += n;
    *size -= n;
}

static bool status_is_defined(uint16_t status)
{
    switch (status) {
    case HV_STATUS_SUCCESS:
    case HV_STATUS_INVALID_HYPERCALL_CODE:
    case HV_STATUS_INVALID_HYPERCALL_INPUT:
    case HV_STATUS_INVALID_ALIGNMENT:
    case HV_STATUS_INVALID_PARAMETER:
    case HV_STATUS_ACCESS_DENIED:
    case HV_STATUS_INVALID_PARTITION_ID:
    case HV_STATUS_INVALID_VP_INDEX:
    case HV_STATUS_INVALID_CONNECTION_ID:
    case HV_STATUS_INVALID_REGISTER_VALUE:
    case HV_STATUS_INVALID_SYNIC_STATE:
        return true;
    default:
        return false;
    }
}

/* Random bits seldom make a valid control word: choose a row, and addresses in memory. */
static void steer(struct vp_regs *r)
{
    const struct hypercall_entry *e = &hypercall_table[r->gpr[RCX] % hypercall_table_len];

    r->gpr[RCX] =
        (r->gpr[RCX] & ~HV_HYPERCALL_CODE_MASK & ~HV_HYPERCALL_RSVD_MASK & ~HV_HYPERCALL_NESTED) |
        e->code;
    if (!(e->form & HC_REP))
        r->gpr[RCX] &= ~(HV_HYPERCALL_REP_COMP_MASK | HV_HYPERCALL_REP_START_MASK);
    if (!(e->form & HC_VAR))
        r->gpr[RCX] &= ~HV_HYPERCALL_VARHEAD_MASK;
    if (!(r->gpr[RCX] & HV_HYPERCALL_FAST_BIT)) {
        r->gpr[RDX] = IN_PAGE * PAGE_SIZE + (r->gpr[RDX] & 0xFF8);
        r->gpr[R8] &= sizeof(shim.ram) - 1;
    }
}

/* Only the output list may have changed, and of a call that fails what it has done before. */
static void check_memory(uint64_t out_gpa, uint64_t result)
{
    uint64_t page = out_gpa & PAGE_MASK;
    bool written = (result & HV_HYPERCALL_RESULT_MASK) == HV_STATUS_SUCCESS ||
                   (result & HV_HYPERCALL_REP_COMP_MASK) != 0;

    for (uint64_t at = 0; at < sizeof(shim.ram); at += PAGE_SIZE)
        if (at != page || !written)
            check(memcmp(shim.ram + at, before + at, PAGE_SIZE) == 0);
}

static uint64_t out_gpa(const struct vp_regs *r)
{
    if (shim.long_mode)
        return r->gpr[R8];
    return (r->gpr[RDI] & UINT32_MAX) << 32 | (r->gpr[RSI] & UINT32_MAX);
}

/* Does a call write pages that its input names? */
static bool writes_memory(uint16_t code)
{
    return code == HVCALL_GET_VP_STATE || code == HVCALL_SET_VP_STATE || code == HVCALL_WRITE_GPA;
}

static void check_done(const struct vp_regs *old, const struct vp_regs *now)
{
    uint64_t result = now->gpr[RAX];
    uint16_t code = hv_hypercall_code(shim.long_mode ? old->gpr[RCX] : old->gpr[RAX]);

    if (!shim.long_mode) {
        check(now->gpr[RAX] <= UINT32_MAX && now->gpr[RDX] <= UINT32_MAX);
        result |= now->gpr[RDX] << 32;
    }
    check((result & ~(HV_HYPERCALL_RESULT_MASK | HV_HYPERCALL_REP_COMP_MASK)) == 0);
    check(status_is_defined((uint16_t)result));
    if (!writes_memory(code))
        check_memory(out_gpa(old), result);
    for (unsigned i = 0; i < GPR_COUNT; i++)
        if (i != RAX && !(i == RDX && !shim.long_mode))
            check(now->gpr[i] == old->gpr[i]);
    check(now->rip == old->rip && now->rflags == old->rflags);
}

static void one_call(struct vp *vp, const uint8_t **data, size_t *size, bool known)
{
    struct vp_regs old;

    take(data, size, &vp->regs, sizeof(vp->regs));
    if (known)
        steer(&vp->regs);
    memcpy(before, shim.ram, sizeof(before));
    old = vp->regs;
    shim.exception = -1;
    if (hypercall_dispatch(vp) == HYPERCALL_DONE) {
        check(shim.exception == -1);
        check_done(&old, &vp->regs);
    } else {
        check(shim.exception == -1 || shim.exception == VECTOR_UD);
        check(vp->regs.rip == old.rip);
        if (shim.exception == -1) /* a list that goes on has written its first elements */
            check_memory(out_gpa(&old), HV_STATUS_SUCCESS);
        else
            check(memcmp(shim.ram, before, sizeof(before)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint64_t child = SHIM_CHILD_ID;
    struct head head;
    unsigned calls;

    take(&data, &size, &head, sizeof(head));
    shim_start(head.flags & FLAG_ALL_RIGHT ? UINT64_MAX : head.privileges, head.flags & FLAG_ROOT);
    shim_child_start();
    shim.long_mode = !(head.flags & FLAG_32BIT);
    shim.protected_mode = !(head.flags & FLAG_REAL);
    shim.cpl = head.flags & FLAG_USER ? 3 : 0;
    shim.tsc_step = head.flags & FLAG_SLOW ? 1000000 : 1;
    if (!(head.flags & FLAG_DISABLED))
        shim.partition.hypercall_msr = HV_X64_MSR_HYPERCALL_ENABLE;
    calls = head.calls % CALL_MAX + 1;
    /* The tail of the input is what the guest's input page holds, repeated. */
    if (size)
        for (size_t i = 0; i < PAGE_SIZE; i++)
            shim.ram[IN_PAGE * PAGE_SIZE + i] = data[size - 1 - i % size];
    /* Half of them name the child in it. */
    if (head.calls & CHILD_BIT)
        memcpy(shim.ram + IN_PAGE * PAGE_SIZE, &child, sizeof(child));
    for (unsigned i = 0; i < calls; i++)
        one_call(&shim.vps[i % SHIM_VPS], &data, &size, head.flags & FLAG_KNOWN);
    return 0;
}
