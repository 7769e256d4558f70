/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "abi/mshv.h"
#include "abi/tlfs/hypercall.h"
#include "abi/tlfs/management.h"
#include "tests/vmwp/hostile.h"

/* Other virtual machines by the hypervisor. */

#define DESCRIPTORS 1024
#define IDS         256U /* partitions get small numbers */

static int open_device(const struct targets *t)
{
    int fd = open("/dev/mshv", O_RDWR);

    if (fd < 0)
        return -errno;
    (void)close(fd);
    return 0;
}

/* Initializing a partition again does nothing, and nothing else takes this call. */
static int own_partition(void)
{
    for (int fd = 3; fd < DESCRIPTORS; fd++)
        if (ioctl(fd, MSHV_INITIALIZE_PARTITION) == 0)
            return fd;
    return -ENODEV;
}

/* That of the victim, out of its process. */
static int other_partition(const struct targets *t)
{
    int process = (int)syscall(SYS_pidfd_open, t->pid, 0);

    for (int number = 3; process >= 0 && number < DESCRIPTORS; number++) {
        int fd = (int)syscall(SYS_pidfd_getfd, process, number, 0);

        if (fd < 0)
            continue;
        if (ioctl(fd, MSHV_INITIALIZE_PARTITION) == 0)
            return fd;
        (void)close(fd);
    }
    return -ENODEV;
}

static bool has_weight(int fd, uint64_t id, uint32_t weight)
{
    const struct hv_input_get_partition_property in = {
        .partition_id = id, .property_code = HV_PARTITION_PROPERTY_CPU_WEIGHT};
    struct hv_output_get_partition_property out = {0};
    struct mshv_root_hvcall args = {.code = HVCALL_GET_PARTITION_PROPERTY,
                                    .in_sz = sizeof(in),
                                    .out_sz = sizeof(out),
                                    .in_ptr = (uintptr_t)&in,
                                    .out_ptr = (uintptr_t)&out};

    return ioctl(fd, MSHV_ROOT_HVCALL, &args) == 0 && out.property_value == weight;
}

/* Calls about all partitions that there may be, by our own descriptor: does one answer as the
 * victim does? The copy with all rights has the victim's descriptor. */
static int ask_other_partition(const struct targets *t)
{
    int fd = t->unconfined ? other_partition(t) : own_partition();

    if (fd < 0)
        return t->unconfined ? fd : NOT_TRIED;
    for (uint64_t id = 0; id < IDS; id++)
        if (has_weight(fd, id, t->weight))
            return 0;
    return -EPERM;
}

/* All other descriptors that the worker has: none of them is another machine's. */
static int find_other_partition(const struct targets *t)
{
    int fd = t->unconfined ? other_partition(t) : 3;

    if (fd < 0)
        return fd;
    for (; fd < DESCRIPTORS; fd++)
        if (ioctl(fd, MSHV_INITIALIZE_PARTITION) == 0 && has_weight(fd, 0, t->weight))
            return 0;
    return -ENOENT;
}

static int use_own_partition(const struct targets *t)
{
    int fd = own_partition();

    return fd < 0 ? fd : 0;
}

const struct attack attacks_on_machines[] = {
    {"open-device", open_device, FORBIDDEN},
    {"ask-other-partition", ask_other_partition, FORBIDDEN},
    {"find-other-partition", find_other_partition, FORBIDDEN},
    {"use-own-partition", use_own_partition, ALLOWED},
    {NULL, NULL, FORBIDDEN},
};
