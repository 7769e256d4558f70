/* SPDX-License-Identifier: MIT */
/* What the worker puts into the memory of a machine: ACPI tables, kernel, initrd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "tests/unit/shim_kernel.h"
#include "vmwp/acpi.h"
#include "abi/boot/acpi.h"
#include "vmwp/layout.h"
#include "vmwp/linux.h"

#define MIB 0x100000ULL

static struct memory m;
static struct problem why;
static uint8_t image[SHIM_KERNEL_BYTES];

static int reset(void **state)
{
    shim_kernel(image);
    return memory_create(&m, 64 * MIB, false, &why);
}

static int cleanup(void **state)
{
    memory_destroy(&m);
    return 0;
}

static const void *at(uint64_t where, uint64_t len)
{
    const void *p = memory_span(&m, gpa(where), len);

    assert_non_null(p);
    return p;
}

static uint8_t sum(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint8_t s = 0;

    while (n--)
        s = (uint8_t)(s + *b++);
    return s;
}

static const struct acpi_header *table(uint64_t where, const char *signature)
{
    const struct acpi_header *h = at(where, sizeof(*h));

    assert_memory_equal(h->signature, signature, 4);
    assert_int_equal(sum(at(where, h->length), h->length), 0);
    return h;
}

static const struct acpi_header *find(unsigned index, const char *signature)
{
    const struct acpi_rsdp *rsdp = at(LAYOUT_ACPI, sizeof(*rsdp));
    uint64_t where;

    memcpy(&where, (const uint8_t *)(table(rsdp->xsdt, "XSDT") + 1) + 8 * index, 8);
    return table(where, signature);
}

static void test_memory(void **state)
{
    uint8_t b[2] = {1, 2};

    assert_true(memory_low_size(&m) == 64 * MIB);
    assert_true(memory_is_ram(&m, gpa(0), 64 * MIB));
    assert_false(memory_is_ram(&m, gpa(0), 64 * MIB + 1));
    assert_false(memory_is_ram(&m, gpa(64 * MIB), 1));
    assert_false(memory_is_ram(&m, gpa(1), ~0ULL));
    assert_false(memory_is_ram(&m, gpa(~0ULL), 2));
    assert_int_equal(memory_write(&m, gpa(64 * MIB - 1), b, 2), -EFAULT);
    assert_int_equal(memory_write(&m, gpa(64 * MIB - 2), b, 2), 0);
    b[0] = 0;
    assert_int_equal(memory_read(&m, gpa(64 * MIB - 2), b, 1), 0);
    assert_int_equal(b[0], 1);
    assert_int_equal(((uintptr_t)m.region[0].host) % (2 * MIB), 0);
}

static void test_too_much_memory(void **state)
{
    assert_int_equal(memory_check(1ULL << 50, false, &why), -ENOMEM);
    assert_memory_equal(why.text, "memory: 1073741824 MiB are wanted, the host has ", 48);
}

/* Locking itself is what the sanitizer replaces by nothing. */
static void test_pinned_memory(void **state)
{
    struct memory pinned;

    assert_int_equal(memory_check(1ULL << 50, true, &why), -ENOMEM);
    assert_memory_equal(why.text, "memory: 1073741824 MiB are wanted, the host has ", 48);
    assert_int_equal(memory_create(&pinned, 4 * MIB, true, &why), 0);
    assert_int_equal(memory_low_size(&pinned), 4 * MIB);
    memory_destroy(&pinned);
}

static void test_acpi(void **state)
{
    const struct acpi_rsdp *rsdp;
    const struct acpi_fadt_table *fadt;
    const struct acpi_header *dsdt;

    assert_int_equal(acpi_build(&m, 4), 0);
    rsdp = at(LAYOUT_ACPI, sizeof(*rsdp));
    assert_memory_equal(rsdp->signature, "RSD PTR ", 8);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    fadt = (const struct acpi_fadt_table *)find(0, "FACP");
    assert_int_equal(fadt->header.length, 276);
    assert_int_equal(fadt->pm1a_cnt, 0x604);
    assert_int_equal(fadt->sci_int, 9);
    assert_true(fadt->reset_reg.addr == 0xCF9);
    assert_int_equal(fadt->reset_value, 6);
    assert_true(fadt->flags & 1U << 10);
    assert_int_equal(fadt->x_dsdt, fadt->dsdt);
    dsdt = table(fadt->x_dsdt, "DSDT");
    assert_memory_equal(at(fadt->facs, 64), "FACS", 4);
    assert_int_equal(fadt->facs % 64, 0);
    assert_int_equal(dsdt->revision, 2);
}

static void test_dsdt_bytes(void **state)
{
    static const uint8_t aml[] = {
        0x10, 0x4B, 0x0B, '\\', '_',  'S',  'B',  '_',                    /* Scope (\_SB) */
        0x5B, 0x82, 0x4E, 0x02, 'C',  'O',  'M',  '1',                    /* Device (COM1) */
        0x08, '_',  'H',  'I',  'D',  0x0C, 0x41, 0xD0, 0x05, 0x01,       /* PNP0501 */
        0x08, '_',  'U',  'I',  'D',  0x0A, 0x01,                         /* 1 */
        0x08, '_',  'C',  'R',  'S',  0x11, 0x41, 0x01, 0x0A, 0x0D,       /* 13 bytes */
        0x47, 0x01, 0xF8, 0x03, 0xF8, 0x03, 0x01, 0x08, 0x22, 0x10, 0x00, /* ports, IRQ 4 */
        0x79, 0x00};
    static const uint8_t vmbus[] = {
        0x5B, 0x82, 0x42, 0x05, 'V',  'M',  'B',  '8',                      /* Device (VMB8) */
        0x08, '_',  'H',  'I',  'D',  0x0D, 'V',  'M',  'B',  'U',  'S', 0, /* a string */
        0x08, '_',  'D',  'D',  'N',  0x0D, 'V',  'M',  'B',  'U',  'S', 0, /* likewise */
        0x08, '_',  'U',  'I',  'D',  0x0A, 0,                              /* 0 */
        0x08, '_',  'S',  'T',  'A',  0x0A, 0x0F,                           /* present */
        0x08, '_',  'C',  'R',  'S',  0x11, 0x40, 0x02, 0x0A, 0x1C,         /* 28 bytes */
        0x87, 0x17, 0,    0,    0x0D, 1,    0,    0,    0,    0,            /* memory */
        0,    0,    0,    0xE0, 0xFF, 0xFF, 0xFF, 0xF7,                     /* from, to */
        0,    0,    0,    0,    0,    0,    0,    0x18, 0x79, 0};           /* length */
    static const uint8_t s5[] = {0x08, '\\', '_', 'S',  '5', '_',  0x12, 0x4B, 0x00,
                                 0x04, 0x0A, 5,   0x0A, 5,   0x0A, 0,    0x0A, 0};
    const struct acpi_header *dsdt;

    assert_int_equal(acpi_build(&m, 1), 0);
    dsdt = table(((const struct acpi_fadt_table *)find(0, "FACP"))->x_dsdt, "DSDT");
    assert_memory_equal(dsdt + 1, aml, sizeof(aml));
    assert_memory_equal((const uint8_t *)dsdt + dsdt->length - sizeof(s5), s5, sizeof(s5));
    assert_memory_equal((const uint8_t *)dsdt + dsdt->length - sizeof(s5) - sizeof(vmbus), vmbus,
                        sizeof(vmbus));
}

static void test_madt(void **state)
{
    const struct acpi_madt *madt;
    unsigned lapics = 0, others = 0;

    assert_int_equal(acpi_build(&m, 64), 0);
    madt = (const struct acpi_madt *)find(1, "APIC");
    const uint8_t *p = (const uint8_t *)(madt + 1);
    const uint8_t *end = (const uint8_t *)madt + madt->header.length;
    for (; p < end; p += p[1]) {
        assert_true(p[1] >= 6 && p + p[1] <= end);
        if (p[0] == 0)
            assert_int_equal(p[3], lapics++);
        else
            others++;
    }
    assert_int_equal(lapics, 64);
    assert_int_equal(others, 4); /* I/O APIC, two overrides, NMI */
    /* Ids beyond 8 bits have entries of their own kind. */
    assert_int_equal(acpi_build(&m, 300), 0);
    assert_int_equal(find(1, "APIC")->length, 44 + 255 * 8 + 45 * 16 + 12 + 20 + 6);
    assert_int_equal(acpi_build(&m, 100000), -ENOSPC);
}

static void test_load(void **state)
{
    const uint8_t initrd[5000] = {1, 2, 3};
    struct linux_boot boot = {shim_file(image, sizeof(image)), shim_file(initrd, sizeof(initrd)),
                              "console=ttyS0", LAYOUT_ACPI};
    const struct linux_boot_params *bp;
    const uint64_t *tables;
    struct linux_plan plan;

    assert_int_equal(linux_load(&boot, &m, &plan, &why), 0);
    assert_true(plan.kernel == SHIM_KERNEL_AT);
    assert_true(plan.entry == SHIM_KERNEL_AT + 0x200);
    assert_true(plan.initrd == 64 * MIB - 8192);
    bp = at(LAYOUT_PARAMS, sizeof(*bp));
    assert_int_equal(bp->hdr.header, LINUX_HEADER_MAGIC);
    assert_int_equal(bp->hdr.type_of_loader, 0xFF);
    assert_int_equal(bp->hdr.ramdisk_image, plan.initrd);
    assert_int_equal(bp->hdr.ramdisk_size, sizeof(initrd));
    assert_true(bp->acpi_rsdp_addr == LAYOUT_ACPI);
    assert_int_equal(bp->e820_entries, 4);
    assert_true(bp->e820_table[3].addr == MIB && bp->e820_table[3].size == 63 * MIB);
    assert_string_equal((const char *)at(bp->hdr.cmd_line_ptr, 14), "console=ttyS0");
    assert_memory_equal(at(plan.kernel, 16), image + 4 * 512, 16);
    assert_memory_equal(at(plan.initrd, sizeof(initrd)), initrd, sizeof(initrd));
    tables = at(LAYOUT_TABLES, 6 * 4096);
    assert_true(tables[0] == (LAYOUT_TABLES + 0x1003));
    assert_true(tables[2 * 512 + 3] == (3 * 0x200000 | 0x83));
    (void)close(boot.kernel);
    (void)close(boot.initrd);
}

static void test_registers(void **state)
{
    struct hv_register_assoc regs[LINUX_REGISTERS];
    const struct linux_plan plan = {.entry = 0x1000200};
    uint64_t efer = 0, cr0 = 0, rip = 0;

    linux_registers(&plan, regs);
    for (unsigned i = 0; i < LINUX_REGISTERS; i++) {
        efer = regs[i].name == HV_X64_REGISTER_EFER ? regs[i].value.reg64 : efer;
        cr0 = regs[i].name == HV_X64_REGISTER_CR0 ? regs[i].value.reg64 : cr0;
        rip = regs[i].name == HV_X64_REGISTER_RIP ? regs[i].value.reg64 : rip;
    }
    assert_true(efer == 0x500 && cr0 == 0x80000031 && rip == 0x1000200);
}

static void refuse(const char *text)
{
    struct linux_kernel k;

    assert_int_equal(linux_inspect(image, 4096, sizeof(image), &k, &why), -ENOEXEC);
    assert_string_equal(why.text, text);
    shim_kernel(image);
}

static void test_not_a_kernel(void **state)
{
    static const char none[] =
        "kernel: not a bzImage of boot protocol 2.12 or later with a 64-bit entry";
    struct linux_setup_header *h = (struct linux_setup_header *)(void *)(image + LINUX_HEADER_AT);
    struct linux_kernel k;

    h->header = 0;
    refuse(none);
    h->version = 0x20b;
    refuse(none);
    h->xloadflags = 0;
    refuse(none);
    h->syssize += 1;
    refuse("kernel: the file is cut off");
    h->setup_sects = 60;
    refuse("kernel: the file is cut off");
    h->kernel_alignment = 0x3000;
    refuse("kernel: its load address or alignment makes no sense");
    h->pref_address = 0x1000;
    refuse("kernel: its load address or alignment makes no sense");
    assert_int_equal(linux_inspect(image, 0x200, 0x200, &k, &why), -ENOEXEC);
}

static void test_places(void **state)
{
    struct linux_kernel k;
    struct linux_plan p;

    assert_int_equal(linux_inspect(image, 4096, sizeof(image), &k, &why), 0);
    assert_int_equal(linux_place(&k, 8 * MIB, 0, &p, &why), 0);
    assert_true(p.kernel == 2 * MIB); /* not where it wants to be */
    k.alignment = 0;
    assert_int_equal(linux_place(&k, 8 * MIB, 0, &p, &why), -ENOSPC);
    assert_int_equal(linux_place(&k, 0xC0000000, MIB, &p, &why), 0);
    assert_true(p.initrd == 0x80000000 - MIB); /* as high as the kernel can take it */
    assert_int_equal(linux_place(&k, 32 * MIB, 16 * MIB, &p, &why), -ENOSPC);
    assert_string_equal(why.text, "memory: too little for the kernel and an initrd of 16 MiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_too_much_memory, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_pinned_memory, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_acpi, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_dsdt_bytes, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_madt, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_load, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_registers, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_not_a_kernel, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_places, reset, cleanup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
