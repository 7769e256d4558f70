/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_SPACE_H
#define ARCH_X86_SPACE_H

#include "hypervisor/mm/range.h"
#include "lib/types.h"

/*
 * The hypervisor's own address space (docs/memory-map.md): direct map of all
 * RAM, device window, stacks with guard pages, image. W^X everywhere: nothing
 * is both writable and executable once space_init() has returned.
 */

/** Build the final page tables from the machine's memory map and switch to them. */
int space_init(const struct range_map *machine);

/** Physical address of the final page tables' root, for the start of the other LPs. */
extern uint64_t space_root;

/** Use the final page tables on another LP; also write protection, SMEP, SMAP. */
void space_load(void);

/** Map device registers uncached into the device window. NULL when it is full. Early boot only. */
void *space_map_device(hpa_t pa, uint64_t len);

/** A stack of `pages` with an unmapped page below it; *top is its upper end. */
int space_map_stack(unsigned pages, uint64_t *top);

#endif
