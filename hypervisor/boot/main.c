/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/calibrate.h"
#include "hypervisor/arch/x86/lapic.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/arch/x86/reset.h"
#include "hypervisor/arch/x86/space.h"
#include "hypervisor/arch/x86/trap.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/arch/x86/xstate.h"
#include "hypervisor/boot/acpi.h"
#include "hypervisor/boot/cmdline.h"
#include "hypervisor/boot/efi_memmap.h"
#include "hypervisor/boot/linux_loader.h"
#include "hypervisor/boot/multiboot.h"
#include "hypervisor/debug/console.h"
#include "hypervisor/debug/framebuffer.h"
#include "hypervisor/debug/panic.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/frame.h"
#include "hypervisor/partition/parent.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/delay.h"
#include "hypervisor/vp/lazyeoi.h"
#include "lib/string.h"

/* Memory of the hypervisor: so much, and so much of every byte of RAM for nested tables. */
#define CHUNK_BASE          (8ULL << 20)
#define CHUNK_SHARE         256 /* 1/256 of RAM */
#define CHUNK_ALIGN         (2ULL << 20)
#define BOOT_MAP_END        (4ULL << 30) /* what the boot page tables reach */
#define RESERVED_MAPPED_MAX (1ULL << 30) /* larger ones are address space, see space.c */
#define LOW_MEMORY          0xa0000ULL
#define PARENT_MIN          (64UL << 20)

extern const uint8_t image_start[], image_end[];
void boot_main(uint32_t magic, uint32_t info);

static struct trap_tables early_traps;
static struct boot_info boot;
static struct cmdline opts;
static struct acpi_info acpi;
static struct range_map machine; /* as the firmware says */
static struct range_map ram;     /* the same without the hypervisor: the parent's */
static struct range_map unused;  /* the part of it that may be written before the parent runs */
static struct range avoid[BOOT_MODULES_MAX + 2];
static unsigned avoid_count;

static const void *reach(void *ctx, uint64_t pa, size_t len)
{
    if (pa >= BOOT_MAP_END || len > BOOT_MAP_END - pa)
        return NULL;
    return hpa_to_virt(hpa(pa));
}

static const struct boot_mem boot_mem = {reach, NULL};

static void *screen_at_start(void)
{
    uint64_t len = framebuffer_bytes(&boot.fb);

    if (boot.fb.addr >= BOOT_MAP_END || len > BOOT_MAP_END - boot.fb.addr)
        return NULL;
    return hpa_to_virt(hpa(boot.fb.addr));
}

static uint64_t image_pa(const uint8_t *symbol)
{
    return (uint64_t)(uintptr_t)symbol & 0x7fffffff;
}

/* Whatever else may be wrong, it shall be seen: a frame buffer is used as soon as it is known. */
static void use_screen(void)
{
    if (boot.fb.type == BOOT_FB_RGB)
        console_set_screen(&boot.fb, screen_at_start());
    else if (boot.efi.system_table)
        console_set_screen(NULL, NULL); /* UEFI leaves no VGA text behind */
}

static void read_loader_info(uint32_t magic, uint32_t info)
{
    const char *why;
    int err = multiboot_parse(&boot_mem, magic, info, &boot, &why);

    use_screen();
    if (err)
        fatal("%s", why);
    cmdline_parse(boot.cmdline, boot.names_first, &opts);
    console_configure(opts.console, (enum log_level)opts.log);
    lazyeoi_enabled = opts.lazy_eoi;
    log_info("Bulkhead hypervisor, loaded by %s",
             boot.loader[0] ? boot.loader : "an unnamed loader");
    for (unsigned i = 0; i < opts.problem_count; i++)
        log_warn("option '%s' ignored: %s", opts.problems[i].word, opts.problems[i].reason);
    if (opts.problems_lost)
        log_warn("%u more options ignored", opts.problems_lost);
}

static void show_help(void)
{
    char line[160];

    if (!opts.help)
        return;
    log_info("options:");
    for (unsigned i = 0; cmdline_help_line(i, line, sizeof(line)); i++)
        log_info("  %s", line);
}

static void keep_clear(uint64_t start, uint64_t end)
{
    avoid[avoid_count++] = (struct range){start, end, RANGE_RAM};
}

static int carve_out(uint64_t at, uint64_t len)
{
    int rc = range_map_set(&ram, at, len, RANGE_RESERVED);

    return rc ? rc : range_map_set(&unused, at, len, RANGE_RESERVED);
}

static void take_memory(void)
{
    uint64_t total, want, at;
    struct range_query query = {.align = CHUNK_ALIGN, .max = BOOT_MAP_END, .top_down = true};

    machine = boot.map;
    total = range_map_total(&machine, RANGE_RAM);
    for (unsigned i = 0; i < boot.module_count; i++)
        keep_clear(boot.modules[i].start, boot.modules[i].end);
    keep_clear(image_pa(image_start), image_pa(image_end));
    keep_clear(boot.info_start, boot.info_end);

    unused = machine;
    if (boot.efi.memmap_len && efi_memmap_keep_boot_data(&unused, hpa_to_virt(hpa(boot.efi.memmap)),
                                                         boot.efi.memmap_len, boot.efi.desc_size))
        log_warn("the UEFI memory map is long: tables of the firmware may be lost");

    want = align_up(opts.reserve ? opts.reserve : CHUNK_BASE + total / CHUNK_SHARE, CHUNK_ALIGN);
    query.size = want;
    query.avoid = avoid;
    query.avoid_count = avoid_count;
    if (total < want + PARENT_MIN || range_map_find(&unused, &query, &at))
        fatal("too little memory: %lu MiB of RAM, of which the hypervisor needs %lu MiB and the "
              "parent at least %lu MiB",
              total >> 20, want >> 20, PARENT_MIN >> 20);
    ram = machine;
    if (carve_out(at, want) ||
        carve_out(image_pa(image_start), image_pa(image_end) - image_pa(image_start)) ||
        frame_init(hpa(at), want))
        fatal("the memory map has too many entries");
    log_info("%lu MiB of RAM, %lu KiB at 0x%lx and %lu KiB at 0x%lx are the hypervisor's",
             total >> 20, want >> 10, at, (image_pa(image_end) - image_pa(image_start)) >> 10,
             image_pa(image_start));
}

static void read_acpi(void)
{
    const char *why = "no ACPI root pointer (RSDP) found";
    uint64_t pa;

    if (!boot.rsdp_len && acpi_find_rsdp(&boot_mem, boot.rsdp, &boot.rsdp_len, &pa))
        fatal("%s", why);
    if (acpi_parse(&boot_mem, boot.rsdp, boot.rsdp_len, &acpi, &why))
        fatal("ACPI: %s", why);
    machine_reset_init(&acpi);
}

static void start_boot_processor(void)
{
    const char *why = "out of memory";

    if (space_init(&machine))
        fatal("out of memory for page tables");
    if (boot.fb.type == BOOT_FB_RGB)
        console_move_screen(space_map_device(hpa(boot.fb.addr), framebuffer_bytes(&boot.fb)));
    if (lapic_init())
        fatal("out of memory for page tables");
    if (clock_calibrate(&acpi))
        fatal("neither an ACPI PM timer nor an HPET to measure time with");
    delay_init(opts.delay_us);
    xstate_init();
    if (lp_create(0, lapic_id(), &lps[0]))
        fatal("%s", why);
    lp_install(lps[0]);
    lp_count = 1;
    if (vendor_probe(&why) || vendor_lp_enable(lps[0]))
        fatal("%s", why);
}

static bool processor_runs(apic_id_t apic_id)
{
    for (uint32_t i = 0; i < lp_count; i++)
        if (lps[i]->apic_id.v == apic_id.v)
            return true;
    return false;
}

/*
 * The parent shall not look for processors that are not used or did not start. A table outside of
 * what space.c maps stays as it is: that costs time at the parent's start, nothing else.
 */
static void hide_processors(void)
{
    range_map_for_each(r, &machine)
    {
        if (r->start > acpi.madt || acpi.madt + acpi.madt_len > r->end ||
            r->type == RANGE_UNUSABLE ||
            (r->type == RANGE_RESERVED && r->end - r->start > RESERVED_MAPPED_MAX))
            continue;
        acpi_madt_hide(hpa_to_virt(hpa(acpi.madt)), acpi.madt_len, processor_runs);
    }
}

static void start_other_processors(void)
{
    struct range_query query = {.size = PAGE_SIZE,
                                .align = PAGE_SIZE,
                                .min = PAGE_SIZE,
                                .max = LOW_MEMORY,
                                .avoid = avoid,
                                .avoid_count = avoid_count};
    uint64_t page;

    if (range_map_find(&unused, &query, &page))
        fatal("no free page below 640 KiB to start the other processors from");
    if (smp_start_all(&acpi, (uint32_t)min_u64(opts.maxcpus, LP_MAX), hpa(page)))
        fatal("out of memory while starting the other processors");
    hide_processors();
    log_info("%u logical processors, TSC %lu kHz, APIC timer %lu kHz", lp_count,
             clock_tsc_hz() / 1000, clock_apic_hz() / 1000);
}

/* The modules may lie beyond what the boot tables reached; by now all RAM is mapped. */
static void load_parent(struct linux_plan *plan)
{
    const struct boot_module *kernel = &boot.modules[0], *initrd = &boot.modules[1];
    struct linux_input input = {0};
    const char *why;

    if (!boot.module_count)
        fatal("no parent kernel: give it as the first module (see docs/boot.md)");
    input.image = hpa_to_virt(hpa(kernel->start));
    input.image_len = kernel->end - kernel->start;
    input.cmdline = boot.names_first ? cmdline_after_name(kernel->string) : kernel->string;
    if (boot.module_count > 1) {
        input.initrd_start = initrd->start;
        input.initrd_len = initrd->end - initrd->start;
    }
    input.map = &ram;
    input.free = &unused;
    input.avoid = avoid;
    input.avoid_count = avoid_count;
    input.rsdp = boot.rsdp;
    input.rsdp_len = boot.rsdp_len;
    input.efi = &boot.efi;
    input.efi_memmap = boot.efi.memmap_len ? hpa_to_virt(hpa(boot.efi.memmap)) : NULL;
    input.fb = &boot.fb;
    if (linux_plan_make(&input, plan, &why))
        fatal("%s", why);
    if (parent_create(&opts, &acpi, &ram))
        fatal("out of memory while creating the parent partition");

    linux_plan_write(&input, plan, hpa_to_virt(hpa(plan->block_start)));
    if (plan->initrd_start != input.initrd_start && plan->initrd_len)
        memmove(hpa_to_virt(hpa(plan->initrd_start)), hpa_to_virt(hpa(input.initrd_start)),
                plan->initrd_len);
    memcpy(hpa_to_virt(hpa(plan->kernel_load)), (const uint8_t *)input.image + plan->kernel_offset,
           plan->kernel_len);
}

/* Leave the boot stack, which has no guard page, for the one of this LP. */
static _Noreturn void enter_loop(void)
{
    __asm__ volatile("movq %0, %%rsp\n\txorl %%ebp, %%ebp\n\tcall lp_loop"
                     :
                     : "r"(lps[0]->stack_top)
                     : "memory");
    __builtin_unreachable();
}

void boot_main(uint32_t magic, uint32_t info)
{
    static struct linux_plan plan;

    trap_init();
    trap_load(&early_traps);
    read_loader_info(magic, info);
    show_help();
    read_acpi();
    take_memory();
    start_boot_processor();
    start_other_processors();
    load_parent(&plan);
    log_info("starting the parent partition with %u VPs; the console is now its own", lp_count);
    console_hand_over();
    if (parent_start(&plan))
        fatal("the parent's VPs cannot be scheduled");
    enter_loop();
}
