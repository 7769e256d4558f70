/* SPDX-License-Identifier: MIT */
#ifndef ABI_BOOT_ACPI_H
#define ABI_BOOT_ACPI_H

#include <stddef.h>
#include <stdint.h>

/* Table layouts of ACPI 6.5 chapter 5.2, of the HPET specification 1.0a and of PCI Firmware 3.3. */

struct acpi_rsdp {
    char signature[8]; /* "RSD PTR " */
    uint8_t checksum;  /* over the first 20 bytes */
    char oem_id[6];
    uint8_t revision; /* 0: no fields after rsdt */
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
    uint8_t extended_checksum; /* over all */
    uint8_t reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_rsdp) == 36, "acpi_rsdp");
_Static_assert(offsetof(struct acpi_rsdp, xsdt) == 24, "acpi_rsdp.xsdt");

#define ACPI_RSDP_V1_LEN 20

struct acpi_header {
    char signature[4];
    uint32_t length; /* with this header */
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_header) == 36, "acpi_header");

/** Address spaces of a register (section 5.2.3.2). */
enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI = 2 };

/** Generic address structure. */
struct acpi_gas {
    uint8_t space; /* enum acpi_space or another of ACPI's numbers */
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t access_size; /* 1 byte, 2 word, 3 doubleword, 4 quadword */
    uint64_t addr;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_gas) == 12, "acpi_gas");

struct acpi_madt {
    struct acpi_header header;
    uint32_t lapic_addr;
    uint32_t flags;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_madt) == 44, "acpi_madt");

#define MADT_PCAT_COMPAT 1U

enum madt_type {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_NMI_SOURCE = 3,
    MADT_LAPIC_NMI = 4,
    MADT_X2APIC = 9,
    MADT_X2APIC_NMI = 10,
};

struct madt_entry {
    uint8_t type;
    uint8_t length;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_entry) == 2, "madt_entry");

/* flags of struct madt_lapic and struct madt_x2apic */
#define MADT_LP_ENABLED        1U
#define MADT_LP_ONLINE_CAPABLE 2U

struct madt_lapic {
    struct madt_entry entry;
    uint8_t uid;
    uint8_t apic_id;
    uint32_t flags;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_lapic) == 8, "madt_lapic");

struct madt_ioapic {
    struct madt_entry entry;
    uint8_t id;
    uint8_t reserved;
    uint32_t addr;
    uint32_t gsi_base;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_ioapic) == 12, "madt_ioapic");

/* inti_flags of the following: polarity in bits 1:0, trigger in bits 3:2 */
struct madt_override {
    struct madt_entry entry;
    uint8_t bus;
    uint8_t irq;
    uint32_t gsi;
    uint16_t inti_flags;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_override) == 10, "madt_override");

struct madt_nmi_source {
    struct madt_entry entry;
    uint16_t inti_flags;
    uint32_t gsi;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_nmi_source) == 8, "madt_nmi_source");

struct madt_lapic_nmi {
    struct madt_entry entry;
    uint8_t uid; /* 0xFF: all */
    uint16_t inti_flags;
    uint8_t lint;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_lapic_nmi) == 6, "madt_lapic_nmi");

struct madt_x2apic {
    struct madt_entry entry;
    uint16_t reserved;
    uint32_t apic_id;
    uint32_t flags;
    uint32_t uid;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_x2apic) == 16, "madt_x2apic");

struct madt_x2apic_nmi {
    struct madt_entry entry;
    uint16_t inti_flags;
    uint32_t uid; /* 0xFFFFFFFF: all */
    uint8_t lint;
    uint8_t reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct madt_x2apic_nmi) == 12, "madt_x2apic_nmi");

/** Older revisions end sooner and count as zero from there on. */
struct acpi_fadt_table {
    struct acpi_header header;
    uint32_t facs;
    uint32_t dsdt;
    uint8_t reserved0;
    uint8_t pm_profile;
    uint16_t sci_int;
    uint32_t smi_cmd;
    uint8_t acpi_enable;
    uint8_t acpi_disable;
    uint8_t s4bios_req;
    uint8_t pstate_cnt;
    uint32_t pm1a_evt;
    uint32_t pm1b_evt;
    uint32_t pm1a_cnt;
    uint32_t pm1b_cnt;
    uint32_t pm2_cnt;
    uint32_t pm_tmr;
    uint32_t gpe0;
    uint32_t gpe1;
    uint8_t pm1_evt_len;
    uint8_t pm1_cnt_len;
    uint8_t pm2_cnt_len;
    uint8_t pm_tmr_len;
    uint8_t gpe0_len;
    uint8_t gpe1_len;
    uint8_t gpe1_base;
    uint8_t cst_cnt;
    uint16_t c2_latency;
    uint16_t c3_latency;
    uint16_t flush_size;
    uint16_t flush_stride;
    uint8_t duty_offset;
    uint8_t duty_width;
    uint8_t day_alarm;
    uint8_t month_alarm;
    uint8_t century;
    uint16_t boot_arch;
    uint8_t reserved1;
    uint32_t flags;
    struct acpi_gas reset_reg;
    uint8_t reset_value;
    uint16_t arm_boot_arch;
    uint8_t minor;
    uint64_t x_facs;
    uint64_t x_dsdt;
    struct acpi_gas x_pm1a_evt;
    struct acpi_gas x_pm1b_evt;
    struct acpi_gas x_pm1a_cnt;
    struct acpi_gas x_pm1b_cnt;
    struct acpi_gas x_pm2_cnt;
    struct acpi_gas x_pm_tmr;
    struct acpi_gas x_gpe0;
    struct acpi_gas x_gpe1;
    struct acpi_gas sleep_control;
    struct acpi_gas sleep_status;
    uint64_t hypervisor_vendor;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_fadt_table) == 276, "fadt");
_Static_assert(offsetof(struct acpi_fadt_table, pm1a_evt) == 56, "fadt.pm1a_evt");
_Static_assert(offsetof(struct acpi_fadt_table, pm1a_cnt) == 64, "fadt.pm1a_cnt");
_Static_assert(offsetof(struct acpi_fadt_table, pm_tmr) == 76, "fadt.pm_tmr");
_Static_assert(offsetof(struct acpi_fadt_table, boot_arch) == 109, "fadt.boot_arch");
_Static_assert(offsetof(struct acpi_fadt_table, flags) == 112, "fadt.flags");
_Static_assert(offsetof(struct acpi_fadt_table, reset_reg) == 116, "fadt.reset_reg");
_Static_assert(offsetof(struct acpi_fadt_table, x_dsdt) == 140, "fadt.x_dsdt");
_Static_assert(offsetof(struct acpi_fadt_table, x_pm1a_cnt) == 172, "fadt.x_pm1a_cnt");
_Static_assert(offsetof(struct acpi_fadt_table, x_pm_tmr) == 208, "fadt.x_pm_tmr");

#define FADT_ENTERPRISE_SERVER 4U /* acpi_fadt_table.pm_profile */

/* acpi_fadt_table.boot_arch */
#define FADT_LEGACY_DEVICES (1U << 0)
#define FADT_NO_VGA         (1U << 2)
#define FADT_NO_ASPM        (1U << 4)

/* acpi_fadt_table.flags */
#define FADT_WBINVD      (1U << 0)
#define FADT_PROC_C1     (1U << 2)
#define FADT_NO_SLPBTN   (1U << 5)
#define FADT_NO_RTCWAKE  (1U << 6)
#define FADT_TMR_VAL_EXT (1U << 8)
#define FADT_RESET_REG   (1U << 10)
#define FADT_HEADLESS    (1U << 12)

#define FADT_MIN_LEN 116 /* ACPI 1.0 */

struct acpi_facs {
    char signature[4];
    uint32_t length;
    uint32_t hardware_signature;
    uint32_t waking_vector;
    uint32_t global_lock;
    uint32_t flags;
    uint64_t x_waking_vector;
    uint8_t version;
    uint8_t reserved[31];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_facs) == 64, "acpi_facs");

struct acpi_hpet_table {
    struct acpi_header header;
    uint32_t block_id;
    struct acpi_gas base;
    uint8_t number;
    uint16_t min_tick;
    uint8_t attributes;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_hpet_table) == 56, "acpi_hpet_table");

struct acpi_mcfg_table {
    struct acpi_header header;
    uint64_t reserved;
    /* struct mcfg_entry from here on */
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_mcfg_table) == 44, "acpi_mcfg_table");

struct mcfg_entry {
    uint64_t base;
    uint16_t segment;
    uint8_t first_bus;
    uint8_t last_bus;
    uint32_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct mcfg_entry) == 16, "mcfg_entry");

#endif
