/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/xstate.h"
#include "hypervisor/vp/vpreg_priv.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Registers that lie in the extended state. */

#define ST_SIZE     10U /* of the 16 bytes of each place */
#define REG_STRIDE  16U
#define FP_RESERVED 5U /* byte of HV_X64_FP_CONTROL_STATUS_REGISTER that no register has */

int vpreg_xmm_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    xstate_read(vp->xstate, XSTATE_XMM0 + n * REG_STRIDE, out, sizeof(*out));
    return 0;
}

int vpreg_xmm_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    xstate_write(vp->xstate, XCR0_SSE, XSTATE_XMM0 + n * REG_STRIDE, value, sizeof(*value));
    return 0;
}

int vpreg_st_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    xstate_read(vp->xstate, XSTATE_ST0 + n * REG_STRIDE, out, ST_SIZE);
    return 0;
}

int vpreg_st_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    xstate_write(vp->xstate, XCR0_X87, XSTATE_ST0 + n * REG_STRIDE, value, ST_SIZE);
    return 0;
}

/* HV_X64_FP_CONTROL_STATUS_REGISTER is the first 16 bytes of the legacy region. */
int vpreg_fp_control_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    xstate_read(vp->xstate, XSTATE_FCW, out, sizeof(*out));
    return 0;
}

int vpreg_fp_control_set(struct vp *vp, uint32_t arg, uint32_t n,
                         const union hv_register_value *value)
{
    uint8_t bytes[sizeof(*value)];

    memcpy(bytes, value, sizeof(bytes));
    bytes[FP_RESERVED] = 0;
    xstate_write(vp->xstate, XCR0_X87, XSTATE_FCW, bytes, sizeof(bytes));
    return 0;
}

/* HV_X64_XMM_CONTROL_STATUS_REGISTER is the next 16: x87's data pointer, MXCSR and its mask. */
int vpreg_xmm_control_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    xstate_read(vp->xstate, XSTATE_FDP, out, sizeof(*out));
    return 0;
}

int vpreg_xmm_control_set(struct vp *vp, uint32_t arg, uint32_t n,
                          const union hv_register_value *value)
{
    int rc = xstate_set_mxcsr(vp->xstate, (uint32_t)value->reg128[1]);

    if (!rc)
        xstate_write(vp->xstate, XCR0_X87, XSTATE_FDP, &value->reg64, sizeof(value->reg64));
    return rc;
}

int vpreg_xfem_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = xstate_xcr0(vp->xstate);
    return 0;
}

int vpreg_xfem_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    return xstate_set_xcr0(vp->xstate, value->reg64);
}

int vpreg_tsc_aux_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = xstate_tsc_aux(vp->xstate);
    return 0;
}

int vpreg_tsc_aux_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    return xstate_set_tsc_aux(vp->xstate, value->reg64);
}

int vpreg_dr_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = *xstate_dr(vp->xstate, n);
    return 0;
}

int vpreg_dr_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    *xstate_dr(vp->xstate, n) = value->reg64;
    return 0;
}
