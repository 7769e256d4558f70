/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/child_vp.h"

#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/child_priv.h"
#include "hypervisor/partition/intercepts.h"
#include "hypervisor/partition/parent.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/notify.h"
#include "lib/errno.h"

/* VPs that were given each LP as their home, ever: the next one goes where the fewest are. */
static _Atomic uint32_t homes[LP_MAX];

static struct lp *choose_home(void)
{
    struct lp *best = NULL;
    uint32_t fewest = UINT32_MAX;

    for (uint32_t i = 0; i < lp_count; i++) {
        uint32_t n = atomic_load_explicit(&homes[i], memory_order_relaxed);

        if (lps[i]->runs_vps && n < fewest) {
            best = lps[i];
            fewest = n;
        }
    }
    return best;
}

static struct sched_params params_of(const struct partition *p)
{
    return (struct sched_params){
        .weight = p->properties.weight, .reserve = p->properties.reserve, .cap = p->properties.cap};
}

int child_vp_create(struct partition *p, uint32_t index)
{
    struct sched_params params = params_of(p);
    struct lp *home = choose_home();
    struct vp *vp;
    int rc = vp_create(p, (vp_index_t){index}, (apic_id_t){index}, &vp);

    if (rc)
        return rc;
    intercepts_apply(vp); /* those that were installed while it was made */
    /* Reserves are fulfilled where there is room; else the VP could not be started. */
    rc = vp_start(vp, home, &params);
    for (uint32_t i = 0; rc == -ERANGE && i < lp_count; i++)
        if (lps[i]->runs_vps)
            rc = vp_start(vp, home = lps[i], &params);
    if (rc) {
        atomic_store_explicit(&p->vps[index], NULL, memory_order_release);
        lp_barrier();
        vp_destroy(vp);
        return rc;
    }
    atomic_fetch_add_explicit(&homes[home->index], 1, memory_order_relaxed);
    return 0;
}

int child_vp_set_params(struct vp *vp)
{
    struct sched_params params = params_of(vp->partition);
    struct sched_lp *kick;
    int rc = sched_set_params(&vp->sched, &params, clock_tsc(), &kick);

    if (!rc && kick)
        lp_reschedule(container_of(kick, struct lp, sched));
    return rc;
}

static void **page_of(struct vp *vp, unsigned type)
{
    switch (type) {
    case HV_VP_STATE_PAGE_REGISTERS:
        return (void **)&vp->register_page;
    case HV_VP_STATE_PAGE_INTERCEPT_MESSAGE:
        return (void **)&vp->message_page;
    default:
        return NULL;
    }
}

int child_vp_map_page(struct vp *vp, unsigned type, hpa_t *out)
{
    void **page = page_of(vp, type);
    int rc = 0;

    if (!page)
        return -EINVAL;
    vp_pause(vp);
    if (*page) {
        *out = virt_to_hpa(*page);
    } else {
        rc = child_share_page(vp->partition, out);
        if (!rc)
            *page = hpa_to_virt(*out);
    }
    vp_resume(vp);
    return rc;
}

int child_vp_unmap_page(struct vp *vp, unsigned type)
{
    void **page = page_of(vp, type), *was;

    if (!page || !*page)
        return -ENOENT;
    vp_pause(vp);
    was = *page;
    *page = NULL;
    vp_resume(vp);
    if (was)
        child_unshare_page(vp->partition, virt_to_hpa(was));
    return was ? 0 : -ENOENT;
}

void child_vp_pages_free(struct vp *vp)
{
    for (unsigned type = 0; type < HV_VP_STATE_PAGE_COUNT; type++)
        child_vp_unmap_page(vp, type);
}

void child_eoi(struct vp *vp, uint8_t vector)
{
    const struct hv_x64_apic_eoi_message message = {vp->index.v, vector};

    notify_intercept(vp, HVMSG_X64_APIC_EOI, &message, sizeof(message));
}
