/* SPDX-License-Identifier: MIT */
#ifndef VP_VAPIC_PRIV_H
#define VP_VAPIC_PRIV_H

#include "hypervisor/vp/vp.h"

/* Between the files of the virtual APIC: vapic.c, vapic_regs.c, vapic_timer.c, vapic_ipi.c. */

/* Bits of a 256-bit vector register. All are relaxed: vapic_set_irr() says where order matters. */
static inline bool vapic_vec_test(const _Atomic uint32_t *words, unsigned vector)
{
    return atomic_load_explicit(&words[vector / 32], memory_order_relaxed) >> (vector % 32) & 1;
}

/** Set a bit; returns whether it was set before. */
static inline bool vapic_vec_set(_Atomic uint32_t *words, unsigned vector)
{
    uint32_t bit = BIT(vector % 32);

    return atomic_fetch_or_explicit(&words[vector / 32], bit, memory_order_seq_cst) & bit;
}

/** Clear a bit; returns whether it was set before. */
static inline bool vapic_vec_clear(_Atomic uint32_t *words, unsigned vector)
{
    uint32_t bit = BIT(vector % 32);

    return atomic_fetch_and_explicit(&words[vector / 32], ~bit, memory_order_seq_cst) & bit;
}

/** Highest set bit, or -1. */
static inline int vapic_vec_highest(const _Atomic uint32_t *words)
{
    for (int i = VAPIC_VECTOR_WORDS - 1; i >= 0; i--) {
        uint32_t w = atomic_load_explicit(&words[i], memory_order_acquire);

        if (w)
            return i * 32 + 31 - __builtin_clz(w);
    }
    return -1;
}

/* Mode of the APIC; other LPs ask too. */
static inline uint64_t vapic_base(const struct vp *vp)
{
    return atomic_load_explicit(&vp->apic.state.base, memory_order_relaxed);
}

static inline bool vapic_is_enabled(const struct vp *vp)
{
    return vapic_base(vp) & APIC_BASE_ENABLE;
}

static inline bool vapic_is_x2apic(const struct vp *vp)
{
    return vapic_base(vp) & APIC_BASE_X2APIC;
}

static inline uint32_t vapic_lvt_get(const struct vp *vp, enum vapic_lvt n)
{
    return atomic_load_explicit(&vp->apic.state.lvt[n], memory_order_relaxed);
}

/** Processor priority register. */
uint8_t vapic_ppr(const struct vp *vp);

/** Record an error for the ESR and raise the LVT error interrupt; any LP. */
void vapic_error(struct vp *vp, uint32_t esr_bit);

/** Write SVR or an LVT entry, already free of reserved bits. */
void vapic_svr_set(struct vp *vp, uint32_t svr);
void vapic_lvt_set(struct vp *vp, enum vapic_lvt n, uint32_t lvt);

/** A register that both modes have, by its xAPIC offset; -EPERM, -EACCES: see vapic_regs.c. */
int vapic_reg_read(struct vp *vp, uint32_t reg, uint32_t *val);
int vapic_reg_write(struct vp *vp, uint32_t reg, uint32_t val);

/* The LVT timer. */
void vapic_timer_init(struct vp *vp);
void vapic_timer_stop(struct vp *vp);
void vapic_timer_set_lvt(struct vp *vp, uint32_t lvt);
void vapic_timer_set_initial(struct vp *vp, uint32_t count);
void vapic_timer_set_divide(struct vp *vp, uint32_t divide);
uint32_t vapic_timer_current(struct vp *vp);

/** Let it run on from this count, or stand if it is 0; initial count and divider are set. */
void vapic_timer_set_current(struct vp *vp, uint32_t count);

#endif
