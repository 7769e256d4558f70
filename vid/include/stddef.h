/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_STDDEF_H
#define VID_STDDEF_H

/* What the contracts in abi/ expect of a C library's header; the kernel has the same macros. */
#include <linux/stddef.h>

#endif
