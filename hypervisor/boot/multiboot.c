/* SPDX-License-Identifier: MIT */
#include "hypervisor/boot/multiboot.h"

#include "hypervisor/boot/efi_memmap.h"
#include "hypervisor/boot/multiboot_abi.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Bounds of what is read at all; real values are a few hundred bytes to some 100 KiB. */
#define MB1_MMAP_MAX (64U << 10)
#define MB2_INFO_MAX (4U << 20)

#define KIB         1024ULL
#define UPPER_START 0x100000ULL
#define FB_SIDE_MAX 16384U

/** One run of the parser. */
struct parse {
    const struct boot_mem *mem;
    struct boot_info *out;
    const char **why;
};

static int fail(struct parse *p, int err, const char *why)
{
    *p->why = why;
    return err;
}

/** Copy from physical memory. */
static int fetch(struct parse *p, uint64_t pa, void *buf, size_t len)
{
    const void *src = p->mem->map(p->mem->ctx, pa, len);

    if (!src)
        return -EFAULT;
    memcpy(buf, src, len);
    return 0;
}

/** Copy a NUL-terminated string, byte by byte as its length is not known before. */
static int fetch_string(struct parse *p, uint64_t pa, char *buf, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        int err = fetch(p, pa + i, &buf[i], 1);

        if (err)
            return err;
        if (!buf[i])
            return 0;
    }
    buf[size - 1] = '\0';
    return -E2BIG;
}

/** Copy a string that has a field of `len` bytes, whether or not a NUL ends it. */
static int copy_string(const uint8_t *src, size_t len, char *buf, size_t size)
{
    size_t n = strnlen((const char *)src, len);

    if (n >= size) {
        memcpy(buf, src, size - 1);
        buf[size - 1] = '\0';
        return -E2BIG;
    }
    memcpy(buf, src, n);
    buf[n] = '\0';
    return 0;
}

static int add_memory(struct parse *p, uint64_t addr, uint64_t len, uint32_t type)
{
    /* ACPI 6.5, 15.2: types that are not known count as reserved. */
    enum range_type t =
        type >= RANGE_RAM && type <= RANGE_UNUSABLE ? (enum range_type)type : RANGE_RESERVED;

    if (range_map_add(&p->out->map, addr, len, t))
        return fail(p, -ENOSPC, "boot loader: the memory map has too many ranges");
    return 0;
}

static int add_basic_memory(struct parse *p, uint32_t lower_kib, uint32_t upper_kib)
{
    int err = add_memory(p, 0, lower_kib * KIB, RANGE_RAM);

    return err ? err : add_memory(p, UPPER_START, upper_kib * KIB, RANGE_RAM);
}

/** The next free module, its range checked and filled in, or NULL. */
static struct boot_module *add_module(struct parse *p, uint32_t start, uint32_t end, int *err)
{
    if (p->out->module_count == BOOT_MODULES_MAX) {
        *err = fail(p, -E2BIG, "boot loader: too many modules");
        return NULL;
    }
    if (start > end) {
        *err = fail(p, -EINVAL, "boot loader: a module ends before it starts");
        return NULL;
    }
    struct boot_module *m = &p->out->modules[p->out->module_count++];
    m->start = start;
    m->end = end;
    return m;
}

/** Take over a screen if it makes sense; a broken description is no reason not to start. */
static void set_framebuffer(struct boot_framebuffer *fb, const struct mb2_framebuffer *in,
                            const uint8_t color[6])
{
    struct boot_framebuffer f = {.addr = in->addr,
                                 .pitch = in->pitch,
                                 .width = in->width,
                                 .height = in->height,
                                 .bpp = in->bpp};

    if (!f.addr || !f.width || !f.height || f.width > FB_SIDE_MAX || f.height > FB_SIDE_MAX)
        return;
    if (in->type == MB_FB_TEXT) {
        f.type = BOOT_FB_TEXT;
    } else if (in->type == MB_FB_RGB && color) {
        if (f.bpp < 15 || f.bpp > 32 || f.pitch < f.width * ((f.bpp + 7U) / 8U) ||
            f.pitch > UINT16_MAX)
            return;
        f.type = BOOT_FB_RGB;
        f.red_pos = color[0];
        f.red_size = color[1];
        f.green_pos = color[2];
        f.green_size = color[3];
        f.blue_pos = color[4];
        f.blue_size = color[5];
    } else {
        return;
    }
    *fb = f;
}

/* ---- Multiboot 1 ---- */

static int mb1_modules(struct parse *p, const struct mb1_info *info)
{
    for (uint32_t i = 0; i < info->mods_count; i++) {
        struct mb1_module in;
        int err = fetch(p, info->mods_addr + (uint64_t)i * sizeof(in), &in, sizeof(in));

        if (err)
            return fail(p, err, "boot loader: the module list is out of reach");
        struct boot_module *m = add_module(p, in.start, in.end, &err);
        if (!m)
            return err;
        err = in.string ? fetch_string(p, in.string, m->string, sizeof(m->string)) : 0;
        if (err)
            return fail(p, err, "boot loader: a module's string is too long or out of reach");
    }
    return 0;
}

static int mb1_mmap(struct parse *p, const struct mb1_info *info)
{
    uint32_t len = info->mmap_length;

    if (len > MB1_MMAP_MAX)
        return fail(p, -E2BIG, "boot loader: the memory map is too long");
    const uint8_t *map = len ? p->mem->map(p->mem->ctx, info->mmap_addr, len) : NULL;
    if (!map)
        return fail(p, -EFAULT, "boot loader: the memory map is empty or out of reach");

    struct mb1_mmap_entry e;
    for (uint32_t at = 0; len - at >= sizeof(e);) {
        memcpy(&e, map + at, sizeof(e));
        if (e.size < sizeof(e) - sizeof(e.size) || e.size > len - at - sizeof(e.size))
            return fail(p, -EINVAL, "boot loader: an entry of the memory map has a wrong size");
        int err = add_memory(p, e.addr, e.len, e.type);
        if (err)
            return err;
        at += e.size + (uint32_t)sizeof(e.size);
    }
    return 0;
}

static int mb1_strings(struct parse *p, const struct mb1_info *info)
{
    int err;

    if ((info->flags & MB1_HAS_CMDLINE) && info->cmdline) {
        err = fetch_string(p, info->cmdline, p->out->cmdline, sizeof(p->out->cmdline));
        if (err)
            return fail(p, err, "boot loader: the command line is too long or out of reach");
    }
    if ((info->flags & MB1_HAS_LOADER) && info->boot_loader_name) {
        err = fetch_string(p, info->boot_loader_name, p->out->loader, sizeof(p->out->loader));
        if (err && err != -E2BIG)
            return fail(p, err, "boot loader: its name is out of reach");
    }
    return 0;
}

static void mb1_framebuffer(struct parse *p, uint64_t pa)
{
    struct mb1_framebuffer in;

    if (fetch(p, pa + sizeof(struct mb1_info), &in, sizeof(in)))
        return;
    struct mb2_framebuffer fb = {.addr = in.addr,
                                 .pitch = in.pitch,
                                 .width = in.width,
                                 .height = in.height,
                                 .bpp = in.bpp,
                                 .type = in.type};
    set_framebuffer(&p->out->fb, &fb, in.color);
}

static int mb1_parse(struct parse *p, uint64_t pa)
{
    struct mb1_info info;
    int err = fetch(p, pa, &info, sizeof(info));

    if (err)
        return fail(p, err, "boot loader: its information is out of reach");
    p->out->info_start = pa;
    p->out->info_end = pa + sizeof(info) + sizeof(struct mb1_framebuffer);

    if (info.flags & MB1_HAS_MMAP)
        err = mb1_mmap(p, &info);
    else if (info.flags & MB1_HAS_MEM)
        err = add_basic_memory(p, info.mem_lower_kib, info.mem_upper_kib);
    if (!err)
        err = mb1_strings(p, &info);
    if (!err && (info.flags & MB1_HAS_MODULES))
        err = mb1_modules(p, &info);
    if (!err && (info.flags & MB1_HAS_FRAMEBUFFER))
        mb1_framebuffer(p, pa);
    return err;
}

/* ---- Multiboot 2 ---- */

/** The body of one tag: `len` bytes, and where they are. */
struct body {
    const uint8_t *data;
    uint32_t len;
    uint64_t pa;
};

static int mb2_module(struct parse *p, const struct body *b)
{
    struct mb2_module in;
    int err = 0;

    if (b->len < sizeof(in))
        return fail(p, -EINVAL, "boot loader: a module tag is too short");
    memcpy(&in, b->data, sizeof(in));
    struct boot_module *m = add_module(p, in.start, in.end, &err);
    if (!m)
        return err;
    err = copy_string(b->data + sizeof(in), b->len - sizeof(in), m->string, sizeof(m->string));
    return err ? fail(p, err, "boot loader: a module's string is too long") : 0;
}

static int mb2_mmap(struct parse *p, const struct body *b)
{
    struct mb2_mmap head;
    struct mb2_mmap_entry e;

    if (b->len < sizeof(head))
        return fail(p, -EINVAL, "boot loader: the memory map tag is too short");
    memcpy(&head, b->data, sizeof(head));
    if (head.entry_size < sizeof(e))
        return fail(p, -EINVAL, "boot loader: an entry of the memory map has a wrong size");
    for (uint32_t at = sizeof(head); b->len - at >= head.entry_size; at += head.entry_size) {
        memcpy(&e, b->data + at, sizeof(e));
        int err = add_memory(p, e.addr, e.len, e.type);
        if (err)
            return err;
    }
    return 0;
}

static void mb2_framebuffer(struct parse *p, const struct body *b)
{
    struct mb2_framebuffer fb;

    if (b->len < sizeof(fb))
        return;
    memcpy(&fb, b->data, sizeof(fb));
    set_framebuffer(&p->out->fb, &fb, b->len >= sizeof(fb) + 6 ? b->data + sizeof(fb) : NULL);
}

/** A copy of the root pointer; the longer one wins if there are both. */
static void mb2_rsdp(struct parse *p, const struct body *b, uint32_t want)
{
    if (b->len < want || p->out->rsdp_len >= want)
        return;
    memcpy(p->out->rsdp, b->data, want);
    p->out->rsdp_len = want;
}

static int mb2_efi_mmap(struct parse *p, const struct body *b)
{
    struct mb2_efi_mmap head;

    if (b->len < sizeof(head))
        return fail(p, -EINVAL, "boot loader: the EFI memory map tag is too short");
    memcpy(&head, b->data, sizeof(head));
    if (head.desc_size < EFI_MEMMAP_DESC_MIN || head.desc_size > PAGE_SIZE)
        return fail(p, -EINVAL, "boot loader: the EFI memory map has a wrong entry size");
    uint32_t len = b->len - (uint32_t)sizeof(head);
    p->out->efi.memmap = b->pa + sizeof(head);
    p->out->efi.memmap_len = len - len % head.desc_size;
    p->out->efi.desc_size = head.desc_size;
    p->out->efi.desc_version = head.desc_version;
    return 0;
}

static int mb2_tag(struct parse *p, uint32_t type, const struct body *b, struct mb2_mem *basic)
{
    struct boot_info *out = p->out;

    switch (type) {
    case MB2_TAG_CMDLINE:
        if (copy_string(b->data, b->len, out->cmdline, sizeof(out->cmdline)))
            return fail(p, -E2BIG, "boot loader: the command line is too long");
        break;
    case MB2_TAG_LOADER:
        (void)copy_string(b->data, b->len, out->loader, sizeof(out->loader));
        break;
    case MB2_TAG_MODULE:
        return mb2_module(p, b);
    case MB2_TAG_MEM:
        if (b->len >= sizeof(*basic))
            memcpy(basic, b->data, sizeof(*basic));
        break;
    case MB2_TAG_MMAP:
        return mb2_mmap(p, b);
    case MB2_TAG_FRAMEBUFFER:
        mb2_framebuffer(p, b);
        break;
    case MB2_TAG_EFI64:
        if (b->len >= sizeof(out->efi.system_table))
            memcpy(&out->efi.system_table, b->data, sizeof(out->efi.system_table));
        break;
    case MB2_TAG_RSDP_OLD:
        mb2_rsdp(p, b, 20);
        break;
    case MB2_TAG_RSDP_NEW:
        mb2_rsdp(p, b, 36);
        break;
    case MB2_TAG_EFI_MMAP:
        return mb2_efi_mmap(p, b);
    case MB2_TAG_EFI_BS:
        out->efi.boot_services_alive = true;
        break;
    default: /* tags that say nothing we need */
        break;
    }
    return 0;
}

static int mb2_parse(struct parse *p, uint64_t pa)
{
    struct mb2_info info;
    struct mb2_mem basic = {0};

    if (fetch(p, pa, &info, sizeof(info)))
        return fail(p, -EFAULT, "boot loader: its information is out of reach");
    if (info.total_size < sizeof(info) || info.total_size > MB2_INFO_MAX)
        return fail(p, -EINVAL, "boot loader: its information has a wrong size");
    const uint8_t *all = p->mem->map(p->mem->ctx, pa, info.total_size);
    if (!all)
        return fail(p, -EFAULT, "boot loader: its information is out of reach");
    p->out->info_start = pa;
    p->out->info_end = pa + info.total_size;

    struct mb2_tag tag;
    for (uint64_t at = sizeof(info);; at = align_up(at + tag.size, MB2_TAG_ALIGN)) {
        if (at > info.total_size || info.total_size - at < sizeof(tag))
            return fail(p, -EINVAL, "boot loader: its information has no end tag");
        memcpy(&tag, all + at, sizeof(tag));
        if (tag.size < sizeof(tag) || tag.size > info.total_size - at)
            return fail(p, -EINVAL, "boot loader: a tag has a wrong size");
        if (tag.type == MB2_TAG_END)
            break;
        struct body b = {all + at + sizeof(tag), tag.size - (uint32_t)sizeof(tag),
                         pa + at + sizeof(tag)};
        int err = mb2_tag(p, tag.type, &b, &basic);
        if (err)
            return err;
    }
    if (!p->out->map.count)
        return add_basic_memory(p, basic.lower_kib, basic.upper_kib);
    return 0;
}

int multiboot_parse(const struct boot_mem *mem, uint32_t magic, uint64_t info,
                    struct boot_info *out, const char **why)
{
    struct parse p = {mem, out, why};
    int err;

    memset(out, 0, sizeof(*out));
    if (magic == MB1_LOADER_MAGIC) {
        out->version = 1;
        err = mb1_parse(&p, info);
    } else if (magic == MB2_LOADER_MAGIC) {
        out->version = 2;
        err = mb2_parse(&p, info);
    } else {
        return fail(&p, -EINVAL, "boot loader: neither Multiboot 1 nor Multiboot 2");
    }
    /* "GRUB 2.06" and the like; its predecessor called itself "GNU GRUB". */
    out->names_first = strncmp(out->loader, "GRUB ", 5) != 0;
    if (!err && !range_map_total(&out->map, RANGE_RAM))
        err = fail(&p, -EINVAL, "boot loader: the memory map names no RAM");
    return err;
}
