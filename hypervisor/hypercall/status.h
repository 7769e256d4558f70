/* SPDX-License-Identifier: MIT */
#ifndef HYPERCALL_STATUS_H
#define HYPERCALL_STATUS_H

#include <stdint.h>

/** HV_STATUS_* for an error number of the management functions; 0 is success. */
uint16_t hypercall_status(int rc);

#endif
