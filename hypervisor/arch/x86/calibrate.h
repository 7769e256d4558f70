/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_CALIBRATE_H
#define ARCH_X86_CALIBRATE_H

struct acpi_info;

/**
 * Measure the TSC and the APIC timer against the ACPI PM timer, or the HPET where
 * there is none; about 100 ms, on the boot processor, nothing else running.
 * -ENODEV: the machine has neither.
 */
int clock_calibrate(const struct acpi_info *acpi);

#endif
