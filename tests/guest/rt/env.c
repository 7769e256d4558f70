/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/rt_priv.h"

/* Offsets in boot_params (Linux boot protocol) and in the multiboot information. */
#define BP_RSDP        0x070
#define BP_E820_COUNT  0x1e8
#define BP_CMDLINE     0x228
#define BP_E820_TABLE  0x2d0
#define MBI_FLAGS      0
#define MBI_CMDLINE    16
#define MBI_MMAP_SIZE  44
#define MBI_MMAP       48
#define MBI_HAS_CMD    (1U << 2)
#define MBI_HAS_MMAP   (1U << 6)
#define MULTIBOOT_INFO 0x2BADB002U

struct env env;

static uint32_t get32(uint64_t addr)
{
    uint32_t v;

    memcpy(&v, (const void *)addr, sizeof(v));
    return v;
}

static uint64_t get64(uint64_t addr)
{
    return get32(addr) | (uint64_t)get32(addr + 4) << 32;
}

static void e820_add(uint64_t entry)
{
    if (env.e820_count == MAX_E820)
        return;
    env.e820[env.e820_count++] =
        (struct e820_entry){get64(entry), get64(entry + 8), get32(entry + 16)};
}

static void cmdline_copy(uint64_t addr)
{
    size_t n = strnlen((const char *)addr, sizeof(env.cmdline) - 1);

    memcpy(env.cmdline, (const void *)addr, n);
}

void env_read(uint32_t multiboot_magic, uint64_t info)
{
    env.multiboot = multiboot_magic == MULTIBOOT_INFO;
    if (!env.multiboot) {
        unsigned count = *(const uint8_t *)(info + BP_E820_COUNT);

        cmdline_copy(get32(info + BP_CMDLINE));
        env.rsdp = get64(info + BP_RSDP);
        for (unsigned i = 0; i < count; i++)
            e820_add(info + BP_E820_TABLE + i * 20);
        return;
    }
    if (get32(info + MBI_FLAGS) & MBI_HAS_CMD)
        cmdline_copy(get32(info + MBI_CMDLINE));
    if (get32(info + MBI_FLAGS) & MBI_HAS_MMAP) {
        uint64_t at = get32(info + MBI_MMAP);
        uint64_t end = at + get32(info + MBI_MMAP_SIZE);

        for (; at < end; at += get32(at) + 4)
            e820_add(at + 4);
    }
}

bool mem_is_ram(uint64_t start, uint64_t size)
{
    for (unsigned i = 0; i < env.e820_count; i++) {
        const struct e820_entry *e = &env.e820[i];

        if (e->type == 1 && start >= e->addr && start + size <= e->addr + e->size)
            return true;
    }
    return false;
}

/* The text after "name=" where it begins a word of the command line. */
static const char *option_find(const char *name)
{
    size_t n = strlen(name);

    for (const char *p = env.cmdline; *p; p++) {
        if ((p == env.cmdline || p[-1] == ' ') && !strncmp(p, name, n) && p[n] == '=')
            return p + n + 1;
    }
    return NULL;
}

bool option_text(const char *name, char *buf, size_t size)
{
    const char *p = option_find(name);
    size_t n = 0;

    if (!p)
        return false;
    for (; *p && *p != ' ' && n + 1 < size; p++)
        buf[n++] = *p;
    buf[n] = 0;
    return true;
}

uint64_t option_number(const char *name, uint64_t fallback)
{
    const char *p = option_find(name);
    unsigned base = 10;
    uint64_t v = 0;

    if (!p)
        return fallback;
    if (p[0] == '0' && p[1] == 'x') {
        base = 16;
        p += 2;
    }
    for (; *p && *p != ' '; p++) {
        if (*p >= '0' && *p <= '9')
            v = v * base + (uint64_t)(*p - '0');
        else if (base == 16 && *p >= 'a' && *p <= 'f')
            v = v * base + (uint64_t)(*p - 'a' + 10);
        else
            break;
    }
    return v;
}

/* ---- ACPI: only the list of processors is of interest ---------------------------------- */

#define MADT_LAPIC   0
#define MADT_X2APIC  9
#define MADT_ENABLED 1U

static uint64_t rsdp_scan(uint64_t from, uint64_t to)
{
    for (uint64_t a = from; a < to; a += 16) {
        if (!memcmp((const void *)a, "RSD PTR ", 8))
            return a;
    }
    return 0;
}

static uint64_t acpi_table(const char *signature)
{
    uint64_t rsdp = env.rsdp ? env.rsdp : rsdp_scan(0xE0000, 0x100000);
    bool wide;
    uint64_t root;
    uint32_t size;

    if (!rsdp)
        return 0;
    wide = *(const uint8_t *)(rsdp + 15) >= 2 && get64(rsdp + 24);
    root = wide ? get64(rsdp + 24) : get32(rsdp + 16);
    size = wide ? 8 : 4;
    for (uint64_t at = root + 36; at + size <= root + get32(root + 4); at += size) {
        uint64_t t = wide ? get64(at) : get32(at);

        if (!memcmp((const void *)t, signature, 4))
            return t;
    }
    return 0;
}

unsigned acpi_processors(uint32_t *ids, unsigned max)
{
    uint64_t madt = acpi_table("APIC");
    unsigned n = 0;

    if (!madt)
        return 0;
    for (uint64_t at = madt + 44; at + 2 <= madt + get32(madt + 4) && n < max;) {
        const uint8_t *e = (const uint8_t *)at;

        if (e[0] == MADT_LAPIC && (get32(at + 4) & MADT_ENABLED))
            ids[n++] = e[3];
        else if (e[0] == MADT_X2APIC && (get32(at + 8) & MADT_ENABLED))
            ids[n++] = get32(at + 4);
        if (e[1] < 2)
            break;
        at += e[1];
    }
    return n;
}
