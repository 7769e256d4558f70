/* SPDX-License-Identifier: MIT */
#ifndef GUEST_RT_RT_PRIV_H
#define GUEST_RT_RT_PRIV_H

#include "tests/guest/rt/rt.h"

/* Between the files of the runtime only. */

/** Reset the verdict; print the verdict line and return 0 pass, 1 skip, 2 fail. */
void case_begin(void);
unsigned case_end(const char *group, const char *name);

/** Read the command line and memory map of the boot protocol in use. */
void env_read(uint32_t multiboot_magic, uint64_t info);

/** APIC ids of the enabled processors, from the MADT; their number, 0 without a table. */
unsigned acpi_processors(uint32_t *ids, unsigned max);

/** Called by the APs, on their own stack. */
void ap_main(uint64_t index) __attribute__((noreturn));

#endif
