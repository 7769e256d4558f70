/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables of hostile firmware: the input is physical memory from 0xE0000
 * on. A checksum stops a fuzzer dead, so the sums that the parser verifies are
 * mended first where a structure is recognised.
 */
#include <stdlib.h>

#include "hypervisor/boot/acpi.h"
#include "abi/boot/acpi.h"
#include "lib/string.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE    0xe0000U
#define MEM_MAX 4096U

struct memory {
    uint8_t *data;
    size_t size;
};

static const void *map_mem(void *ctx, uint64_t pa, size_t len)
{
    const struct memory *m = ctx;

    return pa >= BASE && pa - BASE <= m->size && len <= m->size - (pa - BASE)
               ? m->data + (pa - BASE)
               : NULL;
}

static void mend(uint8_t *p, size_t len, size_t sum_at)
{
    uint8_t sum = 0;

    p[sum_at] = 0;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + p[i]);
    p[sum_at] = (uint8_t)-sum;
}

/* Tables are looked for at multiples of 16 bytes, which the seeds keep to. */
static void mend_all(struct memory *m)
{
    static const char names[][5] = {"APIC", "FACP", "HPET", "MCFG", "RSDT", "XSDT"};

    for (size_t at = 0; at + sizeof(struct acpi_header) <= m->size; at += 16) {
        uint8_t *p = m->data + at;
        uint32_t len;

        if (!memcmp(p, "RSD PTR ", 8)) {
            mend(p, 20, 8);
            mend(p, 36, 32);
        }
        memcpy(&len, p + 4, sizeof(len));
        for (unsigned i = 0; i < 6; i++)
            if (!memcmp(p, names[i], 4) && len >= 36 && len <= m->size - at)
                mend(p, len, offsetof(struct acpi_header, checksum));
    }
}

static void check(const struct acpi_info *i)
{
    if (!i->lp_count || i->lp_count > ACPI_LPS_MAX || i->ioapic_count > ACPI_IOAPICS_MAX ||
        i->override_count > ACPI_OVERRIDES_MAX || i->nmi_count > ACPI_NMIS_MAX ||
        i->mcfg_count > ACPI_MCFG_MAX)
        abort();
}

static bool keep_even(apic_id_t apic_id)
{
    return !(apic_id.v & 1);
}

/* A table of its own, so that the sanitizer sees a write past it. Its sum stays good. */
static void hide(const struct memory *m, const struct acpi_info *i)
{
    uint8_t *copy = malloc(i->madt_len), sum = 0;

    if (!copy)
        return;
    memcpy(copy, m->data + (i->madt - BASE), i->madt_len);
    acpi_madt_hide(copy, i->madt_len, keep_even);
    for (uint32_t at = 0; at < i->madt_len; at++)
        sum = (uint8_t)(sum + copy[at]);
    if (sum || acpi_madt_hide(copy, i->madt_len, keep_even))
        abort();
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct acpi_info info;
    struct memory m = {NULL, size < MEM_MAX ? size : MEM_MAX};
    const struct boot_mem mem = {map_mem, &m};
    uint8_t rsdp[ACPI_RSDP_MAX];
    const char *why = NULL;
    uint32_t len;
    uint64_t pa;

    m.data = malloc(m.size + 1);
    if (!m.data)
        return 0;
    memcpy(m.data, data, m.size);
    mend_all(&m);
    if (!acpi_find_rsdp(&mem, rsdp, &len, &pa)) {
        if (!acpi_parse(&mem, rsdp, len, &info, &why)) {
            check(&info);
            hide(&m, &info);
        } else if (!why)
            abort();
    }
    free(m.data);
    return 0;
}
