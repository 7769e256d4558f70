/* SPDX-License-Identifier: MIT */
#include "vmwp/linux.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "abi/boot/linux.h"
#include "lib/bits.h"
#include "lib/hosted/fd.h"
#include "vmwp/layout.h"

#define GDT_CODE 0x10U
#define GDT_DATA 0x18U

#define ENTRY_PRESENT 0x1ULL
#define ENTRY_WRITE   0x2ULL
#define ENTRY_LARGE   0x80ULL
#define LARGE_PAGE    0x200000ULL
#define TABLE_ENTRIES 512U

#define CR0_PE_ET_NE_PG 0x80000031ULL
#define CR4_PAE         0x20ULL
#define EFER_LME_LMA    0x500ULL
#define RFLAGS_FIXED    0x2ULL

#define E820_RAM      1U
#define E820_RESERVED 2U

#define READ_CHUNK (1U << 20)

static const char not_a_kernel[] =
    "kernel: not a bzImage of boot protocol 2.12 or later with a 64-bit entry";

int linux_inspect(const uint8_t *head, size_t len, uint64_t file_len, struct linux_kernel *out,
                  struct problem *why)
{
    struct linux_kernel k = {0};
    struct linux_setup_header h;
    uint64_t end;

    if (len > LINUX_HEAD_MAX)
        len = LINUX_HEAD_MAX;
    if (len < LINUX_HEADER_AT + sizeof(h) || file_len < len)
        return problem_set(why, -ENOEXEC, "%s", not_a_kernel);
    memcpy(&h, head + LINUX_HEADER_AT, sizeof(h));
    if (h.boot_flag != LINUX_BOOT_FLAG || h.header != LINUX_HEADER_MAGIC ||
        h.version < LINUX_VERSION_MIN || !(h.xloadflags & LINUX_XLF_KERNEL_64) ||
        !(h.loadflags & LINUX_LOADED_HIGH))
        return problem_set(why, -ENOEXEC, "%s", not_a_kernel);
    k.payload_offset = ((h.setup_sects ? h.setup_sects : 4U) + 1U) * (uint64_t)LINUX_SECTOR;
    k.payload_len = (uint64_t)h.syssize * 16;
    if (k.payload_offset >= file_len || k.payload_len == 0)
        return problem_set(why, -ENOEXEC, "kernel: the file is cut off");
    /* A signature may follow; the size is rounded up to 16 bytes. */
    if (k.payload_len > file_len - k.payload_offset) {
        if (k.payload_len - (file_len - k.payload_offset) >= 16)
            return problem_set(why, -ENOEXEC, "kernel: the file is cut off");
        k.payload_len = file_len - k.payload_offset;
    }
    k.preferred = h.pref_address;
    k.room = align_up(max_u64(h.init_size, k.payload_len), LAYOUT_PAGE);
    k.alignment = h.relocatable_kernel ? h.kernel_alignment : 0;
    if ((k.alignment & (k.alignment - 1)) || k.preferred % LAYOUT_PAGE ||
        k.preferred < LAYOUT_KERNEL_MIN || k.preferred > MEMORY_LOW_END)
        return problem_set(why, -ENOEXEC, "kernel: its load address or alignment makes no sense");
    k.alignment = k.alignment ? max_u64(k.alignment, LAYOUT_PAGE) : 0;
    k.initrd_max = h.initrd_addr_max;
    k.cmdline_max = h.cmdline_size;
    end = 0x202ULL + h.jump[1];
    end = min_u64(min_u64(max_u64(end, LINUX_HEADER_AT + sizeof(h)), LINUX_HEADER_END), len);
    k.header_len = (uint32_t)(end - LINUX_HEADER_AT);
    memcpy(k.header, head + LINUX_HEADER_AT, k.header_len);
    *out = k;
    return 0;
}

static bool fits(uint64_t at, uint64_t room, uint64_t low)
{
    return at >= LAYOUT_KERNEL_MIN && at <= low && room <= low - at;
}

int linux_place(const struct linux_kernel *k, uint64_t low, uint64_t initrd_len,
                struct linux_plan *out, struct problem *why)
{
    struct linux_plan p = {.kernel = k->preferred, .initrd_len = initrd_len};
    uint64_t end, top = min_u64(low, k->initrd_max + 1);

    if (!fits(p.kernel, k->room, low) && k->alignment)
        p.kernel = align_up(LAYOUT_KERNEL_MIN, k->alignment);
    if (!fits(p.kernel, k->room, low))
        return problem_set(why, -ENOSPC, "memory: too little for the kernel, it wants %llu MiB",
                           (unsigned long long)((k->preferred + k->room) >> 20));
    end = p.kernel + k->room;
    if (initrd_len) {
        if (top < end || align_up(initrd_len, LAYOUT_PAGE) > top - end)
            return problem_set(why, -ENOSPC,
                               "memory: too little for the kernel and an initrd of %llu MiB",
                               (unsigned long long)(initrd_len >> 20));
        p.initrd = align_down(top - initrd_len, LAYOUT_PAGE);
    }
    p.entry = p.kernel + LINUX_ENTRY64;
    *out = p;
    return 0;
}

/* Bytes of a file into RAM. */
static int file_copy(int fd, uint64_t from, const struct memory *m, uint64_t at, uint64_t len,
                     const char *what, struct problem *why)
{
    uint8_t *to = memory_span(m, gpa(at), len);

    if (!to)
        return problem_set(why, -ENOSPC, "%s: does not fit into memory", what);
    for (uint64_t done = 0; done < len;) {
        ssize_t n = pread(fd, to + done, min_u64(len - done, READ_CHUNK), (off_t)(from + done));
        if (n < 0)
            return problem_set(why, -errno, "%s: %m", what);
        if (n == 0)
            return problem_set(why, -EIO, "%s: the file has shrunk", what);
        done += (uint64_t)n;
    }
    return 0;
}

static int file_size(int fd, uint64_t *out, const char *what, struct problem *why)
{
    struct stat st;

    if (fd_stat(fd, &st) < 0)
        return problem_set(why, -errno, "%s: %m", what);
    *out = (uint64_t)st.st_size;
    return 0;
}

static void e820_add(struct linux_boot_params *bp, uint64_t start, uint64_t end, uint32_t type)
{
    bp->e820_table[bp->e820_entries++] = (struct linux_e820_entry){start, end - start, type};
}

static void e820_fill(struct linux_boot_params *bp, const struct memory *m)
{
    e820_add(bp, 0, LAYOUT_LOW_RAM_END, E820_RAM);
    e820_add(bp, LAYOUT_LOW_RAM_END, LAYOUT_VGA, E820_RESERVED);
    e820_add(bp, LAYOUT_ACPI, LAYOUT_ACPI_END, E820_RESERVED);
    e820_add(bp, LAYOUT_ACPI_END, memory_low_size(m), E820_RAM);
    for (unsigned i = 1; i < m->count; i++)
        e820_add(bp, m->region[i].start, m->region[i].start + m->region[i].size, E820_RAM);
}

static void params_fill(struct linux_boot_params *bp, const struct linux_kernel *k,
                        const struct linux_boot *boot, const struct linux_plan *p,
                        const struct memory *m)
{
    memcpy((uint8_t *)bp + LINUX_HEADER_AT, k->header, k->header_len);
    bp->hdr.type_of_loader = LINUX_LOADER_UNKNOWN;
    bp->hdr.code32_start = (uint32_t)p->kernel;
    bp->hdr.cmd_line_ptr = LAYOUT_CMDLINE;
    bp->hdr.ramdisk_image = (uint32_t)p->initrd; /* below 3 GiB */
    bp->hdr.ramdisk_size = (uint32_t)p->initrd_len;
    bp->hdr.setup_data = 0;
    bp->acpi_rsdp_addr = boot->rsdp;
    e820_fill(bp, m);
}

/* The first 4 GiB as they are, in large pages. */
static void tables_fill(uint8_t *tables)
{
    uint64_t *pml4 = (uint64_t *)(void *)tables, *pdpt = pml4 + TABLE_ENTRIES;
    uint64_t *pd = pdpt + TABLE_ENTRIES;

    pml4[0] = (LAYOUT_TABLES + LAYOUT_PAGE) | ENTRY_PRESENT | ENTRY_WRITE;
    for (unsigned i = 0; i < 4; i++)
        pdpt[i] = (LAYOUT_TABLES + (2 + i) * LAYOUT_PAGE) | ENTRY_PRESENT | ENTRY_WRITE;
    for (unsigned i = 0; i < 4 * TABLE_ENTRIES; i++)
        pd[i] = i * LARGE_PAGE | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_LARGE;
}

/* Everything but the kernel and the initrd. All of it lies in the first 640 KiB. */
static int low_fill(const struct linux_kernel *k, const struct linux_boot *boot,
                    const struct linux_plan *p, const struct memory *m, struct problem *why)
{
    static const uint64_t gdt[] = {0, 0, 0x00AF9B000000FFFFULL, 0x00CF93000000FFFFULL};
    struct linux_boot_params bp = {0};
    size_t len = strlen(boot->cmdline);
    uint8_t *tables = memory_span(m, gpa(LAYOUT_TABLES), 6 * LAYOUT_PAGE);

    if (len > k->cmdline_max || len >= LAYOUT_CMDLINE_MAX)
        return problem_set(why, -E2BIG, "cmdline: longer than the %u bytes this kernel takes",
                           k->cmdline_max);
    params_fill(&bp, k, boot, p, m);
    if (!tables || memory_write(m, gpa(LAYOUT_GDT), gdt, sizeof(gdt)) < 0 ||
        memory_write(m, gpa(LAYOUT_PARAMS), &bp, sizeof(bp)) < 0 ||
        memory_write(m, gpa(LAYOUT_CMDLINE), boot->cmdline, len + 1) < 0)
        return problem_set(why, -ENOSPC, "memory: too little");
    tables_fill(tables);
    return 0;
}

int linux_load(const struct linux_boot *boot, const struct memory *m, struct linux_plan *out,
               struct problem *why)
{
    uint8_t head[LINUX_HEAD_MAX];
    uint64_t kernel_len = 0, initrd_len = 0;
    struct linux_kernel k;
    struct linux_plan p;
    int err = file_size(boot->kernel, &kernel_len, "kernel", why);

    if (!err && boot->initrd >= 0)
        err = file_size(boot->initrd, &initrd_len, "initrd", why);
    if (err)
        return err;
    ssize_t n = pread(boot->kernel, head, sizeof(head), 0);
    if (n < 0)
        return problem_set(why, -errno, "kernel: %m");
    err = linux_inspect(head, (size_t)n, kernel_len, &k, why);
    if (!err)
        err = linux_place(&k, memory_low_size(m), initrd_len, &p, why);
    if (!err)
        err = low_fill(&k, boot, &p, m, why);
    if (!err)
        err = file_copy(boot->kernel, k.payload_offset, m, p.kernel, k.payload_len, "kernel", why);
    if (!err && initrd_len)
        err = file_copy(boot->initrd, 0, m, p.initrd, initrd_len, "initrd", why);
    if (!err)
        *out = p;
    return err;
}

static struct hv_register_assoc reg64(uint32_t name, uint64_t v)
{
    return (struct hv_register_assoc){.name = name, .value = {.reg64 = v}};
}

static struct hv_register_assoc segment(uint32_t name, uint16_t selector, uint16_t attributes)
{
    return (struct hv_register_assoc){.name = name,
                                      .value = {.segment = {0, 0xFFFFFFFF, selector, attributes}}};
}

void linux_registers(const struct linux_plan *plan, struct hv_register_assoc *regs)
{
    const struct hv_register_assoc list[LINUX_REGISTERS] = {
        /* Long mode first, so that what follows is valid in it. */
        reg64(HV_X64_REGISTER_CR3, LAYOUT_TABLES),
        reg64(HV_X64_REGISTER_CR4, CR4_PAE),
        reg64(HV_X64_REGISTER_EFER, EFER_LME_LMA),
        reg64(HV_X64_REGISTER_CR0, CR0_PE_ET_NE_PG),
        segment(HV_X64_REGISTER_CS, GDT_CODE, 0xA09B), /* present, code, accessed; G, L */
        segment(HV_X64_REGISTER_DS, GDT_DATA, 0xC093), /* present, data, accessed; G, D */
        segment(HV_X64_REGISTER_ES, GDT_DATA, 0xC093),
        segment(HV_X64_REGISTER_SS, GDT_DATA, 0xC093),
        segment(HV_X64_REGISTER_FS, GDT_DATA, 0xC093),
        segment(HV_X64_REGISTER_GS, GDT_DATA, 0xC093),
        {.name = HV_X64_REGISTER_TR, .value = {.segment = {0, 0x67, 0, 0x008B}}},   /* busy TSS */
        {.name = HV_X64_REGISTER_LDTR, .value = {.segment = {0, 0xFFFF, 0, 0x82}}}, /* an LDT */
        {.name = HV_X64_REGISTER_GDTR, .value = {.table = {.limit = 31, .base = LAYOUT_GDT}}},
        {.name = HV_X64_REGISTER_IDTR, .value = {.table = {.limit = 0, .base = 0}}},
        reg64(HV_X64_REGISTER_RSP, LAYOUT_STACK),
        reg64(HV_X64_REGISTER_RSI, LAYOUT_PARAMS),
        reg64(HV_X64_REGISTER_RBX, 0),
        reg64(HV_X64_REGISTER_RBP, 0),
        reg64(HV_X64_REGISTER_RFLAGS, RFLAGS_FIXED),
        reg64(HV_X64_REGISTER_RIP, plan->entry),
    };

    memcpy(regs, list, sizeof(list));
}
