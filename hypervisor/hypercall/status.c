/* SPDX-License-Identifier: MIT */
#include "hypervisor/hypercall/status.h"

#include "abi/tlfs/status.h"
#include "lib/errno.h"

uint16_t hypercall_status(int rc)
{
    switch (rc) {
    case 0:
        return HV_STATUS_SUCCESS;
    case -ENOENT:
        return HV_STATUS_INVALID_PARTITION_ID;
    case -EBADF:
        return HV_STATUS_INVALID_PARTITION_STATE;
    case -ENOMEM:
        return HV_STATUS_INSUFFICIENT_MEMORY;
    case -ENOSPC:
        return HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY;
    case -ERANGE:
        return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
    case -EBUSY:
    case -EPERM:
        return HV_STATUS_OPERATION_DENIED;
    case -EAGAIN:
    case -ENODATA:
        return HV_STATUS_NO_RESOURCES;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
}
