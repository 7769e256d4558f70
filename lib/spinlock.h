/* SPDX-License-Identifier: MIT */
#ifndef LIB_SPINLOCK_H
#define LIB_SPINLOCK_H

#include <stdatomic.h>
#include <stdint.h>

/**
 * Ticket lock: fair, no wait-list. The hypervisor runs with interrupts off, so
 * there is no irq-saving variant. Take locks in ascending order of their rank:
 *
 *   partition < gpa map < ioapic < runqueue < timer queue < frames < console
 */
struct spinlock {
    _Atomic uint32_t next;
    _Atomic uint32_t owner;
};

#define SPINLOCK_INIT                                                                              \
    {                                                                                              \
        0, 0                                                                                       \
    }

static inline void cpu_relax(void)
{
    __builtin_ia32_pause();
}

static inline void spin_lock(struct spinlock *l)
{
    uint32_t ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);

    /* Acquire pairs with the release in spin_unlock(). */
    while (atomic_load_explicit(&l->owner, memory_order_acquire) != ticket)
        cpu_relax();
}

static inline void spin_unlock(struct spinlock *l)
{
    uint32_t owner = atomic_load_explicit(&l->owner, memory_order_relaxed);

    atomic_store_explicit(&l->owner, owner + 1, memory_order_release);
}

#endif
