/* SPDX-License-Identifier: MIT */
#include "hypervisor/boot/linux_loader.h"

#include "abi/boot/linux.h"
#include "hypervisor/boot/efi_memmap.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

#define KIB 1024ULL
#define MIB (KIB << 10)
#define GIB (MIB << 10)

#define LOW_MIB       MIB         /* the first MiB stays as the firmware left it */
#define BLOCK_MAX     (4 * GIB)   /* end of the block: 32-bit pointers in old fields */
#define MAPPED_MAX    (512 * GIB) /* what one PDPT reaches */
#define CMDLINE_MAX   (64 * KIB)
#define EFI_MMAP_MAX  (4 * MIB)
#define ALIGNMENT_MAX GIB
#define AVOID_MAX     32

/* Inside the block's second page: the GDT, then the ranges that boot_params has no room for. */
#define GDT_ENTRIES     4U
#define E820_EXT_OFFSET 0x100U
_Static_assert(E820_EXT_OFFSET + sizeof(struct linux_setup_data) +
                       (RANGE_MAX - LINUX_E820_MAX) * sizeof(struct linux_e820_entry) <=
                   PAGE_SIZE,
               "e820 extension");

/* Page table entries (APM 2, 5.3). */
#define PTE_TABLE    0x03ULL /* present, writable */
#define PTE_LARGE    0x83ULL /* present, writable, 2 MiB leaf */
#define PTE_COUNT    512ULL
#define TABLE_LEAVES (PAGE_SIZE / sizeof(uint64_t))

static int fail(const char **why, int err, const char *text)
{
    *why = text;
    return err;
}

/** The kernel's header, checked: a copy, as the file is not aligned. */
static int read_header(const struct linux_input *in, struct linux_setup_header *h, const char **why)
{
    const uint8_t *image = in->image;

    if (in->image_len < 2 * LINUX_SECTOR)
        return fail(why, -ENOEXEC, "parent kernel: too short for a Linux bzImage");
    memcpy(h, image + LINUX_HEADER_AT, sizeof(*h));
    if (h->boot_flag != LINUX_BOOT_FLAG || h->header != LINUX_HEADER_MAGIC)
        return fail(why, -ENOEXEC, "parent kernel: not a Linux bzImage");
    if (h->version < LINUX_VERSION_MIN)
        return fail(why, -ENOEXEC, "parent kernel: too old, boot protocol 2.12 is needed");
    if (!(h->loadflags & LINUX_LOADED_HIGH))
        return fail(why, -ENOEXEC, "parent kernel: a zImage, not a bzImage");
    if (!(h->xloadflags & LINUX_XLF_KERNEL_64))
        return fail(why, -ENOEXEC, "parent kernel: no 64-bit entry point");
    if (!h->kernel_alignment || h->kernel_alignment & (h->kernel_alignment - 1) ||
        h->kernel_alignment > ALIGNMENT_MAX)
        return fail(why, -ENOEXEC, "parent kernel: its alignment is not a sensible power of two");
    return 0;
}

/** Where the protected-mode part is in the file, and that all of it is there. */
static int plan_image(const struct linux_input *in, const struct linux_setup_header *h,
                      struct linux_plan *plan, const char **why)
{
    /* 0 stands for 4, as in the oldest kernels. */
    uint64_t sectors = h->setup_sects ? h->setup_sects : 4;

    plan->kernel_offset = (sectors + 1) * LINUX_SECTOR;
    plan->kernel_len = h->syssize * 16ULL;
    if (plan->kernel_offset > in->image_len ||
        plan->kernel_len > in->image_len - plan->kernel_offset)
        return fail(why, -ENOEXEC, "parent kernel: the file is truncated");
    if (plan->kernel_len <= LINUX_ENTRY64)
        return fail(why, -ENOEXEC, "parent kernel: the file has no code");
    plan->kernel_room = align_up(max_u64(h->init_size, plan->kernel_len), PAGE_SIZE);
    return 0;
}

/** Ranges to keep clear of; grows as places are taken. */
struct avoid {
    struct range r[AVOID_MAX + 3];
    unsigned count;
};

static void avoid_add(struct avoid *a, uint64_t start, uint64_t len)
{
    if (len)
        a->r[a->count++] = (struct range){start, start + len, RANGE_NONE};
}

static int check_input(const struct linux_input *in, struct avoid *avoid, const char **why)
{
    if (in->avoid_count > AVOID_MAX)
        return fail(why, -EINVAL, "parent kernel: too many modules to keep clear of");
    if (in->initrd_len >= RANGE_ADDR_END || in->initrd_start >= RANGE_ADDR_END)
        return fail(why, -EINVAL, "parent kernel: the initrd lies outside of memory");
    if (!in->rsdp_addr && in->rsdp && in->rsdp_len > BOOT_RSDP_MAX)
        return fail(why, -EINVAL, "parent kernel: the ACPI root pointer is too long");
    if (in->avoid_count)
        memcpy(avoid->r, in->avoid, in->avoid_count * sizeof(avoid->r[0]));
    avoid->count = in->avoid_count;
    avoid_add(avoid, in->initrd_start, in->initrd_len);
    return 0;
}

static const struct range_map *free_map(const struct linux_input *in)
{
    return in->free ? in->free : in->map;
}

static bool place_free(const struct linux_input *in, const struct avoid *avoid, uint64_t at,
                       uint64_t len)
{
    if (!range_map_is_ram(free_map(in), at, len))
        return false;
    for (unsigned i = 0; i < avoid->count; i++)
        if (avoid->r[i].start < at + len && at < avoid->r[i].end)
            return false;
    return true;
}

static int plan_kernel(const struct linux_input *in, const struct linux_setup_header *h,
                       struct avoid *avoid, struct linux_plan *plan, const char **why)
{
    uint64_t max = h->xloadflags & LINUX_XLF_ABOVE_4G ? MAPPED_MAX : 4 * GIB;
    /* Loaded lower, the kernel would unpack itself at pref_address nevertheless. */
    struct range_query query = {.size = plan->kernel_room,
                                .align = h->kernel_alignment,
                                .min = max_u64(h->pref_address, LOW_MIB),
                                .max = max,
                                .avoid = avoid->r,
                                .avoid_count = avoid->count};
    bool preferred = h->pref_address >= LOW_MIB && h->pref_address < max &&
                     max - h->pref_address >= plan->kernel_room &&
                     place_free(in, avoid, h->pref_address, plan->kernel_room);

    if (preferred)
        plan->kernel_load = h->pref_address;
    else if (!h->relocatable_kernel)
        return fail(why, -ENOMEM, "parent kernel: not relocatable, and its place is taken");
    else if (range_map_find(free_map(in), &query, &plan->kernel_load))
        return fail(why, -ENOMEM, "parent kernel: no piece of RAM is large enough for it");
    plan->entry = plan->kernel_load + LINUX_ENTRY64;
    plan->mapped_end = max_u64(4 * GIB, align_up(plan->kernel_load + plan->kernel_room, GIB));
    avoid_add(avoid, plan->kernel_load, plan->kernel_room);
    return 0;
}

/** Leave the initrd where the loader put it, if the kernel can take it from there. */
static int plan_initrd(const struct linux_input *in, const struct linux_setup_header *h,
                       struct avoid *avoid, struct linux_plan *plan, const char **why)
{
    uint64_t max =
        h->xloadflags & LINUX_XLF_ABOVE_4G ? RANGE_ADDR_END : (uint64_t)h->initrd_addr_max + 1;
    struct range_query query = {.size = in->initrd_len,
                                .align = PAGE_SIZE,
                                .min = LOW_MIB,
                                .max = max,
                                .top_down = true,
                                .avoid = avoid->r,
                                .avoid_count = avoid->count};

    plan->initrd_start = in->initrd_start;
    plan->initrd_len = in->initrd_len;
    if (!in->initrd_len) {
        plan->initrd_start = 0;
        return 0;
    }
    if (range_map_is_ram(in->map, in->initrd_start, in->initrd_len) &&
        in->initrd_start + in->initrd_len <= max)
        return 0;
    if (range_map_find(free_map(in), &query, &plan->initrd_start))
        return fail(why, -ENOMEM, "parent kernel: no piece of RAM is large enough for its initrd");
    avoid_add(avoid, plan->initrd_start, plan->initrd_len);
    return 0;
}

/** Whether the kernel can be told of UEFI: runtime services need the map, and no boot services. */
static bool efi_usable(const struct linux_input *in)
{
    return in->efi && in->efi->system_table && !in->efi->boot_services_alive && in->efi_memmap &&
           in->efi->memmap_len;
}

/** Reserve `len` bytes, rounded up to pages, at the end of the block; its offset. */
static uint64_t block_grow(struct linux_plan *plan, uint64_t len)
{
    uint64_t at = plan->block_len;

    plan->block_len += align_up(len, PAGE_SIZE);
    return at;
}

/** Bytes for the copy of the UEFI memory map. */
static uint64_t efi_room(const struct linux_input *in)
{
    return in->efi->memmap_len + (uint64_t)EFI_MEMMAP_EXTRA * in->efi->desc_size;
}

static int plan_block(const struct linux_input *in, const struct linux_setup_header *h,
                      const struct avoid *avoid, struct linux_plan *plan, const char **why)
{
    size_t cmdline_len = strlen(in->cmdline);
    bool copy_rsdp = !in->rsdp_addr && in->rsdp && in->rsdp_len;
    uint64_t rsdp_at = 0;
    uint64_t efi_at = 0;

    if (cmdline_len > h->cmdline_size || cmdline_len >= CMDLINE_MAX)
        return fail(why, -E2BIG, "parent kernel: its command line is too long");
    if (efi_usable(in) &&
        (in->efi->memmap_len > EFI_MMAP_MAX || in->efi->desc_size < EFI_MEMMAP_DESC_MIN ||
         in->efi->desc_size > PAGE_SIZE))
        return fail(why, -EINVAL, "parent kernel: the EFI memory map has a wrong size");

    plan->boot_params = block_grow(plan, PAGE_SIZE);
    plan->gdt_addr = block_grow(plan, PAGE_SIZE);
    plan->cmdline_addr = block_grow(plan, cmdline_len + 1);
    if (copy_rsdp)
        rsdp_at = block_grow(plan, PAGE_SIZE);
    if (efi_usable(in))
        efi_at = block_grow(plan, efi_room(in));
    plan->page_tables = block_grow(plan, (2 + plan->mapped_end / GIB) * PAGE_SIZE);

    struct range_query query = {.size = plan->block_len,
                                .align = PAGE_SIZE,
                                .min = LOW_MIB,
                                .max = BLOCK_MAX,
                                .top_down = true,
                                .avoid = avoid->r,
                                .avoid_count = avoid->count};
    if (range_map_find(free_map(in), &query, &plan->block_start))
        return fail(why, -ENOMEM, "parent kernel: no RAM below 4 GiB for its boot data");

    /* Offsets become addresses. */
    plan->boot_params += plan->block_start;
    plan->gdt_addr += plan->block_start;
    plan->gdt_limit = GDT_ENTRIES * sizeof(uint64_t) - 1;
    plan->cmdline_addr += plan->block_start;
    plan->page_tables += plan->block_start;
    if (efi_usable(in))
        plan->efi_memmap = efi_at + plan->block_start;
    if (copy_rsdp)
        plan->rsdp_copy = rsdp_at + plan->block_start;
    plan->rsdp_addr = copy_rsdp ? plan->rsdp_copy : in->rsdp_addr;
    return 0;
}

/**
 * The copies outlive the start of the kernel, which avoids only boot_params, the
 * command line and the initrd when it chooses a random place for itself.
 */
static int keep_copies(const struct linux_input *in, const struct linux_plan *plan)
{
    int err = 0;

    if (plan->rsdp_copy)
        err = range_map_set(in->map, plan->rsdp_copy, PAGE_SIZE, RANGE_ACPI);
    if (!err && plan->efi_memmap)
        err =
            range_map_set(in->map, plan->efi_memmap, align_up(efi_room(in), PAGE_SIZE), RANGE_ACPI);
    return err;
}

int linux_plan_make(const struct linux_input *input, struct linux_plan *plan, const char **why)
{
    struct linux_setup_header h;
    struct linux_plan p = {0};
    struct avoid avoid;
    int err = check_input(input, &avoid, why);

    if (!err)
        err = read_header(input, &h, why);
    if (!err)
        err = plan_image(input, &h, &p, why);
    if (!err)
        err = plan_kernel(input, &h, &avoid, &p, why);
    if (!err)
        err = plan_initrd(input, &h, &avoid, &p, why);
    if (!err)
        err = plan_block(input, &h, &avoid, &p, why);
    if (err)
        return err;
    err = keep_copies(input, &p);
    if (err)
        return fail(why, err, "parent kernel: the memory map has too many ranges");
    if (input->map->count > LINUX_E820_MAX)
        p.e820_ext = p.gdt_addr + E820_EXT_OFFSET;
    *plan = p;
    return 0;
}

/* ---- filling ---- */

/** The piece of the block that will be at physical address pa. */
static void *block_at(const struct linux_plan *plan, void *block, uint64_t pa)
{
    return (uint8_t *)block + (pa - plan->block_start);
}

static void write_header(const struct linux_input *in, const struct linux_plan *plan,
                         struct linux_boot_params *bp)
{
    const uint8_t *image = in->image;
    struct linux_setup_header *h = &bp->hdr;
    uint64_t end = 0x202U + (uint64_t)image[0x201];

    end = max_u64(end, LINUX_HEADER_AT + sizeof(*h));
    end = min_u64(end, LINUX_HEADER_END);
    memcpy((uint8_t *)bp + LINUX_HEADER_AT, image + LINUX_HEADER_AT, end - LINUX_HEADER_AT);

    h->type_of_loader = LINUX_LOADER_UNKNOWN;
    h->loadflags &= (uint8_t)~LINUX_CAN_USE_HEAP;
    h->ramdisk_image = (uint32_t)plan->initrd_start;
    bp->ext_ramdisk_image = (uint32_t)(plan->initrd_start >> 32);
    h->ramdisk_size = (uint32_t)plan->initrd_len;
    bp->ext_ramdisk_size = (uint32_t)(plan->initrd_len >> 32);
    h->cmd_line_ptr = (uint32_t)plan->cmdline_addr;
    bp->ext_cmd_line_ptr = (uint32_t)(plan->cmdline_addr >> 32);
    h->setup_data = plan->e820_ext;
}

static void write_e820(const struct range_map *map, const struct linux_plan *plan,
                       struct linux_boot_params *bp, void *ext)
{
    struct linux_setup_data head = {.type = LINUX_SETUP_E820_EXT};
    uint8_t *more = (uint8_t *)ext + sizeof(head);

    for (unsigned i = 0; i < map->count; i++) {
        const struct range *r = &map->r[i];
        struct linux_e820_entry e = {r->start, r->end - r->start, r->type};

        if (i < LINUX_E820_MAX) {
            bp->e820_table[i] = e;
            bp->e820_entries = (uint8_t)(i + 1);
        } else {
            memcpy(more + head.len, &e, sizeof(e));
            head.len += (uint32_t)sizeof(e);
        }
    }
    if (plan->e820_ext)
        memcpy(ext, &head, sizeof(head));
}

static void write_text_screen(struct linux_screen_info *s, const struct boot_framebuffer *fb)
{
    bool given =
        fb && fb->type == BOOT_FB_TEXT && fb->width <= UINT8_MAX && fb->height <= UINT8_MAX;

    s->orig_video_mode = 3;
    s->orig_video_cols = given ? (uint8_t)fb->width : 80;
    s->orig_video_lines = given ? (uint8_t)fb->height : 25;
    s->orig_y = (uint8_t)(s->orig_video_lines - 1);
    s->orig_video_isVGA = LINUX_VIDEO_VGA;
    s->orig_video_points = 16;
}

static void write_screen(const struct linux_input *in, struct linux_screen_info *s)
{
    const struct boot_framebuffer *fb = in->fb;

    if (!fb || fb->type != BOOT_FB_RGB) {
        /* A machine that booted from UEFI without a frame buffer has no VGA text either. */
        if (!efi_usable(in) || (fb && fb->type == BOOT_FB_TEXT))
            write_text_screen(s, fb);
        return;
    }
    uint64_t bytes = (uint64_t)fb->pitch * fb->height;

    s->orig_video_isVGA = efi_usable(in) ? LINUX_VIDEO_EFI : LINUX_VIDEO_VLFB;
    s->lfb_size = (uint32_t)(efi_usable(in) ? bytes : align_up(bytes, 64 * KIB) / (64 * KIB));
    s->lfb_base = (uint32_t)fb->addr;
    s->ext_lfb_base = (uint32_t)(fb->addr >> 32);
    s->capabilities = s->ext_lfb_base ? LINUX_VIDEO_CAP_64BIT : 0;
    s->lfb_width = (uint16_t)fb->width;
    s->lfb_height = (uint16_t)fb->height;
    s->lfb_depth = fb->bpp;
    s->lfb_linelength = (uint16_t)fb->pitch;
    s->red_size = fb->red_size;
    s->red_pos = fb->red_pos;
    s->green_size = fb->green_size;
    s->green_pos = fb->green_pos;
    s->blue_size = fb->blue_size;
    s->blue_pos = fb->blue_pos;
}

static void write_efi(const struct linux_input *in, const struct linux_plan *plan,
                      uint32_t memmap_len, struct linux_efi_info *e)
{
    e->signature = LINUX_EFI64_SIGNATURE;
    e->systab = (uint32_t)in->efi->system_table;
    e->systab_hi = (uint32_t)(in->efi->system_table >> 32);
    e->memdesc_size = in->efi->desc_size;
    e->memdesc_version = in->efi->desc_version;
    e->memmap = (uint32_t)plan->efi_memmap;
    e->memmap_hi = (uint32_t)(plan->efi_memmap >> 32);
    e->memmap_size = memmap_len;
}

/** Flat 64-bit code and data at the selectors that the boot protocol names. */
static void write_gdt(uint64_t *gdt)
{
    gdt[0] = 0;
    gdt[1] = 0;
    gdt[LINUX_BOOT_CS / 8] = 0x00af9b000000ffff; /* G, L, P, code, readable, accessed */
    gdt[LINUX_BOOT_DS / 8] = 0x00cf93000000ffff; /* G, B, P, data, writable, accessed */
}

/** PML4, PDPT, then one directory for each GiB. `tables` will be at physical address pa. */
static void write_page_tables(uint64_t *tables, uint64_t pa, uint64_t mapped_end)
{
    uint64_t *pdpt = tables + TABLE_LEAVES;
    uint64_t *pd = tables + 2 * TABLE_LEAVES;
    uint64_t directories = mapped_end / GIB;

    tables[0] = (pa + PAGE_SIZE) | PTE_TABLE;
    for (uint64_t i = 0; i < directories; i++)
        pdpt[i] = (pa + (2 + i) * PAGE_SIZE) | PTE_TABLE;
    for (uint64_t i = 0; i < directories * PTE_COUNT; i++)
        pd[i] = i * 2 * MIB | PTE_LARGE;
}

void linux_plan_write(const struct linux_input *input, const struct linux_plan *plan, void *block)
{
    struct linux_boot_params *bp = block_at(plan, block, plan->boot_params);
    uint8_t *gdt_page = block_at(plan, block, plan->gdt_addr);

    memset(block, 0, plan->block_len);
    write_header(input, plan, bp);
    write_e820(input->map, plan, bp, gdt_page + E820_EXT_OFFSET);
    write_screen(input, &bp->screen_info);
    bp->acpi_rsdp_addr = plan->rsdp_addr;
    write_gdt((uint64_t *)(void *)gdt_page);
    memcpy(block_at(plan, block, plan->cmdline_addr), input->cmdline, strlen(input->cmdline));
    if (plan->rsdp_copy)
        memcpy(block_at(plan, block, plan->rsdp_copy), input->rsdp, input->rsdp_len);
    if (plan->efi_memmap) {
        uint32_t len =
            efi_memmap_restrict(input->map, input->efi_memmap, input->efi->memmap_len,
                                input->efi->desc_size, block_at(plan, block, plan->efi_memmap));

        write_efi(input, plan, len, &bp->efi_info);
    }
    write_page_tables(block_at(plan, block, plan->page_tables), plan->page_tables,
                      plan->mapped_end);
}
