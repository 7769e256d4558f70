/* SPDX-License-Identifier: MIT */
#ifndef VMWP_ACPI_H
#define VMWP_ACPI_H

#include <stdint.h>
#include "vmwp/memory.h"

/*
 * The ACPI tables of a machine (specification 6.5): RSDP, XSDT, FADT, FACS, MADT, DSDT. They are
 * built here because there is no firmware that would.
 */

/**
 * Put the tables of a machine with processors of APIC ids 0 .. `processors` - 1 into RAM at
 * LAYOUT_ACPI; the root pointer stands at its start. 0, or -ENOSPC.
 */
int acpi_build(const struct memory *m, uint32_t processors);

#endif
