/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include "abi/tlfs/hypercall.h"
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/management.h"
#include "abi/tlfs/register.h"
#include "abi/tlfs/synic.h"
#include "tests/vid/machine.h"

#define MEMORY_SIZE           (512 << 10)
#define PROGRAM_AT            0x1000
#define RUN_TIMEOUT_S         10
#define STEPS_MAX             50
#define MMIO_INSTRUCTION_SIZE 3 /* mov [0], al */

/* Runs at PROGRAM_AT with all segments at 0. */
extern const unsigned char program[], program_handler[], program_spin[], program_load[],
    program_store[], program_watch[], program_patrol[], program_signal[], program_end[];
asm(".pushsection .rodata\n"
    ".code16\n"
    "program:\n"
    "    movw $0x4000, %sp\n"
    "    movb $'K', %al\n"
    "    movw $0x3F8, %dx\n"
    "    outb %al, %dx\n"
    "    inb $0x71, %al\n"
    "    outb %al, $0x80\n"
    "    movw $0x8000, %bx\n"
    "    movw %bx, %ds\n"
    "    .byte 0xA2, 0, 0\n" /* movb %al, 0 */
    "    xorw %bx, %bx\n"
    "    movw %bx, %ds\n"
    "    xorl %eax, %eax\n"
    "    cpuid\n"
    "    movl %ebx, 0x3000\n"
    "    movl $0x1B, %ecx\n" /* IA32_APIC_BASE: x2APIC */
    "    rdmsr\n"
    "    orl $0xC00, %eax\n"
    "    wrmsr\n"
    "    movl $0x80F, %ecx\n" /* spurious vector register: enabled */
    "    movl $0x1FF, %eax\n"
    "    xorl %edx, %edx\n"
    "    wrmsr\n"
    "    movb $1, %al\n"
    "    outb %al, $0x81\n"
    "1:  sti\n"
    "    hlt\n"
    "    jmp 1b\n"
    "program_handler:\n"
    "    movb $2, %al\n"
    "    outb %al, $0x82\n"
    "    movl $0x80B, %ecx\n" /* end of interrupt */
    "    xorl %eax, %eax\n"
    "    xorl %edx, %edx\n"
    "    wrmsr\n"
    "    movb $3, %al\n"
    "    outb %al, $0x83\n"
    "    iret\n"
    "program_spin:\n"
    "    jmp program_spin\n"
    "program_load:\n"
    "    movl (%ebx), %eax\n"
    "    outl %eax, $0x84\n"
    "program_store:\n"
    "    movl %eax, (%ebx)\n"
    "    outl %eax, $0x84\n"
    "program_watch:\n"
    "    cmpl (%ebx), %eax\n"
    "    je program_watch\n"
    "    jmp program_load\n"
    /* From EBX to ESI, in steps of EDI: a word is its address xor EAX, and then xor EAX plus 1. */
    "program_patrol:\n"
    "    movl %ebx, %ecx\n"
    "1:  movl %eax, %edx\n"
    "    xorl %ecx, %edx\n"
    "    cmpl %edx, (%ecx)\n"
    "    jne 2f\n"
    "    leal 1(%eax), %edx\n"
    "    xorl %ecx, %edx\n"
    "    movl %edx, (%ecx)\n"
    "    addl %edi, %ecx\n"
    "    cmpl %esi, %ecx\n"
    "    jb 1b\n"
    "    incl %eax\n"
    "    outl %eax, $0x86\n"
    "    jmp program_patrol\n"
    "2:  movl %ecx, %eax\n"
    "    outl %eax, $0x85\n"
    "    jmp 2b\n"
    /* HvCallSignalEvent for connection EBX, in protected mode, and what it has answered. */
    "program_signal:\n"
    "    movl %ebx, %ebp\n"
    "    movl $0x40000000, %ecx\n" /* guest OS id */
    "    movl $1, %eax\n"
    "    xorl %edx, %edx\n"
    "    wrmsr\n"
    "    movl $0x40000001, %ecx\n" /* hypercall page */
    "    movl $0x6001, %eax\n"
    "    wrmsr\n"
    "    movl %cr0, %eax\n"
    "    orl $1, %eax\n"
    "    movl %eax, %cr0\n"
    "    movl $0x1005D, %eax\n"
    "    xorl %ebx, %ebx\n"
    "    movl %ebp, %ecx\n"
    "    .byte 0x0F, 0x01, 0xD9\n" /* vmmcall */
    "    outl %eax, $0x84\n"
    "program_end:\n"
    ".code64\n"
    ".popsection\n");

int machine_errno;

const char *explain(const char *format, ...)
{
    static char text[256];
    char fresh[sizeof(text)]; /* an earlier text may be among the arguments */
    va_list list;

    va_start(list, format);
    vsnprintf(fresh, sizeof(fresh), format, list);
    va_end(list);
    return memcpy(text, fresh, sizeof(text));
}

static const char *failed(const char *what)
{
    machine_errno = errno;
    return explain("%s: %s", what, strerror(errno));
}

long read_number(const char *file, const char *name)
{
    FILE *stream = fopen(file, "r");
    char word[64];
    long value, found = -1;

    while (stream && fscanf(stream, "%63s %ld", word, &value) == 2)
        if (!strcmp(word, name))
            found = value;
    if (stream)
        fclose(stream);
    return found;
}

int write_number(const char *file, long value)
{
    FILE *stream = fopen(file, "w");
    int bad = !stream;

    if (stream) {
        bad = fprintf(stream, "%ld\n", value) < 0;
        bad |= fclose(stream) != 0;
    }
    return bad;
}

static void nothing(int number)
{
    (void)number;
}

void machine_catch_alarm(void)
{
    struct sigaction action = {.sa_handler = nothing};

    sigaction(SIGALRM, &action, NULL);
}

static void set_alarm(unsigned int seconds, unsigned int us)
{
    struct itimerval timer = {.it_value = {seconds, us}};

    setitimer(ITIMER_REAL, &timer, NULL);
}

/* --- making one --- */

const char *machine_open(struct machine *m)
{
    m->device = open("/dev/mshv", O_RDWR | O_CLOEXEC);
    return m->device < 0 ? failed("open") : NULL;
}

const char *machine_create(struct machine *m)
{
    struct mshv_create_partition args = {.pt_flags =
                                             1 << MSHV_PT_BIT_LAPIC | 1 << MSHV_PT_BIT_X2APIC};

    m->partition = ioctl(m->device, MSHV_CREATE_PARTITION, &args);
    return m->partition < 0 ? failed("create") : NULL;
}

const char *machine_initialize(struct machine *m)
{
    return ioctl(m->partition, MSHV_INITIALIZE_PARTITION) ? failed("initialize") : NULL;
}

const char *machine_add_vp(struct machine *m)
{
    struct mshv_create_vp args = {.vp_index = 0};

    m->vp = ioctl(m->partition, MSHV_CREATE_VP, &args);
    return m->vp < 0 ? failed("create VP") : NULL;
}

/* The newest file about a partition: ids grow. */
static void find_debug_file(struct machine *m)
{
    DIR *folder = opendir("/sys/kernel/debug/bulkhead-vid");
    unsigned long long id, newest = 0;
    struct dirent *entry;

    while (folder && (entry = readdir(folder)))
        if (sscanf(entry->d_name, "partition-%llu", &id) == 1 && id >= newest)
            newest = id;
    if (folder)
        closedir(folder);
    snprintf(m->debug_file, sizeof(m->debug_file), "/sys/kernel/debug/bulkhead-vid/partition-%llu",
             newest);
}

static const char *call(int fd, unsigned int code, unsigned int reps, void *in, size_t size)
{
    struct mshv_root_hvcall args = {
        .code = (__u16)code, .reps = (__u16)reps, .in_sz = (__u16)size, .in_ptr = (__u64)in};

    if (ioctl(fd, MSHV_ROOT_HVCALL, &args))
        return explain("call %#x: %s, status %#x", code, strerror(errno), args.status);
    return NULL;
}

struct set_registers {
    struct hv_input_vp_registers header;
    struct hv_register_assoc list[12];
};

static const char *set_registers(struct machine *m, struct set_registers *in, unsigned int count)
{
    return call(m->partition, HVCALL_SET_VP_REGISTERS, count, in,
                sizeof(in->header) + count * sizeof(in->list[0]));
}

/* With data segments that reach everything, although the VP is in real mode. */
static const char *start_at(struct machine *m, unsigned long rip)
{
    static const unsigned int segments[] = {HV_X64_REGISTER_CS, HV_X64_REGISTER_DS,
                                            HV_X64_REGISTER_ES, HV_X64_REGISTER_SS};
    struct set_registers in = {.header = {0}};

    for (unsigned int i = 0; i < 4; i++) {
        in.list[i].name = segments[i];
        in.list[i].value.segment =
            i == 0 ? (struct hv_x64_segment_register){.limit = 0xFFFF, .attributes = 0x9B}
                   : (struct hv_x64_segment_register){.limit = ~0U, .attributes = 0x8093};
    }
    in.list[4].name = HV_X64_REGISTER_RIP;
    in.list[4].value.reg64 = rip;
    in.list[5].name = HV_X64_REGISTER_RFLAGS;
    in.list[5].value.reg64 = 2;
    return set_registers(m, &in, 6);
}

const char *machine_build(struct machine *m)
{
    const char *problem = machine_open(m);
    unsigned short *vector;

    if (!problem)
        problem = machine_create(m);
    if (!problem)
        problem = machine_initialize(m);
    if (problem)
        return problem;
    find_debug_file(m);
    m->bytes = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->bytes == MAP_FAILED)
        return failed("memory");
    memcpy(m->bytes + PROGRAM_AT, program, (size_t)(program_end - program));
    vector = (unsigned short *)(m->bytes + MACHINE_VECTOR * 4);
    vector[0] = (unsigned short)(PROGRAM_AT + (program_handler - program));
    vector[1] = 0;
    m->memory = (struct mshv_user_mem_region){.size = MEMORY_SIZE,
                                              .userspace_addr = (__u64)m->bytes,
                                              .flags = 1 << MSHV_SET_MEM_BIT_WRITABLE |
                                                       1 << MSHV_SET_MEM_BIT_EXECUTABLE};
    if (ioctl(m->partition, MSHV_SET_GUEST_MEMORY, &m->memory))
        return failed("map");
    problem = machine_add_vp(m);
    return problem ? problem : start_at(m, PROGRAM_AT);
}

void machine_close(struct machine *m)
{
    close(m->vp);
    close(m->partition);
    close(m->device);
    if (m->bytes)
        munmap(m->bytes, MEMORY_SIZE);
}

/* --- running it --- */

static const char *run(struct machine *m, struct hv_message *message)
{
    int result;

    set_alarm(RUN_TIMEOUT_S, 0);
    result = ioctl(m->vp, MSHV_RUN_VP, message);
    set_alarm(0, 0);
    if (result)
        return errno == EINTR ? "the VP had no intercept in time" : failed("run");
    return NULL;
}

/* Moves on over an instruction, with a new RAX if there is one. */
static const char *move_on(struct machine *m, const struct hv_x64_intercept_message_header *header,
                           unsigned int length, const __u64 *rax)
{
    struct set_registers in = {.header = {0}};

    in.list[0].name = HV_X64_REGISTER_RIP;
    in.list[0].value.reg64 = header->rip + length;
    in.list[1].name = HV_X64_REGISTER_RAX;
    in.list[1].value.reg64 = rax ? *rax : 0;
    return set_registers(m, &in, rax ? 2 : 1);
}

/* The next intercept is one of a port; then ITS message is in IO. */
static const char *run_to_port(struct machine *m, struct hv_x64_io_port_intercept_message *io)
{
    struct hv_message message;
    const char *problem = run(m, &message);

    if (problem)
        return problem;
    if (message.header.message_type != HVMSG_X64_IO_PORT_INTERCEPT)
        return explain("message %#x instead of a port's", message.header.message_type);
    memcpy(io, message.payload, sizeof(*io));
    if ((io->header.length_cr8 & 0xF) == 0)
        return "no length of the instruction";
    return NULL;
}

const char *machine_expect_out(struct machine *m, unsigned int port, unsigned int value)
{
    struct hv_x64_io_port_intercept_message io;
    const char *problem = run_to_port(m, &io);

    if (problem)
        return problem;
    if (io.port_number != port || io.header.intercept_access_type != HV_INTERCEPT_ACCESS_WRITE ||
        (io.access_info & HV_IO_ACCESS_SIZE_MASK) != 1 || (io.rax & 0xFF) != value)
        return explain("port %#x access %d size %d value %#llx instead of OUT %#x, %#x",
                       io.port_number, io.header.intercept_access_type, io.access_info & 7,
                       (unsigned long long)io.rax & 0xFF, port, value);
    return move_on(m, &io.header, io.header.length_cr8 & 0xF, NULL);
}

const char *machine_expect_in(struct machine *m, unsigned int port, unsigned int answer)
{
    struct hv_x64_io_port_intercept_message io;
    const char *problem = run_to_port(m, &io);
    __u64 rax;

    if (problem)
        return problem;
    if (io.port_number != port || io.header.intercept_access_type != HV_INTERCEPT_ACCESS_READ)
        return explain("port %#x access %d instead of IN %#x", io.port_number,
                       io.header.intercept_access_type, port);
    rax = (io.rax & ~0xFFULL) | answer;
    return move_on(m, &io.header, io.header.length_cr8 & 0xF, &rax);
}

const char *machine_expect_write(struct machine *m, __u64 address)
{
    struct hv_x64_memory_intercept_message memory;
    struct hv_message message;
    const char *problem = run(m, &message);

    if (problem)
        return problem;
    if (message.header.message_type != HVMSG_UNMAPPED_GPA)
        return explain("message %#x instead of a memory access", message.header.message_type);
    memcpy(&memory, message.payload, sizeof(memory));
    if (memory.guest_physical_address != address ||
        memory.header.intercept_access_type != HV_INTERCEPT_ACCESS_WRITE)
        return explain("access %d of %#llx", memory.header.intercept_access_type,
                       (unsigned long long)memory.guest_physical_address);
    return move_on(m, &memory.header, MMIO_INSTRUCTION_SIZE, NULL);
}

const char *machine_go_to(struct machine *m, unsigned int port)
{
    for (int i = 0; i < STEPS_MAX; i++) {
        struct hv_x64_intercept_message_header *header;
        struct hv_x64_io_port_intercept_message *io;
        struct hv_message message;
        const char *problem = run(m, &message);
        bool memory;

        if (problem)
            return problem;
        header = (void *)message.payload;
        io = (void *)message.payload;
        memory = message.header.message_type == HVMSG_UNMAPPED_GPA;
        if (!memory && message.header.message_type != HVMSG_X64_IO_PORT_INTERCEPT)
            return explain("message %#x", message.header.message_type);
        problem =
            move_on(m, header, memory ? MMIO_INSTRUCTION_SIZE : header->length_cr8 & 0xF, NULL);
        if (problem || (!memory && io->port_number == port))
            return problem;
    }
    return "too many intercepts";
}

const char *machine_next(struct machine *m, struct machine_exit *exit)
{
    struct hv_x64_memory_intercept_message memory;
    struct hv_x64_io_port_intercept_message io;
    struct hv_message message;
    const char *problem = run(m, &message);

    if (problem)
        return problem;
    *exit = (struct machine_exit){.type = message.header.message_type};
    switch (exit->type) {
    case HVMSG_X64_IO_PORT_INTERCEPT:
        memcpy(&io, message.payload, sizeof(io));
        exit->port = io.port_number;
        exit->value = (unsigned int)io.rax;
        return move_on(m, &io.header, io.header.length_cr8 & 0xF, NULL);
    case HVMSG_UNMAPPED_GPA:
    case HVMSG_GPA_INTERCEPT:
        memcpy(&memory, message.payload, sizeof(memory));
        exit->memory = true;
        exit->address = memory.guest_physical_address;
        exit->access = memory.header.intercept_access_type;
        return NULL;
    default:
        return explain("message %#x", exit->type);
    }
}

static const char *start_with(struct machine *m, const unsigned char *where, __u64 rax, __u64 rbx)
{
    struct set_registers in = {.header = {0}};
    const char *problem = start_at(m, PROGRAM_AT + (unsigned long)(where - program));

    in.list[0].name = HV_X64_REGISTER_RAX;
    in.list[0].value.reg64 = rax;
    in.list[1].name = HV_X64_REGISTER_RBX;
    in.list[1].value.reg64 = rbx;
    return problem ? problem : set_registers(m, &in, 2);
}

const char *machine_start_load(struct machine *m, unsigned int address)
{
    return start_with(m, program_load, 0, address);
}

const char *machine_start_store(struct machine *m, unsigned int address, unsigned int value)
{
    return start_with(m, program_store, value, address);
}

const char *machine_start_watch(struct machine *m, unsigned int address, unsigned int value)
{
    return start_with(m, program_watch, value, address);
}

const char *machine_start_patrol(struct machine *m, unsigned int start, unsigned int end,
                                 unsigned int step)
{
    struct set_registers in = {.header = {0}};
    const char *problem = start_with(m, program_patrol, 0, start);

    in.list[0].name = HV_X64_REGISTER_RSI;
    in.list[0].value.reg64 = end;
    in.list[1].name = HV_X64_REGISTER_RDI;
    in.list[1].value.reg64 = step;
    return problem ? problem : set_registers(m, &in, 2);
}

const char *machine_signal(struct machine *m, unsigned int connection, unsigned int *status)
{
    const char *problem = start_with(m, program_signal, 0, connection);

    return problem ? problem : machine_result(m, status);
}

const char *machine_result(struct machine *m, unsigned int *value)
{
    struct machine_exit exit;
    const char *problem = machine_next(m, &exit);

    if (problem)
        return problem;
    if (exit.memory)
        return explain("access %u of %#llx came to user space", exit.access,
                       (unsigned long long)exit.address);
    *value = exit.value;
    return NULL;
}

const char *machine_load(struct machine *m, unsigned int address, unsigned int *value)
{
    const char *problem = machine_start_load(m, address);

    return problem ? problem : machine_result(m, value);
}

const char *machine_store(struct machine *m, unsigned int address, unsigned int value)
{
    const char *problem = machine_start_store(m, address, value);
    unsigned int same;

    return problem ? problem : machine_result(m, &same);
}

const char *machine_give(struct machine *m, unsigned int address, void *memory, size_t size,
                         unsigned int flags)
{
    struct mshv_user_mem_region region = {.size = size,
                                          .guest_pfn = address >> 12,
                                          .userspace_addr = (__u64)memory,
                                          .flags = (__u8)flags};

    return ioctl(m->partition, MSHV_SET_GUEST_MEMORY, &region) ? failed("memory") : NULL;
}

const char *machine_track(struct machine *m)
{
    struct hv_input_set_partition_property in = {
        .property_code = HV_PARTITION_PROPERTY_GPA_PAGE_ACCESS_TRACKING, .property_value = 1};

    return call(m->partition, HVCALL_SET_PARTITION_PROPERTY, 0, &in, sizeof(in));
}

const char *machine_spin(struct machine *m)
{
    return start_at(m, PROGRAM_AT + (unsigned long)(program_spin - program));
}

const char *machine_run_interrupted(struct machine *m, unsigned int after_us)
{
    struct hv_message message;
    int result;

    set_alarm(0, after_us);
    result = ioctl(m->vp, MSHV_RUN_VP, &message);
    if (result == 0)
        return explain("message %#x", message.header.message_type);
    return errno == EINTR ? NULL : failed("run");
}

const char *machine_assert(struct machine *m, unsigned int vector)
{
    struct hv_input_assert_virtual_interrupt in = {.control = HV_X64_INTERRUPT_TYPE_FIXED,
                                                   .vector = vector};

    return call(m->partition, HVCALL_ASSERT_VIRTUAL_INTERRUPT, 0, &in, sizeof(in));
}

const char *machine_route(struct machine *m, unsigned int gsi, unsigned int vector, bool level)
{
    struct {
        struct mshv_user_irq_table table;
        struct mshv_user_irq_entry entry;
    } args = {
        .table = {.nr = 1},
        .entry = {.gsi = gsi, .address_lo = 0xFEE00000, .data = vector | (level ? 1U << 15 : 0)}};

    return ioctl(m->partition, MSHV_SET_MSI_ROUTING, &args) ? failed("route") : NULL;
}
