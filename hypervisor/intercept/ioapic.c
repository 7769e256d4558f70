/* SPDX-License-Identifier: MIT */
#include "hypervisor/intercept/ioapic.h"
#include "hypervisor/arch/x86/ioapicreg.h"
#include "hypervisor/debug/log.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Delivered through IRR and acknowledged by EOI, unlike NMI and ExtINT. */
static bool low_has_vector(uint32_t low)
{
    uint32_t mode = low & RTE_DELIVERY;

    return mode == RTE_FIXED || mode == RTE_LOWEST;
}

static bool low_allowed(uint32_t low)
{
    uint32_t mode = low & RTE_DELIVERY;
    uint32_t vector = low & RTE_VECTOR;

    if (low_has_vector(low))
        return vector >= IOAPIC_VECTOR_FIRST && vector < IOAPIC_VECTOR_HV;
    return mode == RTE_NMI || mode == RTE_EXTINT;
}

/* The parent's entry sends level-triggered interrupts, if it is not masked. */
static bool pin_level(const struct ioapic_pin *p)
{
    return !p->reserved && (p->low & RTE_LEVEL) && low_has_vector(p->low) && low_allowed(p->low);
}

/* What the real entry's low half has to be. */
static uint32_t pin_real_low(const struct ioapic_pin *p)
{
    uint32_t low = p->low & ~(RTE_READ_ONLY | RTE_LOW_RESERVED);

    if (!low_allowed(low))
        return RTE_MASKED;
    if (!low_has_vector(low))
        low &= ~RTE_LEVEL;
    return low | (p->in_service ? RTE_MASKED : 0);
}

static uint32_t hw_read(const struct ioapic *u, uint32_t reg)
{
    return u->hw.read(u->hw.ctx, reg);
}

static void hw_write(const struct ioapic *u, uint32_t reg, uint32_t val)
{
    u->hw.write(u->hw.ctx, reg, val);
}

static void pin_apply(struct ioapic *u, uint32_t pin)
{
    hw_write(u, IOAPIC_REG_RTE(pin), pin_real_low(&u->pin[pin]));
}

static void level_add(uint64_t level[4], uint8_t vector)
{
    level[vector / 64] |= BIT64(vector % 64);
}

/*
 * Recompute the vectors that may be level-triggered, masked pins included: their last interrupt
 * may be on its way. Release pairs with the acquire in level_possible().
 */
static void level_update(struct ioapics *s)
{
    uint64_t level[4] = {0};

    for (unsigned i = 0; i < s->count; i++) {
        const struct ioapic *u = &s->unit[i];
        for (uint32_t pin = 0; pin < u->pins; pin++) {
            const struct ioapic_pin *p = &u->pin[pin];
            if (pin_level(p))
                level_add(level, p->low & RTE_VECTOR);
            if (p->in_service)
                level_add(level, p->service_vector);
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(level); i++)
        atomic_store_explicit(&s->level[i], level[i], memory_order_release);
}

/* Before the hardware may send this vector, so that the first interrupt finds its bit. */
static void level_announce(struct ioapics *s, uint8_t vector)
{
    atomic_fetch_or_explicit(&s->level[vector / 64], BIT64(vector % 64), memory_order_release);
}

static bool level_possible(const struct ioapics *s, uint8_t vector)
{
    uint64_t word = atomic_load_explicit(&s->level[vector / 64], memory_order_acquire);

    return word & BIT64(vector % 64);
}

void ioapics_init(struct ioapics *s)
{
    memset(s, 0, sizeof(*s));
}

static bool overlaps(const struct ioapics *s, hpa_t base, uint64_t gsi_base, uint64_t pins)
{
    for (unsigned i = 0; i < s->count; i++) {
        const struct ioapic *u = &s->unit[i];
        if (u->base.v == base.v)
            return true;
        if (gsi_base < (uint64_t)u->gsi_base + u->pins && u->gsi_base < gsi_base + pins)
            return true;
    }
    return false;
}

static void pin_adopt(struct ioapic *u, uint32_t pin)
{
    struct ioapic_pin *p = &u->pin[pin];
    uint32_t low = hw_read(u, IOAPIC_REG_RTE(pin)) & ~RTE_READ_ONLY;

    *p = (struct ioapic_pin){.low = low, .high = hw_read(u, IOAPIC_REG_RTE(pin) + 1)};
    if (pin_real_low(p) == low)
        return;
    if (!(low & RTE_MASKED))
        log_warn("ioapic: firmware's entry for gsi %u refused (0x%08x)", u->gsi_base + pin, low);
    pin_apply(u, pin);
}

int ioapic_add(struct ioapics *s, hpa_t base, uint32_t gsi_base, const struct ioapic_hw *hw)
{
    struct ioapic *u = &s->unit[s->count];
    uint32_t version = hw->read(hw->ctx, IOAPIC_REG_VERSION);
    uint32_t pins = (uint32_t)min_u64(IOAPIC_VERSION_MAX_PIN(version) + 1, IOAPIC_MAX_PINS);

    if (base.v & ~PAGE_MASK)
        return -EINVAL;
    if (s->count == IOAPIC_MAX)
        return -ENOSPC;
    if (overlaps(s, base, gsi_base, pins))
        return -EEXIST;
    spin_lock(&s->lock);
    u->owner = s;
    u->base = base;
    u->gsi_base = gsi_base;
    u->pins = pins;
    u->regsel = 0;
    u->hw = *hw;
    for (uint32_t pin = 0; pin < pins; pin++)
        pin_adopt(u, pin);
    s->count++;
    level_update(s);
    spin_unlock(&s->lock);
    return 0;
}

struct ioapic *ioapic_find(struct ioapics *s, gpa_t addr)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->unit[i].base.v == (addr.v & PAGE_MASK))
            return &s->unit[i];
    return NULL;
}

/* The pin that an internal register belongs to; false if it is none of the table. */
static bool reg_pin(const struct ioapic *u, uint32_t reg, uint32_t *pin)
{
    *pin = (reg - IOAPIC_REG_RTE_FIRST) / 2;
    return reg >= IOAPIC_REG_RTE_FIRST && *pin < u->pins;
}

static uint32_t window_read(const struct ioapic *u)
{
    const struct ioapic_pin *p;
    uint32_t pin, real;

    if (u->regsel <= IOAPIC_REG_ARB)
        return hw_read(u, u->regsel);
    if (!reg_pin(u, u->regsel, &pin))
        return 0;
    p = &u->pin[pin];
    if (u->regsel & 1)
        return p->high;
    if (p->reserved)
        return p->low;
    real = hw_read(u, u->regsel) & RTE_READ_ONLY;
    return p->low | real | (p->in_service ? RTE_REMOTE_IRR : 0);
}

static void pin_write_low(struct ioapic *u, uint32_t pin, uint32_t val)
{
    struct ioapic_pin *p = &u->pin[pin];

    p->low = val & ~RTE_READ_ONLY;
    if (p->reserved)
        return;
    if (!low_allowed(val) && !(val & RTE_MASKED))
        log_once(LOG_WARN, "ioapic: entry 0x%08x for gsi %u refused, masked", val,
                 u->gsi_base + pin);
    /* As in hardware, a switch to edge-triggered clears remote IRR; Linux does it for that. */
    if (!(val & RTE_LEVEL))
        p->in_service = false;
    if (pin_level(p))
        level_announce(u->owner, val & RTE_VECTOR);
    pin_apply(u, pin);
    level_update(u->owner);
}

static void window_write(struct ioapic *u, uint32_t val)
{
    uint32_t pin;

    if (u->regsel == IOAPIC_REG_ID)
        hw_write(u, IOAPIC_REG_ID, val);
    if (!reg_pin(u, u->regsel, &pin))
        return;
    if (!(u->regsel & 1)) {
        pin_write_low(u, pin, val);
        return;
    }
    u->pin[pin].high = val;
    if (!u->pin[pin].reserved)
        hw_write(u, u->regsel, val);
}

static void unit_eoi(struct ioapic *u, uint8_t vector)
{
    for (uint32_t pin = 0; pin < u->pins; pin++) {
        struct ioapic_pin *p = &u->pin[pin];
        if (!p->in_service || p->service_vector != vector)
            continue;
        p->in_service = false;
        pin_apply(u, pin);
    }
}

int ioapic_mmio_read(void *unit, uint64_t offset, unsigned size, uint64_t *val)
{
    struct ioapic *u = unit;

    *val = 0;
    spin_lock(&u->owner->lock);
    if (offset == IOAPIC_REGSEL && size <= 4)
        *val = u->regsel;
    else if (offset == IOAPIC_WINDOW && size == 4)
        *val = window_read(u);
    spin_unlock(&u->owner->lock);
    return 0;
}

int ioapic_mmio_write(void *unit, uint64_t offset, unsigned size, uint64_t val)
{
    struct ioapic *u = unit;

    spin_lock(&u->owner->lock);
    if (offset == IOAPIC_REGSEL && size <= 4) {
        u->regsel = val & 0xFF;
    } else if (offset == IOAPIC_WINDOW && size == 4) {
        window_write(u, (uint32_t)val);
    } else if (offset == IOAPIC_EOI && size == 4) {
        unit_eoi(u, (uint8_t)val);
        level_update(u->owner);
    }
    spin_unlock(&u->owner->lock);
    return 0;
}

/*
 * Whether an interrupt that just arrived may have come from this pin. If the parent masked the
 * pin meanwhile, the hardware tells; then too the parent has to see remote IRR until its EOI,
 * because that is how it knows when it may give the pin another vector.
 */
static bool pin_sent(const struct ioapic *u, uint32_t pin, uint8_t vector)
{
    const struct ioapic_pin *p = &u->pin[pin];

    if (!pin_level(p) || (p->low & RTE_VECTOR) != vector)
        return false;
    return !(p->low & RTE_MASKED) || (hw_read(u, IOAPIC_REG_RTE(pin)) & RTE_REMOTE_IRR);
}

/*
 * Mask the pins that may have sent this. A pin that is in service already counts as well: the
 * vector's EOI is still to come, and must be seen, whatever made it arrive a second time.
 */
static bool unit_level_begin(struct ioapic *u, uint8_t vector)
{
    bool waits = false;

    for (uint32_t pin = 0; pin < u->pins; pin++) {
        struct ioapic_pin *p = &u->pin[pin];
        if (!p->in_service && pin_sent(u, pin, vector)) {
            p->in_service = true;
            p->service_vector = vector;
            pin_apply(u, pin);
            /* The write must have arrived before the local APIC's EOI does. */
            (void)hw_read(u, IOAPIC_REG_RTE(pin));
        }
        waits |= p->in_service && p->service_vector == vector;
    }
    return waits;
}

bool ioapic_level_begin(struct ioapics *s, uint8_t vector)
{
    bool waits = false;

    if (!level_possible(s, vector))
        return false;
    spin_lock(&s->lock);
    for (unsigned i = 0; i < s->count; i++)
        waits |= unit_level_begin(&s->unit[i], vector);
    spin_unlock(&s->lock);
    return waits;
}

void ioapic_eoi(struct ioapics *s, uint8_t vector)
{
    if (!level_possible(s, vector))
        return;
    spin_lock(&s->lock);
    for (unsigned i = 0; i < s->count; i++)
        unit_eoi(&s->unit[i], vector);
    level_update(s);
    spin_unlock(&s->lock);
}

int ioapic_reserve_pin(struct ioapics *s, uint32_t gsi, uint8_t vector, apic_id_t dest, bool level,
                       bool active_low)
{
    uint32_t low = vector | RTE_FIXED | (level ? RTE_LEVEL : 0) | (active_low ? RTE_ACTIVE_LOW : 0);
    int err = -ENOENT;

    if (vector < IOAPIC_VECTOR_FIRST || dest.v >= 0xFF)
        return -EINVAL;
    spin_lock(&s->lock);
    for (unsigned i = 0; i < s->count; i++) {
        struct ioapic *u = &s->unit[i];
        uint32_t pin = gsi - u->gsi_base;
        if (gsi < u->gsi_base || pin >= u->pins)
            continue;
        err = u->pin[pin].reserved ? -EBUSY : 0;
        if (err < 0)
            break;
        u->pin[pin] = (struct ioapic_pin){.low = RTE_MASKED, .reserved = true};
        hw_write(u, IOAPIC_REG_RTE(pin), RTE_MASKED);
        hw_write(u, IOAPIC_REG_RTE(pin) + 1, dest.v << RTE_DEST_SHIFT);
        hw_write(u, IOAPIC_REG_RTE(pin), low);
        break;
    }
    level_update(s);
    spin_unlock(&s->lock);
    return err;
}
