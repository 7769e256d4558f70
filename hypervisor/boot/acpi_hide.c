/* SPDX-License-Identifier: MIT */
#include "hypervisor/boot/acpi.h"
#include "abi/boot/acpi.h"
#include "lib/string.h"

/** The flags of a processor that the entry names and that is not to be kept, or NULL. */
static uint8_t *hidden_flags(uint8_t *entry, bool (*keep)(apic_id_t apic_id))
{
    struct madt_lapic l;
    struct madt_x2apic x;

    if (entry[0] == MADT_LAPIC && entry[1] >= sizeof(l)) {
        memcpy(&l, entry, sizeof(l));
        return keep((apic_id_t){l.apic_id}) ? NULL : entry + offsetof(struct madt_lapic, flags);
    }
    if (entry[0] == MADT_X2APIC && entry[1] >= sizeof(x)) {
        memcpy(&x, entry, sizeof(x));
        return keep((apic_id_t){x.apic_id}) ? NULL : entry + offsetof(struct madt_x2apic, flags);
    }
    return NULL;
}

static void make_sum_good(uint8_t *table, uint32_t len)
{
    uint8_t *checksum = table + offsetof(struct acpi_header, checksum);
    uint8_t sum = 0;

    *checksum = 0;
    for (uint32_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + table[i]);
    *checksum = (uint8_t)-sum;
}

unsigned acpi_madt_hide(uint8_t *madt, uint32_t len, bool (*keep)(apic_id_t apic_id))
{
    const uint32_t usable = MADT_LP_ENABLED | MADT_LP_ONLINE_CAPABLE;
    unsigned hidden = 0;

    for (uint32_t at = sizeof(struct acpi_madt); len - at >= sizeof(struct madt_entry);) {
        uint8_t size = madt[at + 1];
        uint32_t value;

        if (size < sizeof(struct madt_entry) || size > len - at)
            break; /* not after acpi_parse() */
        uint8_t *flags = hidden_flags(madt + at, keep);
        if (flags) {
            memcpy(&value, flags, sizeof(value));
            hidden += (value & usable) != 0;
            value &= ~usable;
            memcpy(flags, &value, sizeof(value));
        }
        at += size;
    }
    if (hidden)
        make_sum_good(madt, len);
    return hidden;
}
