/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/vpreg.h"

#include "lib/errno.h"

int vpreg_get(struct vp *vp, uint32_t name, union hv_register_value *out)
{
    return -ENOENT;
}

int vpreg_set(struct vp *vp, uint32_t name, const union hv_register_value *value)
{
    return -ENOENT;
}

void vpreg_page_fill(struct vp *vp)
{
}

void vpreg_page_take(struct vp *vp)
{
}
