/* SPDX-License-Identifier: MIT */
#include "vmwp/acpi.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "abi/boot/acpi.h"
#include "devices/power.h"
#include "devices/rtc.h"
#include "devices/uart.h"
#include "lib/bits.h"
#include "vmwp/aml.h"
#include "vmwp/layout.h"

#define RSDP_REVISION 2U
#define FADT_REVISION 6U
#define MADT_REVISION 5U
#define DSDT_REVISION 2U

#define MADT_LEVEL_HIGH   0x0DU
#define MADT_ALL          0xFFU
#define MADT_LAPIC_ID_MAX 254U

#define ALIGN 64U

/* The place where tables grow; `room` is what is left of the area. */
struct area {
    uint8_t *host;
    uint64_t gpa;
    size_t size;
    size_t len;
};

/* The next table: `size` zeroed bytes, or NULL. */
static void *area_take(struct area *a, size_t size)
{
    uint8_t *p = a->host + a->len;

    if (size > a->size - a->len)
        return NULL;
    memset(p, 0, size);
    a->len += align_up(size, ALIGN) > a->size - a->len ? a->size - a->len : align_up(size, ALIGN);
    return p;
}

static uint64_t area_gpa(const struct area *a, const void *p)
{
    return a->gpa + (uint64_t)((const uint8_t *)p - a->host);
}

static uint8_t checksum(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint8_t sum = 0;

    while (n--)
        sum = (uint8_t)(sum + *b++);
    return (uint8_t)(0U - sum);
}

static void header_fill(struct acpi_header *h, const char *signature, uint32_t length,
                        uint8_t revision)
{
    memcpy(h->signature, signature, 4);
    h->length = length;
    h->revision = revision;
    memcpy(h->oem_id, "BLKHD ", 6);
    memcpy(h->oem_table_id, "BULKHEAD", 8);
    h->oem_revision = 1;
    memcpy(h->creator_id, "BLKH", 4);
    h->creator_revision = 1;
    h->checksum = 0;
    h->checksum = checksum(h, length);
}

static void device(struct aml *a, const char *name, const char *hid, uint8_t uid, uint16_t ports,
                   uint8_t count, uint8_t irq)
{
    size_t begin = aml_device(a, name);

    aml_hid(a, hid);
    aml_name_number(a, "_UID", uid);
    aml_resources(a, ports, count, irq);
    aml_end(a, begin);
}

/* By which guests find VMBus; the addresses are for what its devices map (frame buffers). */
static void vmbus_device(struct aml *a)
{
    size_t begin = aml_device(a, "VMB8");

    aml_name_string(a, "_HID", "VMBUS");
    aml_name_string(a, "_DDN", "VMBUS");
    aml_name_number(a, "_UID", 0);
    aml_name_number(a, "_STA", 0x0F);
    aml_resources_memory(a, LAYOUT_VMBUS, LAYOUT_VMBUS_END - 1);
    aml_end(a, begin);
}

static struct acpi_header *dsdt_build(struct area *area)
{
    static const uint8_t s5[4] = {POWER_SLEEP_S5, POWER_SLEEP_S5, 0, 0};
    uint8_t buf[512];
    struct aml a = {buf, sizeof(buf), 0};
    size_t scope = aml_scope(&a, "\\_SB_");
    struct acpi_header *h;

    device(&a, "COM1", "PNP0501", 1, LAYOUT_COM1, UART_PORTS, LAYOUT_PIN_COM1);
    device(&a, "RTC_", "PNP0B00", 0, 0x70, 2, LAYOUT_PIN_RTC);
    vmbus_device(&a);
    aml_end(&a, scope);
    aml_package4(&a, "\\_S5_", s5);
    if (a.len > a.size)
        return NULL;
    h = area_take(area, sizeof(*h) + a.len);
    if (!h)
        return NULL;
    memcpy(h + 1, buf, a.len);
    header_fill(h, "DSDT", (uint32_t)(sizeof(*h) + a.len), DSDT_REVISION);
    return h;
}

static struct acpi_gas ports(uint64_t first, uint8_t bytes)
{
    return (struct acpi_gas){ACPI_SPACE_IO, (uint8_t)(bytes * 8), 0, bytes == 4 ? 3 : bytes, first};
}

/* Always in ACPI mode: there is no SMI command that would switch. */
static struct acpi_fadt_table *fadt_build(struct area *area, uint64_t facs, uint64_t dsdt)
{
    struct acpi_fadt_table *f = area_take(area, sizeof(*f));

    if (!f)
        return NULL;
    f->facs = (uint32_t)facs;
    f->dsdt = (uint32_t)dsdt;
    f->x_dsdt = dsdt;
    f->pm_profile = FADT_ENTERPRISE_SERVER;
    f->sci_int = LAYOUT_PIN_SCI;
    f->pm1a_evt = POWER_PM1_EVENT;
    f->pm1_evt_len = 4;
    f->pm1a_cnt = POWER_PM1_CONTROL;
    f->pm1_cnt_len = 2;
    f->pm_tmr = POWER_PM_TIMER;
    f->pm_tmr_len = 4;
    f->x_pm1a_evt = ports(POWER_PM1_EVENT, 4);
    f->x_pm1a_cnt = ports(POWER_PM1_CONTROL, 2);
    f->x_pm_tmr = ports(POWER_PM_TIMER, 4);
    f->c2_latency = 0xFFFF; /* more than the longest: no C2, no C3 */
    f->c3_latency = 0xFFFF;
    f->century = 0x32;
    f->boot_arch = FADT_LEGACY_DEVICES | FADT_NO_VGA | FADT_NO_ASPM;
    f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLPBTN | FADT_NO_RTCWAKE | FADT_TMR_VAL_EXT |
               FADT_RESET_REG | FADT_HEADLESS;
    f->reset_reg = ports(POWER_RESET_PORT, 1);
    f->reset_value = POWER_RESET_VALUE;
    memcpy(&f->hypervisor_vendor, "Bulkhead", 8);
    header_fill(&f->header, "FACP", sizeof(*f), FADT_REVISION);
    return f;
}

static void *entry(uint8_t **at, uint8_t type, uint8_t length)
{
    struct madt_entry *e = (struct madt_entry *)*at;

    *e = (struct madt_entry){type, length};
    *at += length;
    return e;
}

static void processor_entry(uint8_t **at, uint32_t id)
{
    if (id <= MADT_LAPIC_ID_MAX) {
        struct madt_lapic *l = entry(at, MADT_LAPIC, sizeof(*l));
        l->uid = (uint8_t)id;
        l->apic_id = (uint8_t)id;
        l->flags = MADT_LP_ENABLED;
    } else {
        struct madt_x2apic *x = entry(at, MADT_X2APIC, sizeof(*x));
        x->apic_id = id;
        x->uid = id;
        x->flags = MADT_LP_ENABLED;
    }
}

static void override_entry(uint8_t **at, uint8_t irq, uint32_t pin, uint16_t flags)
{
    struct madt_override *o = entry(at, MADT_OVERRIDE, sizeof(*o));

    o->irq = irq;
    o->gsi = pin;
    o->inti_flags = flags;
}

static struct acpi_madt *madt_build(struct area *area, uint32_t processors)
{
    size_t most = sizeof(struct acpi_madt) + processors * sizeof(struct madt_x2apic) + 64;
    struct acpi_madt *m = area_take(area, most);
    struct madt_ioapic *io;
    struct madt_lapic_nmi *nmi;
    uint8_t *at;

    if (!m)
        return NULL;
    at = (uint8_t *)(m + 1);
    m->lapic_addr = LAYOUT_LAPIC;
    m->flags = MADT_PCAT_COMPAT;
    for (uint32_t i = 0; i < processors; i++)
        processor_entry(&at, i);
    io = entry(&at, MADT_IOAPIC, sizeof(*io));
    io->addr = LAYOUT_IOAPIC;
    override_entry(&at, 0, LAYOUT_PIN_PIT, 0);
    override_entry(&at, LAYOUT_PIN_SCI, LAYOUT_PIN_SCI, MADT_LEVEL_HIGH);
    nmi = entry(&at, MADT_LAPIC_NMI, sizeof(*nmi));
    nmi->uid = MADT_ALL;
    nmi->lint = 1;
    header_fill(&m->header, "APIC", (uint32_t)(at - (uint8_t *)m), MADT_REVISION);
    return m;
}

static struct acpi_header *xsdt_build(struct area *area, const uint64_t *tables, uint32_t count)
{
    uint32_t len = (uint32_t)sizeof(struct acpi_header) + 8 * count;
    struct acpi_header *h = area_take(area, len);

    if (!h)
        return NULL;
    memcpy(h + 1, tables, 8 * (size_t)count);
    header_fill(h, "XSDT", len, 1);
    return h;
}

int acpi_build(const struct memory *m, uint32_t processors)
{
    const uint64_t size = LAYOUT_ACPI_END - LAYOUT_ACPI;
    struct area a = {memory_span(m, gpa(LAYOUT_ACPI), size), LAYOUT_ACPI, size, 0};
    struct acpi_header *dsdt, *xsdt;
    struct acpi_fadt_table *fadt;
    struct acpi_madt *madt;

    if (!a.host)
        return -ENOSPC;
    struct acpi_rsdp *rsdp = area_take(&a, sizeof(*rsdp));
    struct acpi_facs *facs = area_take(&a, sizeof(*facs));
    if (!rsdp || !facs)
        return -ENOSPC;
    memcpy(facs->signature, "FACS", 4);
    facs->length = sizeof(*facs);
    facs->version = 2;
    dsdt = dsdt_build(&a);
    fadt = dsdt ? fadt_build(&a, area_gpa(&a, facs), area_gpa(&a, dsdt)) : NULL;
    madt = fadt ? madt_build(&a, processors) : NULL;
    if (!madt)
        return -ENOSPC;
    const uint64_t tables[] = {area_gpa(&a, fadt), area_gpa(&a, madt)};
    xsdt = xsdt_build(&a, tables, ARRAY_SIZE(tables));
    if (!xsdt)
        return -ENOSPC;
    memcpy(rsdp->signature, "RSD PTR ", 8);
    memcpy(rsdp->oem_id, "BLKHD ", 6);
    rsdp->revision = RSDP_REVISION;
    rsdp->length = sizeof(*rsdp);
    rsdp->xsdt = area_gpa(&a, xsdt);
    rsdp->checksum = checksum(rsdp, ACPI_RSDP_V1_LEN);
    rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
    return 0;
}
