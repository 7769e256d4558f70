/* SPDX-License-Identifier: MIT */
#ifndef INTERCEPT_IOAPIC_H
#define INTERCEPT_IOAPIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include "lib/spinlock.h"
#include "lib/types.h"

/*
 * The IOAPICs belong to the parent partition, except that the hypervisor stands
 * between: it must know which vectors are level-triggered (it acknowledges every
 * interrupt at once and lets the pin rest until the parent's own EOI), and it
 * refuses entries that would harm it (SMI, INIT, its own vectors).
 *
 * The parent reads back what it wrote, see ioapic_mmio_read(). Refused are entries with
 * delivery mode SMI, INIT or reserved, and with fixed or lowest-priority delivery of a
 * vector outside 0x10 .. 0xEF: the real entry stays masked. NMI and ExtINT are real, but
 * always edge-triggered.
 */

#define IOAPIC_MAX      8
#define IOAPIC_MAX_PINS 120 /* what the 8-bit index register can reach */

/** First vector of the hypervisor itself; the parent's entries may use 0x10 up to below it. */
#define IOAPIC_VECTOR_FIRST 0x10
#define IOAPIC_VECTOR_HV    0xF0

/** Access to internal register `reg` (0x00 .. 0xFF) of one physical IOAPIC. */
struct ioapic_hw {
    uint32_t (*read)(void *ctx, uint32_t reg);
    void (*write)(void *ctx, uint32_t reg, uint32_t val);
    void *ctx;
};

struct ioapic_pin {
    uint32_t low;           /* as the parent wrote it, read-only bits zero */
    uint32_t high;          /* as the parent wrote it */
    bool reserved;          /* used by the hypervisor */
    bool in_service;        /* masked until the parent's EOI of service_vector */
    uint8_t service_vector; /* the entry may have been rewritten meanwhile */
};

struct ioapics;

struct ioapic {
    struct ioapics *owner;
    hpa_t base; /* register page */
    uint32_t gsi_base;
    uint32_t pins;
    uint32_t regsel;
    struct ioapic_hw hw;
    struct ioapic_pin pin[IOAPIC_MAX_PINS];
};

/** All IOAPICs. Everything is protected by the lock, `unit` descriptions are init only. */
struct ioapics {
    struct spinlock lock; /* rank "ioapic" */
    unsigned count;
    struct ioapic unit[IOAPIC_MAX];
    /* Vectors of level-triggered pins, masked ones included, and of those in service; written under
       the lock and read without, so that edge and MSI interrupts do not take it. */
    _Atomic uint64_t level[4];
};

/** Prepare an empty set. */
void ioapics_init(struct ioapics *s);

/**
 * Add one IOAPIC, its registers at `base`, serving gsi_base and up. Adopts the entries that
 * firmware left, refusing what the parent may not write either. Only before the parent runs.
 * Returns 0, -ENOSPC beyond IOAPIC_MAX, -EEXIST if base or gsi range overlap another, -EINVAL if
 * base is not page aligned.
 */
int ioapic_add(struct ioapics *s, hpa_t base, uint32_t gsi_base, const struct ioapic_hw *hw);

/** The IOAPIC whose register page contains `addr` (the parent's addresses are host's), or NULL. */
struct ioapic *ioapic_find(struct ioapics *s, gpa_t addr);

/**
 * The parent's access to the register page; `unit` is a struct ioapic. The signatures fit
 * struct mmio_ops. Registers are 32 bits wide (the index also takes narrower accesses); other
 * offsets and sizes read as 0 and ignore writes. Always 0.
 *
 * A redirection entry reads as written, with delivery status of the hardware, and remote IRR
 * set from a level interrupt's delivery until the parent's EOI.
 */
int ioapic_mmio_read(void *unit, uint64_t offset, unsigned size, uint64_t *val);
int ioapic_mmio_write(void *unit, uint64_t offset, unsigned size, uint64_t val);

/**
 * A physical interrupt with this vector arrived, not yet acknowledged. Masks the level-triggered
 * pins with that vector. True if any pin now waits for the parent's EOI of the vector: then
 * inject it as level-triggered. In both cases the caller does the physical EOI next.
 */
bool ioapic_level_begin(struct ioapics *s, uint8_t vector);

/** The parent did an EOI of a level-triggered vector: let the pins fire again. Any vector is fine.
 */
void ioapic_eoi(struct ioapics *s, uint8_t vector);

/**
 * Take a pin for the hypervisor: fixed delivery of `vector` to the LP with that APIC id (0..254).
 * The parent then sees a masked entry whose writes change nothing real. A level-triggered
 * reserved pin is acknowledged by its handler, not through ioapic_level_begin().
 * Returns 0, -ENOENT if no IOAPIC has that gsi, -EBUSY if it is taken, -EINVAL.
 */
int ioapic_reserve_pin(struct ioapics *s, uint32_t gsi, uint8_t vector, apic_id_t dest, bool level,
                       bool active_low);

#endif
