/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "abi/tlfs/intercept.h"
#include "vmwp/hv_mshv_priv.h"

#define LENGTH_MASK 0x0FU
#define CS_LONG     0x2000U /* L of a code segment's attributes */

static void bytes_copy(struct hv_exit *exit, const uint8_t *bytes, uint8_t count)
{
    exit->byte_count = count < sizeof(exit->bytes) ? count : sizeof(exit->bytes);
    memcpy(exit->bytes, bytes, exit->byte_count);
}

static void io_decode(const struct hv_message *m, struct hv_exit *exit)
{
    struct hv_x64_io_port_intercept_message io;
    uint8_t length;

    memcpy(&io, m->payload, sizeof(io));
    length = io.header.length_cr8 & LENGTH_MASK;
    exit->kind = HV_EXIT_IO;
    exit->io = (struct hv_exit_io){
        .port = io.port_number,
        .size = io.access_info & HV_IO_ACCESS_SIZE_MASK,
        .write = io.header.intercept_access_type == HV_INTERCEPT_ACCESS_WRITE,
        .string = io.access_info & HV_IO_ACCESS_STRING,
        .rep = io.access_info & HV_IO_ACCESS_REP,
        .rax = io.rax,
        .next_rip = length ? io.header.rip + length : 0,
    };
    bytes_copy(exit, io.instruction_bytes, io.instruction_byte_count);
    if (exit->io.size != 1 && exit->io.size != 2 && exit->io.size != 4)
        exit->kind = HV_EXIT_OTHER;
}

static void memory_decode(const struct hv_message *m, struct hv_exit *exit)
{
    struct hv_x64_memory_intercept_message mem;

    memcpy(&mem, m->payload, sizeof(mem));
    exit->kind = HV_EXIT_MEMORY;
    exit->memory = (struct hv_exit_memory){
        .gpa = mem.guest_physical_address,
        .gva = mem.guest_virtual_address,
        .gva_valid = mem.memory_access_info & HV_MEMORY_ACCESS_GVA_VALID,
        .write = mem.header.intercept_access_type == HV_INTERCEPT_ACCESS_WRITE,
    };
    bytes_copy(exit, mem.instruction_bytes, mem.instruction_byte_count);
}

static void eoi_decode(const struct hv_message *m, struct hv_exit *exit)
{
    struct hv_x64_apic_eoi_message eoi;

    memcpy(&eoi, m->payload, sizeof(eoi));
    exit->kind = HV_EXIT_EOI;
    exit->vector = (uint8_t)eoi.interrupt_vector;
}

/* Which registers hold it is a matter of the mode (TLFS "Hypercall Inputs"). */
static void call_decode(const struct hv_message *m, struct hv_exit *exit)
{
    struct hv_x64_hypercall_intercept_message call;

    memcpy(&call, m->payload, sizeof(call));
    exit->kind = HV_EXIT_CALL;
    exit->call.next_rip = call.header.rip + (call.header.length_cr8 & LENGTH_MASK);
    exit->call.long_mode = call.header.execution_state & HV_EXECUTION_STATE_EFER_LMA &&
                           call.header.cs_segment.attributes & CS_LONG;
    if (exit->call.long_mode) {
        exit->call.control = call.rcx;
        exit->call.input = call.rdx;
    } else {
        exit->call.control = call.rdx << 32 | (uint32_t)call.rax;
        exit->call.input = call.rbx << 32 | (uint32_t)call.rcx;
    }
}

static void sints_decode(const struct hv_message *m, struct hv_exit *exit)
{
    struct hv_x64_synic_sint_deliverable_message sints;

    memcpy(&sints, m->payload, sizeof(sints));
    exit->kind = HV_EXIT_SINTS;
    exit->sints = sints.deliverable_sints;
}

void hv_exit_decode(const struct hv_message *m, struct hv_exit *exit)
{
    *exit = (struct hv_exit){.kind = HV_EXIT_OTHER, .type = m->header.message_type};
    switch (m->header.message_type) {
    case HVMSG_X64_IO_PORT_INTERCEPT:
        io_decode(m, exit);
        break;
    case HVMSG_UNMAPPED_GPA:
    case HVMSG_GPA_INTERCEPT:
        memory_decode(m, exit);
        break;
    case HVMSG_X64_APIC_EOI:
        eoi_decode(m, exit);
        break;
    case HVMSG_HYPERCALL_INTERCEPT:
        call_decode(m, exit);
        break;
    case HVMSG_SYNIC_SINT_DELIVERABLE:
        sints_decode(m, exit);
        break;
    case HVMSG_UNRECOVERABLE_EXCEPTION:
        exit->kind = HV_EXIT_FATAL;
        break;
    default:
        break;
    }
}
