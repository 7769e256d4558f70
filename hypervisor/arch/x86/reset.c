/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/reset.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/boot/acpi.h"

#define PORT_RESET_CONTROL 0xcf9
#define RESET_HARD         0x06
#define PORT_KEYBOARD      0x64
#define KEYBOARD_RESET     0xfe

static uint16_t acpi_port;
static uint8_t acpi_value;

void machine_reset_init(const struct acpi_info *acpi)
{
    const struct acpi_fadt *f = &acpi->fadt;

    if (f->present && (f->flags & FADT_RESET_REG) && f->reset.space == ACPI_SPACE_IO) {
        acpi_port = (uint16_t)f->reset.addr;
        acpi_value = f->reset_value;
    }
}

_Noreturn void machine_reset(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = {0, 0};

    if (acpi_port)
        cpu_out8(acpi_port, acpi_value);
    cpu_out8(PORT_RESET_CONTROL, RESET_HARD);
    cpu_out8(PORT_KEYBOARD, KEYBOARD_RESET);
    /* Last resort: a triple fault. */
    __asm__ volatile("lidt %0; ud2" : : "m"(none));
    cpu_halt();
}
