/* SPDX-License-Identifier: MIT */
#ifndef VMWP_LAYOUT_H
#define VMWP_LAYOUT_H

/* Where everything is in the guest's physical address space, and which lines lead where. */

#define LAYOUT_PAGE 0x1000ULL

/* RAM below 640 KiB: what the kernel reads at its start and then reuses. */
#define LAYOUT_GDT         0x500U
#define LAYOUT_PARAMS      0x7000U
#define LAYOUT_TABLES      0x9000U /* 6 pages */
#define LAYOUT_STACK       0x1F000U
#define LAYOUT_CMDLINE     0x20000U
#define LAYOUT_CMDLINE_MAX 0x1000U
#define LAYOUT_LOW_RAM_END 0x9FC00U
#define LAYOUT_VGA         0xA0000U

/* Tables of the firmware, of which there is none; the root pointer comes first, where BIOSes have
 * it as well. */
#define LAYOUT_ACPI     0xE0000U
#define LAYOUT_ACPI_END 0x100000U

#define LAYOUT_KERNEL_MIN 0x100000U

/* What devices on VMBus may map; above all RAM below 4 GiB. */
#define LAYOUT_VMBUS     0xE0000000U
#define LAYOUT_VMBUS_END 0xF8000000U

#define LAYOUT_IOAPIC 0xFEC00000U
#define LAYOUT_LAPIC  0xFEE00000U

#define LAYOUT_COM1 0x3F8U

/* Pins of the I/O APIC. */
#define LAYOUT_PIN_PIT  2U /* IRQ 0 */
#define LAYOUT_PIN_COM1 4U
#define LAYOUT_PIN_RTC  8U
#define LAYOUT_PIN_SCI  9U

#endif
