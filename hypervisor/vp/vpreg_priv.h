/* SPDX-License-Identifier: MIT */
#ifndef VP_VPREG_PRIV_H
#define VP_VPREG_PRIV_H

#include "hypervisor/vp/vpreg.h"

/*
 * Between the files of the registers: vpreg.c has the table of their names, the others what some
 * of its rows do. `n` counts from the row's first name; `arg` is the row's.
 */
typedef int vpreg_get_fn(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out);
typedef int vpreg_set_fn(struct vp *vp, uint32_t arg, uint32_t n,
                         const union hv_register_value *value);

/* vpreg.c */
void vpreg_rip_set(struct vp *vp, uint64_t rip);

/* vpreg_fp.c */
vpreg_get_fn vpreg_xmm_get, vpreg_st_get, vpreg_fp_control_get, vpreg_xmm_control_get;
vpreg_set_fn vpreg_xmm_set, vpreg_st_set, vpreg_fp_control_set, vpreg_xmm_control_set;
vpreg_get_fn vpreg_xfem_get, vpreg_tsc_aux_get, vpreg_dr_get;
vpreg_set_fn vpreg_xfem_set, vpreg_tsc_aux_set, vpreg_dr_set;

/* vpreg_event.c */
vpreg_get_fn vpreg_suspend_get, vpreg_activity_get, vpreg_interruption_get;
vpreg_set_fn vpreg_suspend_set, vpreg_activity_set, vpreg_interruption_set;
vpreg_get_fn vpreg_interrupt_state_get, vpreg_pending_event_get, vpreg_deliverability_get;
vpreg_set_fn vpreg_interrupt_state_set, vpreg_pending_event_set, vpreg_deliverability_set;

#endif
