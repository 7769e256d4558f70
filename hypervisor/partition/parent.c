/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/parent.h"

#include "hypervisor/arch/x86/apicreg.h"
#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/lapic.h"
#include "hypervisor/arch/x86/lostirq.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/arch/x86/space.h"
#include "hypervisor/arch/x86/trap.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/debug/console.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/intercept/pic.h"
#include "hypervisor/mm/frame.h"
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/mm/pageinfo.h"
#include "hypervisor/partition/privileges.h"
#include "hypervisor/sched/clock.h"
#include "lib/errno.h"

/* The parent serves everybody's devices: it outweighs children and has a reserve of its own. */
#define PARENT_WEIGHT  1000
#define PARENT_RESERVE (SCHED_FRACTION_ONE / 8)

/* VPs of one kernel that share an LP wait for each other, often to the end of a slice. */
#define SHARED_SLICE_US 2000

#define IOAPIC_INDEX 0x00
#define IOAPIC_DATA  0x10

extern const uint8_t image_start[], image_end[];

static struct partition parent;
static struct gpa_map parent_map;
static struct ioapics ioapics;
static struct range_map parent_ram; /* init only */
static uint64_t physical_limit;
static struct lp *home_of_vp0; /* init only; VP i has its home on LP i */

struct partition *parent_partition(void)
{
    return &parent;
}

struct ioapics *parent_ioapics(void)
{
    return &ioapics;
}

bool memory_is_ram(hpa_t page)
{
    return range_map_is_ram(&parent_ram, page.v & PAGE_MASK, PAGE_SIZE);
}

bool memory_is_hypervisor(hpa_t page)
{
    uint64_t start = (uint64_t)(uintptr_t)image_start & 0x7fffffff;
    uint64_t end = (uint64_t)(uintptr_t)image_end & 0x7fffffff;

    return frame_owns(page) || pageinfo_deposited(page) || (page.v >= start && page.v < end);
}

/* Pages that must fault: the APICs, and what is the hypervisor's. */
static bool page_trapped(uint64_t page)
{
    return page == APIC_DEFAULT_BASE || ioapic_find(&ioapics, gpa(page)) ||
           memory_is_hypervisor(hpa(page));
}

int parent_map_device(gpa_t at, enum access access)
{
    uint64_t size = page_size_bytes(PAGE_SIZE_2M);
    uint64_t start = align_down(at.v, size);
    hpa_t there;

    if (at.v >= physical_limit)
        return -EFAULT;
    if (!gpa_map_lookup(&parent_map, at, access, &there))
        return 0; /* another VP has just mapped it */
    if (!gpa_map_lookup(&parent_map, at, ACCESS_READ, &there))
        return -EPERM;
    if (page_trapped(at.v & PAGE_MASK))
        return -EPERM;
    for (uint64_t p = start; p < start + size; p += PAGE_SIZE) {
        if (page_trapped(p) || !gpa_map_lookup(&parent_map, gpa(p), ACCESS_READ, &there)) {
            start = at.v & PAGE_MASK;
            size = PAGE_SIZE;
            break;
        }
    }
    return gpa_map_set(&parent_map, gpa(start), hpa(start), size,
                       ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC);
}

static uint32_t ioapic_hw_read(void *ctx, uint32_t reg)
{
    volatile uint32_t *regs = ctx;

    regs[IOAPIC_INDEX / 4] = reg;
    return regs[IOAPIC_DATA / 4];
}

static void ioapic_hw_write(void *ctx, uint32_t reg, uint32_t val)
{
    volatile uint32_t *regs = ctx;

    regs[IOAPIC_INDEX / 4] = reg;
    regs[IOAPIC_DATA / 4] = val;
}

static void parent_eoi(struct vp *vp, uint8_t vector)
{
    ioapic_eoi(&ioapics, vector);
}

static int add_ioapics(const struct acpi_info *acpi)
{
    ioapics_init(&ioapics);
    for (unsigned i = 0; i < acpi->ioapic_count; i++) {
        hpa_t base = hpa(acpi->ioapics[i].addr);
        struct ioapic_hw hw = {ioapic_hw_read, ioapic_hw_write, space_map_device(base, PAGE_SIZE)};
        int rc = hw.ctx ? ioapic_add(&ioapics, base, acpi->ioapics[i].gsi_base, &hw) : -ENOMEM;

        if (rc)
            return rc;
    }
    return 0;
}

static int map_memory(enum page_size leaf)
{
    int rc = gpa_map_init(&parent_map, leaf, NULL);

    if (rc)
        return rc;
    range_map_for_each(r, &parent_ram)
    {
        uint64_t start = align_up(r->start, PAGE_SIZE), end = align_down(r->end, PAGE_SIZE);

        if (r->type != RANGE_RAM || start >= end)
            continue;
        rc = gpa_map_set(&parent_map, gpa(start), hpa(start), end - start,
                         ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC);
        if (rc)
            return rc;
    }
    return 0;
}

/*
 * Firmware leaves the timer running through the 8259, on vectors that mean
 * exceptions in protected mode. An operating system masks both chips first thing;
 * here the interrupt could arrive before that, because it exits whatever the guest's IF.
 */
static void mask_legacy_pic(const struct acpi_info *acpi)
{
    if (!acpi->pcat_compat)
        return;
    cpu_out8(PIC1_DATA, 0xff);
    cpu_out8(PIC2_DATA, 0xff);
    vendor_intercept_ports(PIC1_COMMAND, 2);
    vendor_intercept_ports(PIC2_COMMAND, 2);
}

/* The UART that stays ours: its ports look empty to the parent, its line comes to us. */
static void keep_console(const struct acpi_info *acpi)
{
    uint8_t irq;
    uint16_t port = console_uart_port(&irq);
    uint32_t gsi;
    bool level = false, low = false;

    if (!port)
        return;
    vendor_intercept_ports(port, 8);
    gsi = irq;
    for (unsigned i = 0; i < acpi->override_count; i++) {
        if (acpi->overrides[i].irq != irq)
            continue;
        gsi = acpi->overrides[i].gsi;
        level = acpi->overrides[i].trigger == ACPI_TRIG_LEVEL;
        low = acpi->overrides[i].polarity == ACPI_POL_LOW;
    }
    if (ioapic_reserve_pin(&ioapics, gsi, VECTOR_HV_CONSOLE, this_lp()->apic_id, level, low))
        log_warn("no interrupt for the hypervisor's console: its keys do not work");
    else
        console_enable_input();
}

/* TCG lets the other processors damage the SVM state of the boot processor (decision 5). */
static void choose_home_of_vp0(const struct cmdline *opts)
{
    bool off = opts->lp0 == LP0_OFF || (opts->lp0 == LP0_AUTO && vendor_is_tcg());

    off = off && lp_count > 1;
    for (uint32_t i = 0; i < lp_count; i++)
        lps[i]->runs_vps = i || !off;
    home_of_vp0 = lps[off ? 1 : 0];
    if (!off)
        return;
    lp_set_slice(SHARED_SLICE_US);
    if (vendor_is_tcg())
        lostirq_watch();
    log_info("LP 0 runs no VPs; VP 0 shares LP 1");
}

int parent_create(const struct cmdline *opts, const struct acpi_info *acpi,
                  const struct range_map *ram)
{
    static const enum page_size leaves[] = {
        [NPT_4K] = PAGE_SIZE_4K, [NPT_2M] = PAGE_SIZE_2M, [NPT_1G] = PAGE_SIZE_1G};
    uint32_t r[4];
    int rc;

    cpu_cpuid(0x80000008, 0, r);
    physical_limit = BIT64(r[0] & 0xff);
    parent_ram = *ram;
    parent.id = PARTITION_ROOT_ID;
    parent.privileges = PRIVILEGES_STOCK_ROOT;
    parent.is_root = true;
    parent.map = &parent_map;
    parent.ref_base = clock_ref_from_tsc(clock_tsc());
    parent.eoi_hook = parent_eoi;
    atomic_store_explicit(&parent.state, PARTITION_ACTIVE, memory_order_relaxed);
    pool_init(&parent.pool);
    rc = pageinfo_init(&parent_ram);
    if (!rc)
        rc = add_ioapics(acpi);
    if (!rc)
        rc = map_memory(leaves[opts->npt]);
    if (rc)
        return rc;
    mask_legacy_pic(acpi);
    keep_console(acpi);
    choose_home_of_vp0(opts);
    for (uint32_t i = 0; i < lp_count && !rc; i++) {
        struct vp *vp;

        /* VP i has the APIC id of LP i and gets its interrupts, which need no translation. */
        rc = vp_create(&parent, (vp_index_t){i}, lps[i]->apic_id, &vp);
        if (!rc)
            lps[i]->parent_vp = vp;
    }
    return rc;
}

int parent_start(const struct linux_plan *plan)
{
    const struct sched_params params = {PARENT_WEIGHT, PARENT_RESERVE, 0, true, true};
    struct vp *boot = parent.vps[0];

    vapic_bios_state(boot);
    vendor_vp_start_long(boot, plan->entry, plan->page_tables, gpa(plan->gdt_addr),
                         plan->gdt_limit);
    boot->regs.gpr[RSI] = plan->boot_params;
    for (uint32_t i = lp_count; i-- > 0;) {
        int rc = vp_start(parent.vps[i], i ? lps[i] : home_of_vp0, &params);

        if (rc)
            return rc;
    }
    return 0;
}

static bool extint_held; /* VP 0 only */

struct lint {
    uint32_t lvt0, lvt1;
    bool enabled;
};

static void mirror_lint(void *arg)
{
    const struct lint *l = arg;

    lapic_mirror_lint(l->lvt0, l->lvt1, l->enabled);
    this_lp()->extint = l->enabled && !(l->lvt0 & APIC_LVT_MASKED) &&
                        (l->lvt0 & APIC_LVT_MODE_MASK) >> APIC_LVT_MODE_SHIFT == APIC_EXTINT;
}

void vapic_lint_changed(struct vp *vp, uint32_t lvt0, uint32_t lvt1, bool enabled)
{
    struct lint l = {lvt0, lvt1, enabled};

    if (!vp->partition->is_root)
        return;
    if (extint_held && !vp->index.v)
        l.lvt0 |= APIC_LVT_MASKED;
    lp_run_on(lps[vp->index.v], mirror_lint, &l);
}

void parent_hold_extint(bool hold)
{
    extint_held = hold;
    vapic_lint_mirror(parent.vps[0]);
}

struct logical_id {
    uint32_t ldr, dfr;
};

static void mirror_logical(void *arg)
{
    const struct logical_id *l = arg;

    lapic_mirror_logical(l->ldr, l->dfr);
}

void parent_logical_id_changed(struct vp *vp)
{
    struct logical_id l = {vapic_mmio_read(vp, APIC_LDR), vapic_mmio_read(vp, APIC_DFR)};

    lp_run_on(lps[vp->index.v], mirror_logical, &l);
}
