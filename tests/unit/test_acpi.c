/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/boot/acpi.h"
#include "abi/boot/acpi.h"
#include "lib/errno.h"

/* Physical memory of the tests: the first MiB and a bit, tables from TABLES on. */
#define MEM    0x110000U
#define TABLES 0x100000U

static uint8_t *mem;
static uint64_t next;
static uint64_t tables[16];
static unsigned table_count;
static struct acpi_info info;
static const char *why;

static const void *map_mem(void *ctx, uint64_t pa, size_t len)
{
    return pa <= MEM && len <= MEM - pa ? mem + pa : NULL;
}

static const struct boot_mem accessor = {map_mem, NULL};

static int setup(void **state)
{
    mem = calloc(1, MEM); /* exactly: the sanitizer sees a read past it */
    next = TABLES;
    table_count = 0;
    memset(&info, 0xa5, sizeof(info));
    return 0;
}

static int teardown(void **state)
{
    free(mem);
    return 0;
}

static void fix_sum(uint8_t *p, size_t len, uint8_t *sum)
{
    *sum = 0;
    for (size_t i = 0; i < len; i++)
        if (p + i != sum)
            *sum = (uint8_t)(*sum - p[i]);
}

/* Place a table: `body` is what follows the header. Returns its address. */
static uint64_t table(const char *signature, const void *body, size_t len)
{
    struct acpi_header h = {.length = (uint32_t)(sizeof(h) + len), .revision = 1};
    uint64_t at = next;

    memcpy(h.signature, signature, 4);
    memcpy(mem + at, &h, sizeof(h));
    if (len)
        memcpy(mem + at + sizeof(h), body, len);
    fix_sum(mem + at, h.length, mem + at + offsetof(struct acpi_header, checksum));
    next = (at + h.length + 63) & ~63ULL;
    tables[table_count++] = at;
    return at;
}

static struct acpi_rsdp make_rsdp(uint8_t revision, uint64_t rsdt, uint64_t xsdt)
{
    struct acpi_rsdp r = {.revision = revision, .rsdt = (uint32_t)rsdt, .length = 36, .xsdt = xsdt};

    memcpy(r.signature, "RSD PTR ", 8);
    fix_sum((uint8_t *)&r, 20, &r.checksum);
    fix_sum((uint8_t *)&r, 36, &r.extended_checksum);
    return r;
}

/* Root tables over all tables so far, then parse. */
static int parse(uint8_t revision)
{
    uint32_t small[16];
    unsigned n = table_count;

    for (unsigned i = 0; i < n; i++)
        small[i] = (uint32_t)tables[i];
    uint64_t rsdt = table("RSDT", small, n * 4);
    uint64_t xsdt = table("XSDT", tables, n * 8);
    table_count = n;
    struct acpi_rsdp r = make_rsdp(revision, rsdt, revision ? xsdt : 0);
    why = NULL;
    return acpi_parse(&accessor, (uint8_t *)&r, revision ? 36 : 20, &info, &why);
}

static uint8_t madt[4096];
static size_t madt_len;

static void madt_begin(void)
{
    const uint32_t head[2] = {0xfee00000, MADT_PCAT_COMPAT};

    memcpy(madt, head, sizeof(head));
    madt_len = sizeof(head);
}

static void madt_add(const void *entry, size_t len)
{
    memcpy(madt + madt_len, entry, len);
    madt_len += len;
}

static void add_lapic(uint8_t uid, uint8_t id, uint32_t flags)
{
    const struct madt_lapic e = {{MADT_LAPIC, sizeof(e)}, uid, id, flags};

    madt_add(&e, sizeof(e));
}

static void madt_small(void)
{
    madt_begin();
    add_lapic(0, 0, 1);
    table("APIC", madt, madt_len);
}

static void test_madt(void **state)
{
    const struct madt_ioapic io = {{MADT_IOAPIC, sizeof(io)}, 1, 0, 0xfec00000, 0};
    const struct madt_override irq0 = {{MADT_OVERRIDE, sizeof(irq0)}, 0, 0, 2, 0};
    const struct madt_override irq9 = {{MADT_OVERRIDE, sizeof(irq9)}, 0, 9, 9, 0xd};
    const struct madt_override eisa = {{MADT_OVERRIDE, sizeof(eisa)}, 1, 9, 9, 0xd};
    const struct madt_lapic_nmi nmi = {{MADT_LAPIC_NMI, sizeof(nmi)}, 0xff, 5, 1};
    const struct madt_nmi_source src = {{MADT_NMI_SOURCE, sizeof(src)}, 0xf, 23};
    const struct madt_x2apic x2 = {{MADT_X2APIC, sizeof(x2)}, 0, 300, 1, 7};
    const struct madt_x2apic dup = {{MADT_X2APIC, sizeof(dup)}, 0, 2, 1, 1};
    const struct madt_x2apic_nmi x2nmi = {{MADT_X2APIC_NMI, sizeof(x2nmi)}, 0, 7, 1, {0}};
    const uint8_t unknown[5] = {0x80, 5, 1, 2, 3};

    madt_begin();
    add_lapic(0, 0, 1);
    add_lapic(1, 2, 1);
    add_lapic(2, 4, 0);
    add_lapic(3, 6, 2);
    add_lapic(4, 0xff, 1);
    madt_add(&x2, sizeof(x2));
    madt_add(&dup, sizeof(dup));
    madt_add(unknown, sizeof(unknown));
    madt_add(&io, sizeof(io));
    madt_add(&irq0, sizeof(irq0));
    madt_add(&irq9, sizeof(irq9));
    madt_add(&eisa, sizeof(eisa));
    madt_add(&nmi, sizeof(nmi));
    madt_add(&src, sizeof(src));
    madt_add(&x2nmi, sizeof(x2nmi));
    table("APIC", madt, madt_len);
    assert_int_equal(parse(2), 0);

    assert_int_equal(info.lapic_addr, 0xfee00000);
    assert_true(info.pcat_compat);
    assert_int_equal(info.lp_count, 4);
    assert_int_equal(info.lps[1].apic_id.v, 2);
    assert_true(info.lps[1].enabled);
    assert_int_equal(info.lps[2].apic_id.v, 6);
    assert_false(info.lps[2].enabled);
    assert_int_equal(info.lps[3].apic_id.v, 300);
    assert_int_equal(info.lps[3].uid, 7);
    assert_int_equal(info.ioapic_count, 1);
    assert_int_equal(info.ioapics[0].addr, 0xfec00000);
    assert_int_equal(info.override_count, 2);
    assert_int_equal(info.overrides[0].gsi, 2);
    assert_int_equal(info.overrides[0].polarity, ACPI_POL_BUS);
    assert_int_equal(info.overrides[1].polarity, ACPI_POL_HIGH);
    assert_int_equal(info.overrides[1].trigger, ACPI_TRIG_LEVEL);
    assert_int_equal(info.nmi_count, 3);
    assert_true(info.nmis[0].uid == ACPI_UID_ALL);
    assert_int_equal(info.nmis[0].lint, 1);
    assert_int_equal(info.nmis[0].trigger, ACPI_TRIG_EDGE);
    assert_true(info.nmis[1].ioapic);
    assert_int_equal(info.nmis[1].gsi, 23);
    assert_int_equal(info.nmis[2].uid, 7);
}

static bool keep_even(apic_id_t apic_id)
{
    return !(apic_id.v & 1);
}

static void test_madt_hide(void **state)
{
    const struct madt_x2apic far = {{MADT_X2APIC, sizeof(far)}, 0, 301, 1, 9};
    uint8_t sum = 0;

    madt_begin();
    for (uint8_t i = 0; i < 4; i++)
        add_lapic(i, i, i < 3 ? 1 : 2);
    madt_add(&far, sizeof(far));
    uint64_t at = table("APIC", madt, madt_len);
    assert_int_equal(parse(2), 0);
    assert_int_equal(info.lp_count, 5);
    assert_true(info.madt == at);
    uint8_t *p = mem + info.madt;
    assert_int_equal(acpi_madt_hide(p, info.madt_len, keep_even), 3);
    for (uint32_t i = 0; i < info.madt_len; i++)
        sum = (uint8_t)(sum + p[i]);
    assert_int_equal(sum, 0);
    assert_int_equal(parse(2), 0);
    assert_int_equal(info.lp_count, 2);
    assert_int_equal(info.lps[1].apic_id.v, 2);
    assert_int_equal(acpi_madt_hide(p, info.madt_len, keep_even), 0);
}

static void test_madt_bounds(void **state)
{
    const struct madt_ioapic io = {{MADT_IOAPIC, sizeof(io)}, 1, 0, 0xfec00000, 0};

    madt_begin();
    for (unsigned i = 0; i < ACPI_LPS_MAX + 3; i++)
        add_lapic((uint8_t)i, (uint8_t)i, 1);
    table("APIC", madt, madt_len);
    assert_int_equal(parse(2), 0);
    assert_int_equal(info.lp_count, ACPI_LPS_MAX);
    assert_int_equal(info.lps_lost, 3);

    table_count = 0;
    for (unsigned i = 0; i <= ACPI_IOAPICS_MAX; i++)
        madt_add(&io, sizeof(io));
    table("APIC", madt, madt_len);
    assert_int_equal(parse(2), -ENOSPC);
    assert_non_null(why);
}

static void madt_fails(const uint8_t *entry, size_t len)
{
    table_count = 0;
    madt_begin();
    add_lapic(0, 0, 1);
    madt_add(entry, len);
    table("APIC", madt, madt_len);
    assert_int_equal(parse(2), -EINVAL);
    assert_non_null(why);
}

static void test_madt_malformed(void **state)
{
    madt_fails((const uint8_t[]){MADT_LAPIC, 0}, 2);
    madt_fails((const uint8_t[]){0x80, 1}, 2);
    madt_fails((const uint8_t[]){MADT_LAPIC, 8, 0, 0}, 4);
    madt_fails((const uint8_t[]){MADT_IOAPIC, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 11);
    table_count = 0;
    table("APIC", madt, 7);
    assert_int_equal(parse(2), -EINVAL);
    table_count = 0;
    madt_begin();
    table("APIC", madt, madt_len); /* no processor */
    assert_int_equal(parse(2), -EINVAL);
    table_count = 0;
    assert_int_equal(parse(2), -ENOENT); /* no MADT */
}

static void test_fadt(void **state)
{
    struct acpi_fadt_table f = {.facs = 0x1111,
                                .dsdt = 0x2222,
                                .sci_int = 9,
                                .pm1a_cnt = 0x604,
                                .pm_tmr = 0x608,
                                .pm1_cnt_len = 2,
                                .pm_tmr_len = 4,
                                .flags = FADT_RESET_REG | FADT_TMR_VAL_EXT,
                                .reset_reg = {ACPI_SPACE_IO, 8, 0, 0, 0xcf9},
                                .reset_value = 0xf,
                                .x_dsdt = 0x123456789,
                                .x_pm1a_cnt = {ACPI_SPACE_MEMORY, 16, 0, 0, 0xfed80804}};

    madt_small();
    table("FACP", (uint8_t *)&f + sizeof(f.header), sizeof(f) - sizeof(f.header));
    assert_int_equal(parse(2), 0);
    assert_true(info.fadt.present);
    assert_int_equal(info.fadt.sci, 9);
    assert_true(info.fadt.pm1a_control.addr == 0xfed80804);
    assert_int_equal(info.fadt.pm1a_control.space, ACPI_SPACE_MEMORY);
    assert_true(info.fadt.pm1b_control.addr == 0);
    assert_true(info.fadt.pm_timer.addr == 0x608);
    assert_int_equal(info.fadt.pm_timer.bits, 32);
    assert_true(info.fadt.reset.addr == 0xcf9);
    assert_int_equal(info.fadt.reset_value, 0xf);
    assert_true(info.fadt.dsdt == 0x123456789);
    assert_true(info.fadt.facs == 0x1111);

    /* ACPI 1.0: nothing after the flags. */
    table_count = 1;
    f.flags = FADT_RESET_REG;
    table("FACP", (uint8_t *)&f + sizeof(f.header), FADT_MIN_LEN - sizeof(f.header));
    assert_int_equal(parse(0), 0);
    assert_true(info.fadt.pm1a_control.addr == 0x604);
    assert_int_equal(info.fadt.pm1a_control.bits, 16);
    assert_int_equal(info.fadt.pm_timer.bits, 24);
    assert_true(info.fadt.reset.addr == 0);
    assert_true(info.fadt.dsdt == 0x2222);

    table_count = 1;
    table("FACP", (uint8_t *)&f + sizeof(f.header), FADT_MIN_LEN - sizeof(f.header) - 1);
    assert_int_equal(parse(2), 0);
    assert_false(info.fadt.present);
    assert_int_equal(info.bad_tables, 1);
}

static void test_hpet_mcfg_iommu(void **state)
{
    struct acpi_hpet_table h = {.base = {ACPI_SPACE_MEMORY, 64, 0, 0, 0xfed00000}};
    struct {
        uint64_t reserved;
        struct mcfg_entry e[3];
    } __attribute__((packed))
    m = {0, {{0xb0000000, 0, 0, 255, 0}, {0xc0000000, 1, 9, 8, 0}, {0xd0000000, 2, 0, 63, 0}}};

    madt_small();
    table("HPET", (uint8_t *)&h + sizeof(h.header), sizeof(h) - sizeof(h.header));
    table("MCFG", &m, sizeof(m));
    table("DMAR", NULL, 0);
    table("IVRS", NULL, 0);
    assert_int_equal(parse(2), 0);
    assert_true(info.hpet == 0xfed00000);
    assert_int_equal(info.mcfg_count, 2);
    assert_true(info.mcfgs[0].base == 0xb0000000);
    assert_int_equal(info.mcfgs[1].segment, 2);
    assert_true(info.has_dmar && info.has_ivrs);
}

static void test_damage(void **state)
{
    madt_small();
    uint64_t hpet = table("HPET", madt, 20);
    mem[hpet + 40] ^= 1; /* breaks the checksum */
    tables[table_count++] = 0;
    tables[table_count++] = MEM - 8; /* out of reach */
    uint64_t other = table("SSDT", madt, 20);
    mem[other + 40] ^= 1; /* not ours, so nobody cares */
    assert_int_equal(parse(2), 0);
    assert_true(info.hpet == 0);
    assert_int_equal(info.bad_tables, 2);
}

static void test_root(void **state)
{
    struct acpi_rsdp r;

    madt_small();
    uint32_t entry = (uint32_t)tables[0];
    uint64_t rsdt = table("RSDT", &entry, 4);

    /* An XSDT that is out of reach: the RSDT serves. */
    r = make_rsdp(2, rsdt, MEM * 2ULL);
    assert_int_equal(acpi_parse(&accessor, (uint8_t *)&r, 36, &info, &why), 0);
    r = make_rsdp(2, 0, UINT64_MAX - 8);
    assert_int_equal(acpi_parse(&accessor, (uint8_t *)&r, 36, &info, &why), -EFAULT);
    r.checksum++;
    assert_int_equal(acpi_parse(&accessor, (uint8_t *)&r, 36, &info, &why), -EINVAL);
    r = make_rsdp(2, rsdt, 0);
    assert_int_equal(acpi_parse(&accessor, (uint8_t *)&r, 19, &info, &why), -EINVAL);
    assert_int_equal(acpi_parse(&accessor, (uint8_t *)&r, 20, &info, &why), 0);
}

static void test_find(void **state)
{
    uint8_t copy[ACPI_RSDP_MAX];
    uint32_t len;
    uint64_t pa;
    struct acpi_rsdp v1 = make_rsdp(0, 0x1234, 0), v2 = make_rsdp(2, 0x1234, 0x5678);
    const uint16_t ebda = 0x9fc0;

    assert_int_equal(acpi_find_rsdp(&accessor, copy, &len, &pa), -ENOENT);
    memcpy(mem + 0xfffe0, &v1, 20);
    assert_int_equal(acpi_find_rsdp(&accessor, copy, &len, &pa), 0);
    assert_int_equal(pa, 0xfffe0);
    assert_int_equal(len, 20);
    v1.checksum++;
    memcpy(mem + 0xe0000, &v1, 20); /* damaged: passed over */
    assert_int_equal(acpi_find_rsdp(&accessor, copy, &len, &pa), 0);
    assert_int_equal(pa, 0xfffe0);
    memcpy(mem + 0x40e, &ebda, 2);
    memcpy(mem + 0x9fc10, &v2, 36);
    assert_int_equal(acpi_find_rsdp(&accessor, copy, &len, &pa), 0);
    assert_int_equal(pa, 0x9fc10);
    assert_int_equal(len, 36);
    assert_memory_equal(copy, &v2, 36);
    mem[0x9fc10 + 30]++; /* the extended part is damaged: the first 20 bytes still serve */
    assert_int_equal(acpi_find_rsdp(&accessor, copy, &len, &pa), 0);
    assert_int_equal(len, 20);
}

int main(void)
{
    const struct CMUnitTest tests_[] = {
        cmocka_unit_test_setup_teardown(test_madt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_madt_hide, setup, teardown),
        cmocka_unit_test_setup_teardown(test_madt_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_madt_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fadt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hpet_mcfg_iommu, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_root, setup, teardown),
        cmocka_unit_test_setup_teardown(test_find, setup, teardown),
    };
    return cmocka_run_group_tests(tests_, NULL, NULL);
}
