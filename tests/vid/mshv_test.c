/* SPDX-License-Identifier: MIT */
/*
 * Exercises /dev/mshv in a parent partition: every ioctl with good and bad input, and a tiny
 * child. Prints a result line per case (tools/bh/report.py). Each case is a process of its own,
 * whose end is bounded; what it leaves open is closed by its death, which is part of the test.
 *
 *   mshv_test [CASE...]
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <poll.h>
#include <unistd.h>
#include "abi/mshv.h"
#include "tests/vid/demand.h"
#include "tests/vid/event.h"
#include "tests/vid/machine.h"

#define CASE_TIMEOUT_S 60
#define MEMORY_FILE    "/sys/kernel/debug/bulkhead-vid/memory"
#define FAIL_FILE      "/sys/kernel/debug/bulkhead-vid/fail_deposit"
#define DEBUG_FOLDER   "/sys/kernel/debug/bulkhead-vid"

/* --- bad input: what each descriptor answers --- */

/* FRESH: a partition that is not initialized. WITH_VP: a partition that has VP 0. */
enum where { DEVICE, FRESH, READY, WITH_VP, VP };

struct refusal {
    const char *name;
    enum where where;
    unsigned long command;
    const void *argument; /* copied to writable memory; NULL: the null pointer */
    size_t size;
    int error;
};

#define BAD ((const void *)1) /* the argument is an address that is not mapped */
#define ROW(what, where, command, type, error, ...)                                                \
    {                                                                                              \
        what, where, command, &(const struct type){__VA_ARGS__}, sizeof(struct type), error        \
    }
static unsigned char page[4096] __attribute__((aligned(4096)));
static unsigned char two_pages[8192] __attribute__((aligned(4096)));

static const struct refusal refusals[] = {
    {"device: unknown ioctl", DEVICE, _IO(MSHV_IOCTL, 0x7F), NULL, 0, ENOTTY},
    {"device: null", DEVICE, MSHV_CREATE_PARTITION, NULL, 0, EFAULT},
    {"device: unmapped", DEVICE, MSHV_CREATE_PARTITION, BAD, 0, EFAULT},
    ROW("device: flags", DEVICE, MSHV_CREATE_PARTITION, mshv_create_partition, EINVAL,
        .pt_flags = 1ULL << MSHV_PT_BIT_COUNT),
    ROW("device: high flags", DEVICE, MSHV_CREATE_PARTITION, mshv_create_partition, EINVAL,
        .pt_flags = 1ULL << 63),
    ROW("device: isolation", DEVICE, MSHV_CREATE_PARTITION, mshv_create_partition, EINVAL,
        .pt_isolation = MSHV_PT_ISOLATION_COUNT),
    ROW("device: v2 banks", DEVICE, MSHV_CREATE_PARTITION, mshv_create_partition_v2, EINVAL,
        .pt_flags = 1 << MSHV_PT_BIT_CPU_AND_XSAVE_FEATURES, .pt_num_cpu_fbanks = 1),
    ROW("device: v2 reserved", DEVICE, MSHV_CREATE_PARTITION, mshv_create_partition_v2, EINVAL,
        .pt_flags = 1 << MSHV_PT_BIT_CPU_AND_XSAVE_FEATURES, .pt_num_cpu_fbanks = 2,
        .pt_rsvd = {0, 0, 1}),
    ROW("device: v2 reserved1", DEVICE, MSHV_CREATE_PARTITION, mshv_create_partition_v2, EINVAL,
        .pt_flags = 1 << MSHV_PT_BIT_CPU_AND_XSAVE_FEATURES, .pt_num_cpu_fbanks = 2,
        .pt_rsvd1 = {0, 1}),
    ROW("device: call of a partition", DEVICE, MSHV_ROOT_HVCALL, mshv_root_hvcall, EINVAL,
        .code = 0x50, .reps = 1, .in_sz = 24, .in_ptr = (__u64)page),
    {"partition: unknown ioctl", READY, _IO(MSHV_IOCTL, 0x7F), NULL, 0, ENOTTY},
    {"partition: ioctl of a VP", READY, MSHV_GET_VP_STATE, NULL, 0, ENOTTY},
    ROW("partition: VP before initialize", FRESH, MSHV_CREATE_VP, mshv_create_vp, EIO, 0),
    {"vp: null", READY, MSHV_CREATE_VP, NULL, 0, EFAULT},
    ROW("vp: index", READY, MSHV_CREATE_VP, mshv_create_vp, EINVAL, 256),
    ROW("vp: huge index", READY, MSHV_CREATE_VP, mshv_create_vp, EINVAL, ~0U),
    ROW("vp: exists", WITH_VP, MSHV_CREATE_VP, mshv_create_vp, EEXIST, 0),
    {"memory: unmapped", READY, MSHV_SET_GUEST_MEMORY, BAD, 0, EFAULT},
    ROW("memory: empty", READY, MSHV_SET_GUEST_MEMORY, mshv_user_mem_region, EINVAL,
        .userspace_addr = (__u64)page),
    ROW("memory: size", READY, MSHV_SET_GUEST_MEMORY, mshv_user_mem_region, EINVAL, .size = 4095,
        .userspace_addr = (__u64)page),
    ROW("memory: alignment", READY, MSHV_SET_GUEST_MEMORY, mshv_user_mem_region, EINVAL,
        .size = 4096, .userspace_addr = (__u64)page + 8),
    ROW("memory: flags", READY, MSHV_SET_GUEST_MEMORY, mshv_user_mem_region, EINVAL, .size = 4096,
        .userspace_addr = (__u64)page, .flags = 1 << MSHV_SET_MEM_BIT_COUNT),
    ROW("memory: reserved", READY, MSHV_SET_GUEST_MEMORY, mshv_user_mem_region, EINVAL,
        .size = 4096, .userspace_addr = (__u64)page, .rsvd = {0, 0, 0, 0, 0, 0, 1}),
    ROW("memory: null address", READY, MSHV_SET_GUEST_MEMORY, mshv_user_mem_region, EINVAL,
        .size = 4096),
    ROW("memory: kernel address", READY, MSHV_SET_GUEST_MEMORY, mshv_user_mem_region, EINVAL,
        .size = 4096, .userspace_addr = 0xFFFF888000000000ULL),
    ROW("memory: guest address", READY, MSHV_SET_GUEST_MEMORY, mshv_user_mem_region, EINVAL,
        .size = 4096, .userspace_addr = (__u64)page, .guest_pfn = ~0ULL),
    ROW("memory: unmap guest address", READY, MSHV_SET_GUEST_MEMORY, mshv_user_mem_region, EINVAL,
        .size = 8192, .userspace_addr = (__u64)two_pages, .guest_pfn = (1ULL << 40) - 1,
        .flags = 1 << MSHV_SET_MEM_BIT_UNMAP),
    ROW("irqfd: flags", READY, MSHV_IRQFD, mshv_user_irqfd, EINVAL, .fd = -1,
        .flags = 1 << MSHV_IRQFD_BIT_COUNT),
    ROW("irqfd: descriptor", READY, MSHV_IRQFD, mshv_user_irqfd, EBADF, .fd = -1),
    ROW("irqfd: not an eventfd", READY, MSHV_IRQFD, mshv_user_irqfd, EINVAL, .fd = 1),
    ROW("irqfd: deassign nothing", READY, MSHV_IRQFD, mshv_user_irqfd, EBADF, .fd = -1,
        .flags = 1 << MSHV_IRQFD_BIT_DEASSIGN),
    ROW("ioeventfd: port", READY, MSHV_IOEVENTFD, mshv_user_ioeventfd, EOPNOTSUPP, .fd = -1,
        .len = 1, .flags = 1 << MSHV_IOEVENTFD_BIT_PIO),
    ROW("ioeventfd: length", READY, MSHV_IOEVENTFD, mshv_user_ioeventfd, EINVAL, .len = 3,
        .fd = -1),
    ROW("ioeventfd: range", READY, MSHV_IOEVENTFD, mshv_user_ioeventfd, EINVAL, .len = 8,
        .addr = ~0ULL, .fd = -1),
    ROW("ioeventfd: flags", READY, MSHV_IOEVENTFD, mshv_user_ioeventfd, EINVAL, .len = 8,
        .flags = 1 << MSHV_IOEVENTFD_BIT_COUNT),
    ROW("ioeventfd: reserved", READY, MSHV_IOEVENTFD, mshv_user_ioeventfd, EINVAL, .len = 8,
        .rsvd = {1}),
    ROW("ioeventfd: descriptor", READY, MSHV_IOEVENTFD, mshv_user_ioeventfd, EBADF, .len = 8,
        .fd = -1),
    ROW("routing: count", READY, MSHV_SET_MSI_ROUTING, mshv_user_irq_table, EINVAL, .nr = 4097),
    ROW("routing: reserved", READY, MSHV_SET_MSI_ROUTING, mshv_user_irq_table, EINVAL, .rsvd = 1),
    ROW("bitmap: type", READY, MSHV_GET_GPAP_ACCESS_BITMAP, mshv_gpap_access_bitmap, EINVAL,
        .access_type = MSHV_GPAP_ACCESS_TYPE_COUNT, .page_count = 1, .bitmap_ptr = (__u64)page),
    ROW("bitmap: operation", READY, MSHV_GET_GPAP_ACCESS_BITMAP, mshv_gpap_access_bitmap, EINVAL,
        .access_op = MSHV_GPAP_ACCESS_OP_COUNT, .page_count = 1, .bitmap_ptr = (__u64)page),
    ROW("bitmap: reserved", READY, MSHV_GET_GPAP_ACCESS_BITMAP, mshv_gpap_access_bitmap, EINVAL,
        .rsvd = {1}, .page_count = 1, .bitmap_ptr = (__u64)page),
    ROW("bitmap: no pages", READY, MSHV_GET_GPAP_ACCESS_BITMAP, mshv_gpap_access_bitmap, EINVAL,
        .bitmap_ptr = (__u64)page),
    ROW("bitmap: too many", READY, MSHV_GET_GPAP_ACCESS_BITMAP, mshv_gpap_access_bitmap, E2BIG,
        .page_count = ~0ULL, .bitmap_ptr = (__u64)page),
    ROW("hypercall: not listed", READY, MSHV_ROOT_HVCALL, mshv_root_hvcall, EINVAL, .code = 0x43,
        .in_sz = 8, .in_ptr = (__u64)page),
    ROW("hypercall: no input", READY, MSHV_ROOT_HVCALL, mshv_root_hvcall, EINVAL, .code = 0x44,
        .in_sz = 16),
    ROW("hypercall: short input", READY, MSHV_ROOT_HVCALL, mshv_root_hvcall, EINVAL, .code = 0x44,
        .in_sz = 4, .in_ptr = (__u64)page),
    ROW("hypercall: long input", READY, MSHV_ROOT_HVCALL, mshv_root_hvcall, EINVAL, .code = 0x44,
        .in_sz = 4104, .in_ptr = (__u64)page),
    ROW("hypercall: long output", READY, MSHV_ROOT_HVCALL, mshv_root_hvcall, EINVAL, .code = 0x44,
        .in_sz = 16, .in_ptr = (__u64)page, .out_sz = 4104, .out_ptr = (__u64)page),
    ROW("hypercall: status", READY, MSHV_ROOT_HVCALL, mshv_root_hvcall, EINVAL, .code = 0x44,
        .in_sz = 16, .in_ptr = (__u64)page, .status = 1),
    ROW("hypercall: reserved", READY, MSHV_ROOT_HVCALL, mshv_root_hvcall, EINVAL, .code = 0x44,
        .in_sz = 16, .in_ptr = (__u64)page, .rsvd = {0, 0, 0, 0, 0, 1}),
    ROW("hypercall: unmapped input", READY, MSHV_ROOT_HVCALL, mshv_root_hvcall, EFAULT,
        .code = 0x44, .in_sz = 16, .in_ptr = 1),
    ROW("hypercall: set property on a VP", VP, MSHV_ROOT_HVCALL, mshv_root_hvcall, EINVAL,
        .code = 0x45, .in_sz = 24, .in_ptr = (__u64)page),
    {"vp: unknown ioctl", VP, _IO(MSHV_IOCTL, 0x7F), NULL, 0, ENOTTY},
    ROW("state: type", VP, MSHV_GET_VP_STATE, mshv_get_set_vp_state, EINVAL,
        .type = MSHV_VP_STATE_COUNT, .buf_sz = 4096, .buf_ptr = (__u64)page),
    ROW("state: reserved", VP, MSHV_GET_VP_STATE, mshv_get_set_vp_state, EINVAL, .rsvd = {1},
        .buf_sz = 4096, .buf_ptr = (__u64)page),
    ROW("state: size", VP, MSHV_GET_VP_STATE, mshv_get_set_vp_state, EINVAL, .buf_sz = 100,
        .buf_ptr = (__u64)page),
    ROW("state: alignment", VP, MSHV_GET_VP_STATE, mshv_get_set_vp_state, EINVAL, .buf_sz = 4096,
        .buf_ptr = (__u64)two_pages + 8),
    ROW("state: unmapped", VP, MSHV_GET_VP_STATE, mshv_get_set_vp_state, EFAULT, .buf_sz = 4096,
        .buf_ptr = 0x1000),
    ROW("state: set, unmapped", VP, MSHV_SET_VP_STATE, mshv_get_set_vp_state, EFAULT,
        .type = MSHV_VP_STATE_SYNTHETIC_TIMERS, .buf_sz = 4096, .buf_ptr = 0x1000),
};

static const char *refuse(const struct refusal *row)
{
    static unsigned char argument[256];
    struct machine m = MACHINE_NONE;
    const char *problem = machine_open(&m);
    int fd, got;

    if (!problem && row->where != DEVICE)
        problem = machine_create(&m);
    if (!problem && row->where != DEVICE && row->where != FRESH)
        problem = machine_initialize(&m);
    if (!problem && row->where >= WITH_VP)
        problem = machine_add_vp(&m);
    if (problem)
        return problem;
    fd = row->where == DEVICE ? m.device : row->where == VP ? m.vp : m.partition;
    if (row->argument && row->argument != BAD)
        memcpy(argument, row->argument, row->size);
    got = ioctl(fd, row->command, row->size ? argument : row->argument);
    return got < 0 && errno == row->error
               ? NULL
               : explain("result %d, %s; %s was expected", got,
                         got < 0 ? strerror(errno) : "no error", strerror(row->error));
}

/* --- partitions and memory --- */

static const char *test_versions(void)
{
    struct mshv_create_partition_v2 args = {
        .pt_flags = 1 << MSHV_PT_BIT_LAPIC | 1 << MSHV_PT_BIT_X2APIC |
                    1 << MSHV_PT_BIT_CPU_AND_XSAVE_FEATURES,
        .pt_num_cpu_fbanks = 2,
    };
    struct machine m = MACHINE_NONE;
    const char *problem = machine_open(&m);

    if (problem)
        return problem;
    m.partition = ioctl(m.device, MSHV_CREATE_PARTITION, &args);
    if (m.partition < 0)
        return explain("v2: %s", strerror(errno));
    return machine_initialize(&m);
}

static const char *test_initialize_twice(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_open(&m);

    if (!problem)
        problem = machine_create(&m);
    if (!problem)
        problem = machine_initialize(&m);
    return problem ? problem : machine_initialize(&m);
}

static const char *test_memory(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    struct mshv_user_mem_region region = m.memory;

    if (problem)
        return problem;
    region.guest_pfn++;
    if (!ioctl(m.partition, MSHV_SET_GUEST_MEMORY, &region) || errno != EEXIST)
        return "an overlapping region was not refused";
    region = m.memory;
    region.flags = 1 << MSHV_SET_MEM_BIT_UNMAP;
    region.size -= 4096;
    if (!ioctl(m.partition, MSHV_SET_GUEST_MEMORY, &region) || errno != EINVAL)
        return "a part of a region was unmapped";
    region.size += 4096;
    if (ioctl(m.partition, MSHV_SET_GUEST_MEMORY, &region))
        return explain("unmap: %s", strerror(errno));
    if (ioctl(m.partition, MSHV_SET_GUEST_MEMORY, &region))
        return explain("unmap what is not mapped: %s", strerror(errno));
    if (ioctl(m.partition, MSHV_SET_GUEST_MEMORY, &m.memory))
        return explain("map again: %s", strerror(errno));
    return NULL;
}

/* Read-only memory cannot be given writable, and what has no memory behind it cannot be given. */
static const char *test_memory_rights(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    struct mshv_user_mem_region region = {.size = 8192, .guest_pfn = 0x1000};
    unsigned char *memory = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (problem || memory == MAP_FAILED)
        return problem ? problem : "no memory";
    region.userspace_addr = (__u64)memory;
    region.flags = 1 << MSHV_SET_MEM_BIT_WRITABLE;
    if (!ioctl(m.partition, MSHV_SET_GUEST_MEMORY, &region) || errno != EFAULT)
        return "read-only memory was given writable";
    munmap(memory + 4096, 4096);
    region.flags = 0;
    if (!ioctl(m.partition, MSHV_SET_GUEST_MEMORY, &region) || errno != EFAULT)
        return "a hole was given to the guest";
    region.size = 4096;
    if (ioctl(m.partition, MSHV_SET_GUEST_MEMORY, &region))
        return explain("read-only: %s", strerror(errno));
    return NULL;
}

static const char *test_large_pages(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    size_t size = 8 << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *start = (char *)(((unsigned long)memory + 0x1FFFFF) & ~0x1FFFFFUL);
    struct mshv_user_mem_region region = {.size = 4 << 20, .guest_pfn = 0x400};
    unsigned int value;
    long large;

    if (problem || memory == MAP_FAILED)
        return problem ? problem : "no memory";
    madvise(memory, size, MADV_HUGEPAGE);
    memset(start, 1, 4 << 20);
    region.userspace_addr = (__u64)start;
    region.flags = 1 << MSHV_SET_MEM_BIT_WRITABLE;
    if (ioctl(m.partition, MSHV_SET_GUEST_MEMORY, &region))
        return explain("map: %s", strerror(errno));
    problem = machine_load(&m, 4 << 20, &value);
    if (problem)
        return problem;
    large = read_number(m.debug_file, "large_pages");
    region.flags = 1 << MSHV_SET_MEM_BIT_UNMAP;
    if (ioctl(m.partition, MSHV_SET_GUEST_MEMORY, &region))
        return explain("unmap: %s", strerror(errno));
    if (value != 0x01010101)
        return explain("the guest read %#x", value);
    return large == 0 ? "skip: the kernel gave no large pages" : NULL;
}

static const char *test_access_bitmap(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    unsigned char bits[32];
    struct mshv_gpap_access_bitmap args = {
        .access_type = MSHV_GPAP_ACCESS_TYPE_DIRTY, .page_count = 5, .bitmap_ptr = (__u64)bits};

    if (problem)
        return problem;
    memset(bits, 0xFF, sizeof(bits));
    if (ioctl(m.partition, MSHV_GET_GPAP_ACCESS_BITMAP, &args))
        return errno == EINVAL || errno == EIO ? "skip: tracking is off"
                                               : explain("bitmap: %s", strerror(errno));
    return bits[0] & 0xE0 || bits[1] != 0xFF ? "bits beyond the last page" : NULL;
}

/* --- the child --- */

static const char *test_child(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);

    if (!problem)
        problem = machine_expect_out(&m, 0x3F8, 'K');
    if (!problem)
        problem = machine_expect_in(&m, 0x71, 0x5A);
    if (!problem)
        problem = machine_expect_out(&m, 0x80, 0x5A);
    if (!problem)
        problem = machine_expect_write(&m, MACHINE_MMIO);
    if (!problem)
        problem = machine_expect_out(&m, 0x81, 0x01);
    if (!problem && *(unsigned int *)(m.bytes + MACHINE_CPUID_AT) == 0)
        problem = "CPUID said nothing";
    return problem;
}

static const char *test_interrupt(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);

    if (!problem)
        problem = machine_go_to(&m, 0x81);
    if (!problem)
        problem = machine_assert(&m, MACHINE_VECTOR);
    /* The child waits in HLT, or will. */
    return problem ? problem : machine_expect_out(&m, 0x82, 0x02);
}

struct late {
    int fd;
    unsigned int delay_us;
};

static void *signal_late(void *data)
{
    const struct late *late = data;
    __u64 one = 1;

    usleep(late->delay_us);
    return write(late->fd, &one, sizeof(one)) < 0 ? data : NULL;
}

static const char *test_irqfd(void)
{
    struct machine m = MACHINE_NONE;
    struct late late = {.fd = eventfd(0, EFD_CLOEXEC), .delay_us = 300000};
    struct mshv_user_irqfd irqfd = {.fd = late.fd, .gsi = 5};
    const char *problem = machine_build(&m);
    pthread_t thread;

    if (!problem)
        problem = machine_go_to(&m, 0x81);
    if (problem)
        return problem;
    if (ioctl(m.partition, MSHV_IRQFD, &irqfd))
        return explain("assign: %s", strerror(errno));
    if (!ioctl(m.partition, MSHV_IRQFD, &irqfd) || errno != EBUSY)
        return "an eventfd was taken twice";
    problem = machine_route(&m, 5, MACHINE_VECTOR, false);
    if (problem)
        return problem;
    pthread_create(&thread, NULL, signal_late, &late);
    problem = machine_expect_out(&m, 0x82, 0x02);
    pthread_join(thread, NULL);
    irqfd.flags = 1 << MSHV_IRQFD_BIT_DEASSIGN;
    if (!problem && ioctl(m.partition, MSHV_IRQFD, &irqfd))
        problem = explain("deassign: %s", strerror(errno));
    return problem;
}

static const char *test_resample(void)
{
    struct machine m = MACHINE_NONE;
    int trigger = eventfd(0, EFD_CLOEXEC), resample = eventfd(0, EFD_CLOEXEC);
    struct mshv_user_irqfd irqfd = {
        .fd = trigger, .resamplefd = resample, .gsi = 6, .flags = 1 << MSHV_IRQFD_BIT_RESAMPLE};
    struct pollfd wait = {.fd = resample, .events = POLLIN};
    const char *problem = machine_build(&m);
    __u64 one = 1;

    if (!problem)
        problem = machine_route(&m, 6, MACHINE_VECTOR, false);
    if (problem)
        return problem;
    if (!ioctl(m.partition, MSHV_IRQFD, &irqfd) || errno != EINVAL)
        return "an edge was to be resampled";
    problem = machine_route(&m, 6, MACHINE_VECTOR, true);
    if (!problem && ioctl(m.partition, MSHV_IRQFD, &irqfd))
        problem = explain("assign: %s", strerror(errno));
    if (!problem)
        problem = machine_go_to(&m, 0x81);
    if (problem)
        return problem;
    if (write(trigger, &one, sizeof(one)) != sizeof(one))
        return "the eventfd cannot be signalled";
    problem = machine_expect_out(&m, 0x82, 0x02);
    if (!problem)
        problem = machine_expect_out(&m, 0x83, 0x03); /* after the end of the interrupt */
    if (!problem && poll(&wait, 1, 5000) != 1)
        problem = "no resampling";
    return problem;
}

/* The doorbell rings, and the access is no intercept: the next is the OUT behind it. */
static const char *test_doorbell(void)
{
    struct machine m = MACHINE_NONE;
    int eventfd_ = eventfd(0, EFD_CLOEXEC);
    struct mshv_user_ioeventfd args = {.addr = MACHINE_MMIO, .len = 1, .fd = eventfd_};
    struct pollfd wait = {.fd = eventfd_, .events = POLLIN};
    const char *problem = machine_build(&m);

    if (!problem)
        problem = machine_go_to(&m, 0x80);
    if (problem)
        return problem;
    if (ioctl(m.partition, MSHV_IOEVENTFD, &args))
        return errno == EINVAL ? "skip: the hypervisor has no ports"
                               : explain("assign: %s", strerror(errno));
    if (!ioctl(m.partition, MSHV_IOEVENTFD, &args) || errno != EEXIST)
        return "two doorbells for one write";
    problem = machine_expect_out(&m, 0x81, 0x01);
    if (!problem && poll(&wait, 1, 5000) != 1)
        problem = "the doorbell did not ring";
    args.flags = 1 << MSHV_IOEVENTFD_BIT_DEASSIGN;
    if (!problem && ioctl(m.partition, MSHV_IOEVENTFD, &args))
        problem = explain("deassign: %s", strerror(errno));
    if (!problem && (!ioctl(m.partition, MSHV_IOEVENTFD, &args) || errno != ENOENT))
        problem = "a doorbell was deassigned twice";
    return problem;
}

/* A VP that runs without intercepts comes back by a signal, again and again. */
static const char *test_signal(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);

    if (!problem)
        problem = machine_spin(&m);
    for (int i = 0; i < 20 && !problem; i++)
        problem = machine_run_interrupted(&m, 1000 + i * 500);
    return problem;
}

static const char *test_state(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    struct mshv_get_set_vp_state args;

    for (int type = 0; type < MSHV_VP_STATE_COUNT && !problem; type++) {
        args = (struct mshv_get_set_vp_state){
            .type = type, .buf_sz = sizeof(two_pages), .buf_ptr = (__u64)two_pages};
        if (ioctl(m.vp, MSHV_GET_VP_STATE, &args)) {
            if (errno == EINVAL && args.buf_sz <= sizeof(two_pages))
                return "skip: the hypervisor has no such call";
            return explain("get %d: %s", type, strerror(errno));
        }
        args.buf_sz = sizeof(two_pages);
        if (ioctl(m.vp, MSHV_SET_VP_STATE, &args))
            problem = explain("set %d: %s", type, strerror(errno));
    }
    return problem;
}

static const char *test_mmap(void)
{
    static const struct {
        off_t offset;
        size_t size;
        int error;
    } rows[] = {
        {0, 4096, 0}, {1, 4096, 0}, {2, 4096, ENODEV}, {3, 4096, EINVAL}, {0, 8192, EINVAL}};
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && !problem; i++) {
        void *got = mmap(NULL, rows[i].size, PROT_READ | PROT_WRITE, MAP_SHARED, m.vp,
                         rows[i].offset * 4096);

        if (got == MAP_FAILED ? errno != rows[i].error : rows[i].error != 0)
            problem = explain("offset %ld, size %zu", (long)rows[i].offset, rows[i].size);
        else if (got != MAP_FAILED && *(volatile unsigned char *)got == 0xEE)
            problem = "unlikely content";
    }
    return problem;
}

/* --- ends at bad moments --- */

static void *run_on(void *data)
{
    struct machine *m = data;
    struct mshv_run_vp message;

    ioctl(m->vp, MSHV_RUN_VP, &message);
    return NULL;
}

/* Descriptors are closed while the VP runs; a mapping of its page is left as well. */
static const char *test_close_while_running(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    pthread_t thread;
    void *got;

    if (!problem)
        problem = machine_spin(&m);
    if (problem)
        return problem;
    got = mmap(NULL, 4096, PROT_READ, MAP_SHARED, m.vp, 4096);
    pthread_create(&thread, NULL, run_on, &m);
    usleep(100000);
    close(m.partition);
    close(m.vp);
    close(m.device);
    usleep(100000);
    pthread_kill(thread, SIGALRM);
    pthread_join(thread, NULL);
    return got == MAP_FAILED || *(volatile int *)got == -1 ? "the page is gone" : NULL;
}

static const char *test_killed_owner(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct machine m = MACHINE_NONE;

        if (machine_build(&m) || machine_spin(&m))
            _exit(1);
        run_on(&m);
        _exit(2);
    }
    usleep(700000);
    kill(child, SIGKILL);
    if (waitpid(child, &status, 0) != child)
        return "the owner did not end";
    return WIFSIGNALED(status) ? NULL : explain("the owner ended before, status %x", status);
}

/* Each deposit fails once. What was made up to then is taken back, which test_leaks sees. */
static const char *test_failing_deposits(void)
{
    struct machine m;
    int n, status;

    for (n = 1; n < 200; n++) {
        pid_t child;

        if (write_number(FAIL_FILE, n))
            return "skip: no debugfs";
        child = fork();
        if (child == 0) {
            m = (struct machine)MACHINE_NONE;
            _exit(machine_build(&m) ? (machine_errno == ENOMEM ? 1 : 2) : 0);
        }
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) == 2)
            return explain("deposit %d: another error than ENOMEM", n);
        if (WEXITSTATUS(status) == 0)
            break;
    }
    write_number(FAIL_FILE, 0);
    return n == 1 ? "no deposit failed" : n == 200 ? "it never got through" : NULL;
}

static const char *test_many(void)
{
    for (int i = 0; i < 16; i++) {
        struct machine m = MACHINE_NONE;
        const char *problem = machine_build(&m);

        if (!problem)
            problem = machine_expect_out(&m, 0x3F8, 'K');
        machine_close(&m);
        if (problem)
            return problem;
    }
    return NULL;
}

/* What the hypervisor may keep for the parent itself: a page for its ports. */
#define OWN_PAGES_MAX 2

/* After all: no partition is left, and all memory has come back. Bounded, for ends take a while. */
static const char *test_leaks(void)
{
    long out = -1, own = -1, left = 0;

    for (int tries = 0; tries < 50; tries++) {
        DIR *folder = opendir(DEBUG_FOLDER);
        struct dirent *entry;

        if (!folder)
            return "skip: no debugfs";
        left = 0;
        while ((entry = readdir(folder)))
            left += !strncmp(entry->d_name, "partition-", 10);
        closedir(folder);
        out = read_number(MEMORY_FILE, "deposited") - read_number(MEMORY_FILE, "withdrawn");
        own = read_number(MEMORY_FILE, "own_pool_pages");
        if (!left && out == own && own <= OWN_PAGES_MAX)
            return NULL;
        usleep(100000);
    }
    return explain("%ld partitions and %ld pages are left, %ld of the parent's own", left, out,
                   own);
}

static const struct machine_case tests[] = {
    {"create, version 2", test_versions},
    {"initialize twice", test_initialize_twice},
    {"memory", test_memory},
    {"memory rights", test_memory_rights},
    {"large pages", test_large_pages},
    {"access bitmap", test_access_bitmap},
    {"child: ports, MMIO, CPUID", test_child},
    {"child: interrupt", test_interrupt},
    {"child: irqfd", test_irqfd},
    {"child: level irqfd", test_resample},
    {"child: doorbell", test_doorbell},
    {"child: signals", test_signal},
    {"VP state", test_state},
    {"VP pages", test_mmap},
    {"close while running", test_close_while_running},
    {"killed owner", test_killed_owner},
    {"many partitions", test_many},
    {"failing deposits", test_failing_deposits},
};

/* After all others. */
static const struct machine_case last_tests[] = {
    {"nothing is left", test_leaks},
};

static int failures;

static void say(const char *name, const char *problem)
{
    if (problem && !strncmp(problem, "skip: ", 6)) {
        printf("SKIP mshv %s: %s\n", name, problem + 6);
    } else {
        printf("%s mshv %s%s%s\n", problem ? "FAIL" : "PASS", name, problem ? ": " : "",
               problem ? problem : "");
        failures += problem != NULL;
    }
    fflush(stdout);
}

/* Runs a case in a process group of its own and says how it went, within its time. */
static void run_case(const char *name, const struct refusal *row, const char *(*run)(void))
{
    static char answer[512];
    int pipe_fds[2], status = 0;
    size_t size = 0;
    ssize_t some = 0;
    pid_t child;

    if (pipe(pipe_fds) || (child = fork()) < 0) {
        say(name, "no process for it");
        return;
    }
    if (child == 0) {
        const char *problem;

        setpgid(0, 0);
        machine_catch_alarm();
        problem = row ? refuse(row) : run();
        if (problem && write(pipe_fds[1], problem, strlen(problem)) < 0)
            _exit(1);
        _exit(0);
    }
    setpgid(child, child);
    close(pipe_fds[1]);
    for (;;) {
        struct pollfd wait = {.fd = pipe_fds[0], .events = POLLIN};

        some = poll(&wait, 1, CASE_TIMEOUT_S * 1000);
        if (some <= 0)
            break;
        some = read(pipe_fds[0], answer + size, sizeof(answer) - 1 - size);
        if (some <= 0)
            break;
        size += (size_t)some;
    }
    kill(-child, SIGKILL);
    close(pipe_fds[0]);
    waitpid(child, &status, 0);
    answer[size] = '\0';
    if (some != 0)
        say(name, "it did not end in time");
    else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        say(name, "it crashed");
    else
        say(name, size ? answer : NULL);
}

static bool is_wanted(const char *name, int count, char **words)
{
    for (int i = 1; i < count; i++)
        if (strstr(name, words[i]))
            return true;
    return count < 2;
}

static void run_cases(const struct machine_case *list, size_t count, int argc, char **argv)
{
    for (size_t i = 0; i < count; i++)
        if (is_wanted(list[i].name, argc, argv))
            run_case(list[i].name, NULL, list[i].run);
}

int main(int argc, char **argv)
{
    if (access("/dev/mshv", R_OK | W_OK)) {
        printf("SKIP mshv: no /dev/mshv: %s\n", strerror(errno));
        return 0;
    }
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (is_wanted(refusals[i].name, argc, argv))
            run_case(refusals[i].name, &refusals[i], NULL);
    run_cases(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    run_cases(demand_cases, demand_case_count, argc, argv);
    run_cases(event_cases, event_case_count, argc, argv);
    run_cases(last_tests, sizeof(last_tests) / sizeof(last_tests[0]), argc, argv);
    return failures ? 1 : 0;
}
