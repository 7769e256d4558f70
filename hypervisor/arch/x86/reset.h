/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_RESET_H
#define ARCH_X86_RESET_H

struct acpi_info;

/** Remember the reset register of the FADT, if there is one. */
void machine_reset_init(const struct acpi_info *acpi);

/** Reset the whole machine: ACPI register, 0xCF9, keyboard controller, triple fault. */
_Noreturn void machine_reset(void);

#endif
