/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/lazyeoi.h"

#include "abi/tlfs/msr.h"
#include "abi/tlfs/vp.h"
#include "hypervisor/vp/vp.h"

bool lazyeoi_enabled = true;

/* The word that the guest sees; the guest may scribble on it, which harms its own EOIs only. */
static _Atomic uint32_t *assist_word(const struct vp *vp)
{
    return lazyeoi_enabled ? overlay_bytes(&vp->assist_page) : NULL;
}

static void word_clear(_Atomic uint32_t *word)
{
    if (word)
        atomic_fetch_and_explicit(word, ~HV_APIC_ASSIST_NO_EOI_REQUIRED, memory_order_relaxed);
}

void lazyeoi_enter(struct vp *vp, int vector)
{
    _Atomic uint32_t *word;

    if (vp->eoi_skippable && (vector >= 0 || vapic_eoi_awaited(vp))) {
        vp->eoi_skippable = false;
        word_clear(assist_word(vp));
    }
    if (vector < 0 || !vapic_lazy_eoi_offer(vp, (uint8_t)vector))
        return;
    word = assist_word(vp);
    if (!word)
        return;
    atomic_fetch_or_explicit(word, HV_APIC_ASSIST_NO_EOI_REQUIRED, memory_order_relaxed);
    vp->eoi_offered = true;
}

void lazyeoi_exit(struct vp *vp, bool accepted)
{
    _Atomic uint32_t *word;

    if (!vp->eoi_offered && !vp->eoi_skippable)
        return;
    word = assist_word(vp);
    if (vp->eoi_offered) {
        vp->eoi_offered = false;
        if (!accepted) {
            word_clear(word); /* offered anew at the next entry */
            return;
        }
        vp->eoi_skippable = true;
    }
    if (word && (atomic_load_explicit(word, memory_order_relaxed) & HV_APIC_ASSIST_NO_EOI_REQUIRED))
        return; /* still being serviced */
    vp->eoi_skippable = false;
    if (word) {
        vp_count(vp, VPC_LAZY_EOI);
        vapic_eoi(vp);
    }
}
