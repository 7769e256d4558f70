/* SPDX-License-Identifier: MIT */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include "abi/boot/acpi.h"
#include "hypervisor/boot/boot_mem.h"
#include "lib/types.h"

#define ACPI_LPS_MAX       64
#define ACPI_IOAPICS_MAX   8
#define ACPI_OVERRIDES_MAX 24
#define ACPI_NMIS_MAX      16
#define ACPI_MCFG_MAX      8
#define ACPI_RSDP_MAX      36

/** A processor that is enabled, or can be brought online later (ACPI 6.5, 5.2.12.2). */
struct acpi_lp {
    apic_id_t apic_id;
    uint32_t uid;
    bool enabled; /* false: online capable only */
};

struct acpi_ioapic {
    uint8_t id;
    uint32_t addr;
    uint32_t gsi_base;
};

/** Polarity and trigger as in the MPS INTI flags (ACPI 6.5, table 5.26). */
enum acpi_polarity { ACPI_POL_BUS = 0, ACPI_POL_HIGH = 1, ACPI_POL_LOW = 3 };
enum acpi_trigger { ACPI_TRIG_BUS = 0, ACPI_TRIG_EDGE = 1, ACPI_TRIG_LEVEL = 3 };

/** ISA interrupt `irq` arrives at `gsi`. */
struct acpi_override {
    uint8_t irq;
    uint32_t gsi;
    enum acpi_polarity polarity;
    enum acpi_trigger trigger;
};

#define ACPI_UID_ALL UINT32_MAX

/** NMI at a local APIC's LINT pin (lint 0 or 1), or at an I/O APIC input. */
struct acpi_nmi {
    bool ioapic;
    uint32_t uid; /* processor, ACPI_UID_ALL for every one; local only */
    uint8_t lint; /* local only */
    uint32_t gsi; /* I/O APIC only */
    enum acpi_polarity polarity;
    enum acpi_trigger trigger;
};

struct acpi_reg {
    uint64_t addr; /* 0: the machine has no such register */
    uint8_t space; /* enum acpi_space or another of ACPI's numbers */
    uint8_t bits;
};

struct acpi_fadt {
    bool present;
    uint32_t flags; /* ACPI 6.5, table 5.10 */
    uint16_t sci;
    struct acpi_reg pm_timer; /* bits: 24 or 32 */
    struct acpi_reg pm1a_control;
    struct acpi_reg pm1b_control;
    struct acpi_reg reset;
    uint8_t reset_value;
    uint64_t facs;
    uint64_t dsdt;
};

/** One PCI segment's configuration window: 1 MiB for each bus. */
struct acpi_mcfg {
    uint64_t base; /* of bus 0, even if first_bus is not 0 */
    uint16_t segment;
    uint8_t first_bus;
    uint8_t last_bus;
};

/** What the hypervisor needs of the tables. */
struct acpi_info {
    unsigned revision; /* of the RSDP */
    uint64_t madt;     /* physical address of the table, madt_len bytes */
    uint32_t madt_len;
    uint32_t lapic_addr;
    bool pcat_compat; /* there are two 8259s */
    unsigned lp_count;
    struct acpi_lp lps[ACPI_LPS_MAX]; /* the first is the first in the MADT */
    unsigned lps_lost;                /* processors beyond the array: run without them */
    unsigned ioapic_count;
    struct acpi_ioapic ioapics[ACPI_IOAPICS_MAX];
    unsigned override_count;
    struct acpi_override overrides[ACPI_OVERRIDES_MAX];
    unsigned nmi_count;
    struct acpi_nmi nmis[ACPI_NMIS_MAX];
    struct acpi_fadt fadt;
    uint64_t hpet; /* registers; 0 if there is no table */
    unsigned mcfg_count;
    struct acpi_mcfg mcfgs[ACPI_MCFG_MAX];
    bool has_dmar; /* an Intel or AMD IOMMU is described */
    bool has_ivrs;
    unsigned bad_tables; /* tables left out: unreachable, bad length or bad checksum */
};

/**
 * Search the first KiB of the EBDA, then 0xE0000 .. 0xFFFFF, for a root pointer
 * with good checksums (ACPI 6.5, 5.2.5.1). `rsdp` gets a copy, *len 20 or 36,
 * *pa its address. Returns 0 or -ENOENT.
 */
int acpi_find_rsdp(const struct boot_mem *mem, uint8_t rsdp[ACPI_RSDP_MAX], uint32_t *len,
                   uint64_t *pa);

/**
 * Read MADT, FADT, HPET and MCFG through a root pointer given as a copy of
 * `len` bytes. A damaged table is counted and left out, but without a usable
 * MADT there is nothing to start on.
 * Returns 0, or -EINVAL, -EFAULT, -ENOENT (no MADT), -ENOSPC (more I/O APICs,
 * overrides, NMIs or windows than fit) with *why a sentence; *out then undefined.
 */
int acpi_parse(const struct boot_mem *mem, const uint8_t *rsdp, uint32_t len, struct acpi_info *out,
               const char **why);

/**
 * Take processors out of a MADT, so that the parent does not wait ten seconds for each that it
 * cannot have: those for which keep() is false are marked as neither enabled nor online capable,
 * and the checksum is made good. `madt` is a table that acpi_parse() accepted, `len` bytes. Returns
 * how many were taken out.
 */
unsigned acpi_madt_hide(uint8_t *madt, uint32_t len, bool (*keep)(apic_id_t apic_id));

#endif
