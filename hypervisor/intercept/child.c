/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/intercept/decode.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/partition/overlay.h"
#include "hypervisor/partition/partition.h"
#include "hypervisor/vp/notify.h"
#include "hypervisor/vp/walk.h"

#define CACHE_TYPE_WRITE_BACK 6

void child_io(struct vp *vp, const struct exit *exit)
{
    struct hv_x64_io_port_intercept_message m = {
        .port_number = exit->io.port,
        .access_info = (uint8_t)(exit->io.size | (exit->io.string ? HV_IO_ACCESS_STRING : 0) |
                                 (exit->io.rep ? HV_IO_ACCESS_REP : 0)),
        .rax = vp->regs.gpr[RAX],
        .rcx = vp->regs.gpr[RCX],
        .rsi = vp->regs.gpr[RSI],
        .rdi = vp->regs.gpr[RDI],
    };

    notify_header(vp, &m.header, exit->insn_len,
                  exit->io.in ? HV_INTERCEPT_ACCESS_READ : HV_INTERCEPT_ACCESS_WRITE);
    notify_segment(vp, SEG_DS, &m.ds_segment);
    notify_segment(vp, SEG_ES, &m.es_segment);
    /* The bytes tell address size and segment override, which the processor does not report. */
    if (exit->io.string)
        m.instruction_byte_count = (uint8_t)walk_fetch(vp, m.instruction_bytes, INSN_MAX);
    notify_intercept(vp, HVMSG_X64_IO_PORT_INTERCEPT, &m, sizeof(m));
}

static void send_memory(struct vp *vp, gpa_t at, enum access wanted, bool known, bool fetch)
{
    struct hv_x64_memory_intercept_message m = {
        .cache_type = CACHE_TYPE_WRITE_BACK,
        .tpr_priority = (uint8_t)(vapic_tpr_get(vp) >> 4),
        .guest_physical_address = at.v,
    };
    uint8_t access = wanted == ACCESS_EXEC    ? HV_INTERCEPT_ACCESS_EXECUTE
                     : wanted == ACCESS_WRITE ? HV_INTERCEPT_ACCESS_WRITE
                                              : HV_INTERCEPT_ACCESS_READ;

    notify_header(vp, &m.header, 0, access);
    if (fetch)
        m.instruction_byte_count = (uint8_t)walk_fetch(vp, m.instruction_bytes, INSN_MAX);
    notify_intercept(vp, known ? HVMSG_GPA_INTERCEPT : HVMSG_UNMAPPED_GPA, &m, sizeof(m));
}

void child_fault(struct vp *vp, const struct exit *exit, enum access wanted, bool known)
{
    send_memory(vp, exit->fault.gpa, wanted, known, !exit->fault.exec && !exit->fault.table_walk);
}

bool child_denied(struct vp *vp, gpa_t at, enum access wanted)
{
    struct partition *p = vp->partition;

    if (!p->is_child || overlay_at(p, at) || !guest_denied(p, at, wanted))
        return false;
    /* No bytes: it is no instruction that the parent could carry out. */
    send_memory(vp, at, wanted, true, false);
    return true;
}

void child_unrecoverable(struct vp *vp, const struct exit *exit)
{
    struct hv_x64_unrecoverable_exception_message m;

    notify_header(vp, &m.header, 0, HV_INTERCEPT_ACCESS_EXECUTE);
    notify_intercept(vp, HVMSG_UNRECOVERABLE_EXCEPTION, &m, sizeof(m));
}
