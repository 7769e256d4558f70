/* SPDX-License-Identifier: MIT */
#include "hypervisor/boot/acpi.h"

#include "abi/boot/acpi.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Real tables that are read here are some KiB; the whole list a few dozen. */
#define TABLE_LEN_MAX (1U << 20)
#define TABLES_MAX    256U

#define EBDA_SEGMENT 0x40eU /* BIOS data area: real-mode segment of the EBDA */
#define EBDA_SEARCH  1024U
#define BIOS_START   0xe0000U
#define BIOS_END     0x100000U
#define RSDP_STEP    16U

/** One run of the parser. */
struct walk {
    const struct boot_mem *mem;
    struct acpi_info *out;
    const char **why;
    bool madt_seen;
    uint64_t table; /* physical address of the one that is being read */
};

static int fail(struct walk *w, int err, const char *why)
{
    *w->why = why;
    return err;
}

static bool checksum_ok(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + p[i]);
    return sum == 0;
}

/** Bytes of the root pointer that are there and good: 0, 20 or 36. */
static uint32_t rsdp_check(const uint8_t *p, uint32_t len)
{
    struct acpi_rsdp r = {0};

    if (len < ACPI_RSDP_V1_LEN || memcmp(p, "RSD PTR ", 8) || !checksum_ok(p, ACPI_RSDP_V1_LEN))
        return 0;
    memcpy(&r, p, len < sizeof(r) ? len : sizeof(r));
    /* Later versions may be longer than what a copy holds; then the sum cannot be verified. */
    if (r.revision < 2 || len < sizeof(r) || r.length < sizeof(r))
        return ACPI_RSDP_V1_LEN;
    if (r.length == sizeof(r) && !checksum_ok(p, sizeof(r)))
        return ACPI_RSDP_V1_LEN;
    return sizeof(r);
}

static int rsdp_scan(const struct boot_mem *mem, uint64_t start, uint64_t end,
                     uint8_t rsdp[ACPI_RSDP_MAX], uint32_t *len, uint64_t *pa)
{
    for (uint64_t at = start; at < end; at += RSDP_STEP) {
        uint32_t room = ACPI_RSDP_MAX;
        const uint8_t *p = mem->map(mem->ctx, at, room);

        if (!p) {
            room = ACPI_RSDP_V1_LEN;
            p = mem->map(mem->ctx, at, room);
        }
        uint32_t good = p ? rsdp_check(p, room) : 0;
        if (!good)
            continue;
        memset(rsdp, 0, ACPI_RSDP_MAX);
        memcpy(rsdp, p, good);
        *len = good;
        *pa = at;
        return 0;
    }
    return -ENOENT;
}

int acpi_find_rsdp(const struct boot_mem *mem, uint8_t rsdp[ACPI_RSDP_MAX], uint32_t *len,
                   uint64_t *pa)
{
    const void *segment = mem->map(mem->ctx, EBDA_SEGMENT, 2);
    uint16_t seg = 0;

    if (segment)
        memcpy(&seg, segment, sizeof(seg));
    uint64_t ebda = (uint64_t)seg << 4;
    if (ebda >= 0x400 && !rsdp_scan(mem, ebda, ebda + EBDA_SEARCH, rsdp, len, pa))
        return 0;
    return rsdp_scan(mem, BIOS_START, BIOS_END, rsdp, len, pa);
}

/** A whole table with a good length and checksum, or NULL. */
static const uint8_t *table_map(struct walk *w, uint64_t pa, struct acpi_header *h)
{
    const uint8_t *p = w->mem->map(w->mem->ctx, pa, sizeof(*h));

    if (!p)
        return NULL;
    memcpy(h, p, sizeof(*h));
    if (h->length < sizeof(*h) || h->length > TABLE_LEN_MAX)
        return NULL;
    p = w->mem->map(w->mem->ctx, pa, h->length);
    return p && checksum_ok(p, h->length) ? p : NULL;
}

/* ---- MADT (ACPI 6.5, 5.2.12) ---- */

static enum acpi_polarity polarity(uint16_t inti)
{
    return (enum acpi_polarity)(inti & 3);
}

static enum acpi_trigger trigger(uint16_t inti)
{
    return (enum acpi_trigger)(inti >> 2 & 3);
}

static void add_lp(struct walk *w, uint32_t apic_id, uint32_t uid, uint32_t flags)
{
    struct acpi_info *o = w->out;

    if (!(flags & (MADT_LP_ENABLED | MADT_LP_ONLINE_CAPABLE)))
        return;
    /* Some firmware lists a processor both as local APIC and as local x2APIC. */
    for (unsigned i = 0; i < o->lp_count; i++)
        if (o->lps[i].apic_id.v == apic_id)
            return;
    if (o->lp_count == ACPI_LPS_MAX) {
        o->lps_lost++;
        return;
    }
    o->lps[o->lp_count++] = (struct acpi_lp){{apic_id}, uid, (flags & MADT_LP_ENABLED) != 0};
}

static int add_nmi(struct walk *w, const struct acpi_nmi *nmi)
{
    if (w->out->nmi_count == ACPI_NMIS_MAX)
        return fail(w, -ENOSPC, "ACPI: the MADT has too many NMI entries");
    w->out->nmis[w->out->nmi_count++] = *nmi;
    return 0;
}

static int add_ioapic(struct walk *w, const struct madt_ioapic *e)
{
    if (w->out->ioapic_count == ACPI_IOAPICS_MAX)
        return fail(w, -ENOSPC, "ACPI: the MADT has too many I/O APICs");
    w->out->ioapics[w->out->ioapic_count++] = (struct acpi_ioapic){e->id, e->addr, e->gsi_base};
    return 0;
}

static int add_override(struct walk *w, const struct madt_override *e)
{
    if (e->bus != 0) /* ISA is the only bus there is */
        return 0;
    if (w->out->override_count == ACPI_OVERRIDES_MAX)
        return fail(w, -ENOSPC, "ACPI: the MADT has too many interrupt source overrides");
    w->out->overrides[w->out->override_count++] =
        (struct acpi_override){e->irq, e->gsi, polarity(e->inti_flags), trigger(e->inti_flags)};
    return 0;
}

/** All entry layouts that are read, for one copy of the right size. */
union madt_any {
    struct madt_entry entry;
    struct madt_lapic lapic;
    struct madt_ioapic ioapic;
    struct madt_override override;
    struct madt_nmi_source nmi_source;
    struct madt_lapic_nmi lapic_nmi;
    struct madt_x2apic x2apic;
    struct madt_x2apic_nmi x2apic_nmi;
};

/** Least length of an entry type; 0 for those that are skipped. */
static size_t madt_entry_len(uint8_t type)
{
    switch (type) {
    case MADT_LAPIC:
        return sizeof(struct madt_lapic);
    case MADT_IOAPIC:
        return sizeof(struct madt_ioapic);
    case MADT_OVERRIDE:
        return sizeof(struct madt_override);
    case MADT_NMI_SOURCE:
        return sizeof(struct madt_nmi_source);
    case MADT_LAPIC_NMI:
        return sizeof(struct madt_lapic_nmi);
    case MADT_X2APIC:
        return sizeof(struct madt_x2apic);
    case MADT_X2APIC_NMI:
        return sizeof(struct madt_x2apic_nmi);
    default:
        return 0;
    }
}

static int madt_take(struct walk *w, const union madt_any *e)
{
    struct acpi_nmi nmi = {0};

    switch (e->entry.type) {
    case MADT_LAPIC:
        if (e->lapic.apic_id != 0xff)
            add_lp(w, e->lapic.apic_id, e->lapic.uid, e->lapic.flags);
        return 0;
    case MADT_X2APIC:
        if (e->x2apic.apic_id != UINT32_MAX)
            add_lp(w, e->x2apic.apic_id, e->x2apic.uid, e->x2apic.flags);
        return 0;
    case MADT_IOAPIC:
        return add_ioapic(w, &e->ioapic);
    case MADT_OVERRIDE:
        return add_override(w, &e->override);
    case MADT_NMI_SOURCE:
        nmi.ioapic = true;
        nmi.gsi = e->nmi_source.gsi;
        nmi.polarity = polarity(e->nmi_source.inti_flags);
        nmi.trigger = trigger(e->nmi_source.inti_flags);
        return add_nmi(w, &nmi);
    case MADT_LAPIC_NMI:
        nmi.uid = e->lapic_nmi.uid == 0xff ? ACPI_UID_ALL : e->lapic_nmi.uid;
        nmi.lint = e->lapic_nmi.lint & 1;
        nmi.polarity = polarity(e->lapic_nmi.inti_flags);
        nmi.trigger = trigger(e->lapic_nmi.inti_flags);
        return add_nmi(w, &nmi);
    default: /* MADT_X2APIC_NMI, as the caller skips all others */
        nmi.uid = e->x2apic_nmi.uid;
        nmi.lint = e->x2apic_nmi.lint & 1;
        nmi.polarity = polarity(e->x2apic_nmi.inti_flags);
        nmi.trigger = trigger(e->x2apic_nmi.inti_flags);
        return add_nmi(w, &nmi);
    }
}

static int madt_parse(struct walk *w, const uint8_t *p, uint32_t len)
{
    struct acpi_madt madt;

    if (len < sizeof(madt))
        return fail(w, -EINVAL, "ACPI: the MADT is too short");
    memcpy(&madt, p, sizeof(madt));
    w->out->lapic_addr = madt.lapic_addr;
    w->out->pcat_compat = madt.flags & MADT_PCAT_COMPAT;

    union madt_any e;
    for (uint32_t at = sizeof(madt); len - at >= sizeof(e.entry); at += e.entry.length) {
        memset(&e, 0, sizeof(e));
        memcpy(&e.entry, p + at, sizeof(e.entry));
        uint8_t entry_len = e.entry.length;
        if (entry_len < sizeof(e.entry) || entry_len > len - at)
            return fail(w, -EINVAL, "ACPI: an entry of the MADT has a wrong length");
        size_t want = madt_entry_len(e.entry.type);
        if (!want)
            continue;
        if (entry_len < want)
            return fail(w, -EINVAL, "ACPI: an entry of the MADT is too short");
        memcpy(&e, p + at, want);
        int err = madt_take(w, &e);
        if (err)
            return err;
    }
    w->out->madt = w->table;
    w->out->madt_len = len;
    w->madt_seen = true;
    return 0;
}

/* ---- the other tables ---- */

/** The extended form of a register if it is there, else the port of ACPI 1.0. */
static struct acpi_reg fadt_reg(const struct acpi_gas *x, uint32_t port, uint8_t bytes)
{
    if (x->addr)
        return (struct acpi_reg){x->addr, x->space, x->bit_width};
    return (struct acpi_reg){port, ACPI_SPACE_IO, port ? (uint8_t)(bytes * 8) : 0};
}

static void fadt_parse(struct walk *w, const uint8_t *p, uint32_t len)
{
    struct acpi_fadt *o = &w->out->fadt;
    struct acpi_fadt_table t = {0};

    if (len < FADT_MIN_LEN) {
        w->out->bad_tables++;
        return;
    }
    memcpy(&t, p, len < sizeof(t) ? len : sizeof(t));
    o->present = true;
    o->flags = t.flags;
    o->sci = t.sci_int;
    o->pm1a_control = fadt_reg(&t.x_pm1a_cnt, t.pm1a_cnt, t.pm1_cnt_len);
    o->pm1b_control = fadt_reg(&t.x_pm1b_cnt, t.pm1b_cnt, t.pm1_cnt_len);
    o->pm_timer = fadt_reg(&t.x_pm_tmr, t.pm_tmr, t.pm_tmr_len);
    if (o->pm_timer.addr) /* how many bits count is a flag, whatever the register's width */
        o->pm_timer.bits = t.flags & FADT_TMR_VAL_EXT ? 32 : 24;
    if (t.flags & FADT_RESET_REG && t.reset_reg.addr) {
        o->reset = (struct acpi_reg){t.reset_reg.addr, t.reset_reg.space, t.reset_reg.bit_width};
        o->reset_value = t.reset_value;
    }
    o->facs = t.x_facs ? t.x_facs : t.facs;
    o->dsdt = t.x_dsdt ? t.x_dsdt : t.dsdt;
}

static void hpet_parse(struct walk *w, const uint8_t *p, uint32_t len)
{
    struct acpi_hpet_table t;

    if (len < sizeof(t)) {
        w->out->bad_tables++;
        return;
    }
    memcpy(&t, p, sizeof(t));
    if (t.base.space == ACPI_SPACE_MEMORY)
        w->out->hpet = t.base.addr;
}

static int mcfg_parse(struct walk *w, const uint8_t *p, uint32_t len)
{
    struct mcfg_entry e;

    if (len < sizeof(struct acpi_mcfg_table)) {
        w->out->bad_tables++;
        return 0;
    }
    for (size_t at = sizeof(struct acpi_mcfg_table); len - at >= sizeof(e); at += sizeof(e)) {
        memcpy(&e, p + at, sizeof(e));
        if (!e.base || e.first_bus > e.last_bus)
            continue;
        if (w->out->mcfg_count == ACPI_MCFG_MAX)
            return fail(w, -ENOSPC, "ACPI: the MCFG has too many windows");
        w->out->mcfgs[w->out->mcfg_count++] =
            (struct acpi_mcfg){e.base, e.segment, e.first_bus, e.last_bus};
    }
    return 0;
}

static int madt_table(struct walk *w, const uint8_t *p, uint32_t len)
{
    return w->madt_seen ? 0 : madt_parse(w, p, len);
}

static int fadt_table(struct walk *w, const uint8_t *p, uint32_t len)
{
    if (!w->out->fadt.present)
        fadt_parse(w, p, len);
    return 0;
}

static int hpet_table(struct walk *w, const uint8_t *p, uint32_t len)
{
    if (!w->out->hpet)
        hpet_parse(w, p, len);
    return 0;
}

static int mcfg_table(struct walk *w, const uint8_t *p, uint32_t len)
{
    return w->out->mcfg_count ? 0 : mcfg_parse(w, p, len);
}

static int dmar_table(struct walk *w, const uint8_t *p, uint32_t len)
{
    w->out->has_dmar = true;
    return 0;
}

static int ivrs_table(struct walk *w, const uint8_t *p, uint32_t len)
{
    w->out->has_ivrs = true;
    return 0;
}

/** The tables that are read; the first of each kind counts. */
static const struct {
    char signature[5];
    int (*take)(struct walk *w, const uint8_t *p, uint32_t len);
} tables[] = {
    {"APIC", madt_table}, {"FACP", fadt_table}, {"HPET", hpet_table},
    {"MCFG", mcfg_table}, {"DMAR", dmar_table}, {"IVRS", ivrs_table},
};

static int table_take(struct walk *w, uint64_t pa)
{
    struct acpi_header h;
    const uint8_t *p = w->mem->map(w->mem->ctx, pa, sizeof(h));

    if (!p) {
        w->out->bad_tables++;
        return 0;
    }
    memcpy(&h, p, sizeof(h));
    w->table = pa;
    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
        if (memcmp(h.signature, tables[i].signature, sizeof(h.signature)))
            continue;
        p = table_map(w, pa, &h);
        if (p)
            return tables[i].take(w, p, h.length);
        w->out->bad_tables++;
    }
    return 0;
}

/** Walk the RSDT (entry = 4 bytes) or XSDT (8). -EFAULT without a message if it is unusable. */
static int root_walk(struct walk *w, uint64_t pa, const char *signature, uint32_t entry)
{
    struct acpi_header h;
    const uint8_t *p = pa ? table_map(w, pa, &h) : NULL;

    if (!p || memcmp(h.signature, signature, 4))
        return -EFAULT;
    uint32_t count = (h.length - (uint32_t)sizeof(h)) / entry;
    if (count > TABLES_MAX)
        return fail(w, -ENOSPC, "ACPI: too many tables");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t table = 0;

        /* Little endian: the short entry fills the low half. */
        memcpy(&table, p + sizeof(h) + i * entry, entry);
        int err = table ? table_take(w, table) : 0;
        if (err)
            return err;
    }
    return 0;
}

int acpi_parse(const struct boot_mem *mem, const uint8_t *rsdp, uint32_t len, struct acpi_info *out,
               const char **why)
{
    struct walk w = {mem, out, why, false, 0};
    struct acpi_rsdp r = {0};
    uint32_t good = rsdp_check(rsdp, len);
    int err = -EFAULT;

    memset(out, 0, sizeof(*out));
    if (!good)
        return fail(&w, -EINVAL, "ACPI: the root pointer is damaged");
    memcpy(&r, rsdp, good);
    out->revision = r.revision;

    if (r.xsdt)
        err = root_walk(&w, r.xsdt, "XSDT", 8);
    if (err == -EFAULT)
        err = root_walk(&w, r.rsdt, "RSDT", 4);
    if (err == -EFAULT)
        return fail(&w, err, "ACPI: neither XSDT nor RSDT is usable");
    if (err)
        return err;
    if (!w.madt_seen)
        return fail(&w, -ENOENT, "ACPI: there is no usable MADT");
    if (!out->lp_count)
        return fail(&w, -EINVAL, "ACPI: the MADT names no processor");
    return 0;
}
