/* SPDX-License-Identifier: MIT */
#ifndef ABI_VSP_IC_COPY_H
#define ABI_VSP_IC_COPY_H

#include "abi/vsp/ic/icmsg.h"

/* Messages of the file copy service. Checked against Linux 6.1 (drivers/hv/hv_fcopy.c) and the
 * daemon of newer kernels (tools/hv/hv_fcopy_uio_daemon.c). Each has its full size: guests do not
 * look at how much has come. */

enum copy_operation {
    COPY_START = 0,
    COPY_WRITE = 1,
    COPY_COMPLETE = 2,
    COPY_CANCEL = 3,
};

#define COPY_OVERWRITE   1U /* copy_start.flags */
#define COPY_CREATE_PATH 2U

#define COPY_PATH_CHARS 260U /* with the zero; Linux keeps as many bytes of UTF-8, less one */
#define COPY_DATA_BYTES 6144U

struct copy_header {
    uint32_t operation;
    uint8_t service[2][16];
};
IC_LAYOUT(sizeof(struct copy_header) == 36);

struct copy_start {
    struct copy_header header;
    uint8_t name[2 * COPY_PATH_CHARS]; /* UTF-16 */
    uint8_t folder[2 * COPY_PATH_CHARS];
    uint32_t flags;
    uint64_t size;
} __attribute__((packed));
IC_LAYOUT(sizeof(struct copy_start) == 1088);

struct copy_write {
    struct copy_header header;
    uint32_t reserved;
    uint64_t offset;
    uint32_t size;
    uint8_t data[COPY_DATA_BYTES];
} __attribute__((packed));
IC_LAYOUT(sizeof(struct copy_write) == 6196);
IC_LAYOUT(offsetof(struct copy_write, data) == 52);

/* Rings of the guest have 12 KiB of data; the daemon of newer kernels has 16 KiB mapped for each,
 * whatever the kernel has made. So one message is under way at a time. */
IC_LAYOUT(16 + 8 + sizeof(struct icmsg_header) + sizeof(struct copy_write) + 8 < 12288);

#endif
