/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_STDINT_H
#define VID_STDINT_H

/* What the contracts in abi/ expect of a C library's header; the kernel has the same types. */
#include <linux/types.h>

#endif
