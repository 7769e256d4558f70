/* SPDX-License-Identifier: MIT */
#ifndef VMWP_LINUX_H
#define VMWP_LINUX_H

#include "abi/tlfs/register.h"
#include "vmwp/memory.h"
#include "lib/hosted/problem.h"

/* A Linux kernel started without firmware, by the 64-bit boot protocol (Documentation/arch/x86/
 * boot.rst): everything it needs is put into the guest's RAM, then RIP is its 64-bit entry. */

/** What the header of a bzImage says, checked. */
struct linux_kernel {
    uint64_t payload_offset; /* of the protected-mode part in the file */
    uint64_t payload_len;
    uint64_t preferred;  /* load address */
    uint64_t room;       /* bytes of RAM that it uses from there on, a multiple of 4 KiB */
    uint64_t alignment;  /* of another load address; 0: there can be none */
    uint64_t initrd_max; /* of the initrd's last byte */
    uint32_t cmdline_max;
    uint8_t header[0x290 - 0x1f1]; /* the setup header as it will be in boot_params */
    uint32_t header_len;
};

/** Where things go. */
struct linux_plan {
    uint64_t kernel;
    uint64_t initrd;
    uint64_t initrd_len;
    uint64_t entry;
};

#define LINUX_HEAD_MAX 0x1000U /* bytes of the file that linux_inspect() may look at */

#define LINUX_REGISTERS 20U

/** Read the start of a file of `file_len` bytes; `len` of them, at most LINUX_HEAD_MAX, are here.
 * 0, or -ENOEXEC with *why and *out untouched. */
int linux_inspect(const uint8_t *head, size_t len, uint64_t file_len, struct linux_kernel *out,
                  struct problem *why);

/** Find places in `low` bytes of RAM that start at 0. 0, or -ENOSPC with *why. */
int linux_place(const struct linux_kernel *k, uint64_t low, uint64_t initrd_len,
                struct linux_plan *out, struct problem *why);

/** A kernel, and what goes with it. The descriptors are read from their start and stay open. */
struct linux_boot {
    int kernel;
    int initrd; /* -1: none */
    const char *cmdline;
    uint64_t rsdp; /* guest physical address of the ACPI root pointer */
};

/** Put all of it into RAM. 0, or -errno with *why. */
int linux_load(const struct linux_boot *boot, const struct memory *m, struct linux_plan *out,
               struct problem *why);

/** The registers with which the boot processor starts; LINUX_REGISTERS of them. */
void linux_registers(const struct linux_plan *plan, struct hv_register_assoc *regs);

#endif
