/* SPDX-License-Identifier: MIT */
#ifndef BOOT_EFI_MEMMAP_H
#define BOOT_EFI_MEMMAP_H

#include "hypervisor/mm/range.h"

/** The size of an EFI_MEMORY_DESCRIPTOR of version 1 (UEFI 2.10, 7.2.3); others are longer. */
#define EFI_MEMMAP_DESC_MIN 40U

/** Descriptors that the result may have more than the input. */
#define EFI_MEMMAP_EXTRA 64U

/**
 * Copy a UEFI memory map so that it agrees with the parent's: whatever counts as
 * free RAM in it but is not RAM in `map` becomes reserved. Linux places a
 * randomized kernel by the UEFI map, not by e820, and would choose the
 * hypervisor's memory otherwise.
 *
 * `in` is in_len bytes of descriptors of desc_size bytes (at least 40, UEFI 2.10
 * section 7.2.3); `out` has room for EFI_MEMMAP_EXTRA more of them. Where that is
 * not enough, a whole descriptor becomes reserved. Returns the bytes written.
 */
uint32_t efi_memmap_restrict(const struct range_map *map, const void *in, uint32_t in_len,
                             uint32_t desc_size, void *out);

/**
 * Take out of `free` what UEFI's boot services left in memory: Linux still reads tables there
 * (ESRT, memory attributes, TPM log), so that nothing may be loaded over them. It becomes reserved.
 * Returns 0, or -ENOSPC if there are too many pieces; those that fitted are out then.
 */
int efi_memmap_keep_boot_data(struct range_map *free, const void *in, uint32_t in_len,
                              uint32_t desc_size);

#endif
