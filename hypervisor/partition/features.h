/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_FEATURES_H
#define PARTITION_FEATURES_H

#include <stdint.h>

/*
 * Features of the processor as partition properties count them (TLFS
 * "HV_PARTITION_PROCESSOR_FEATURES", "HV_PARTITION_PROCESSOR_XSAVE_FEATURES"), each a bit of CPUID.
 */

enum features_bank { FEATURES_BANK0, FEATURES_BANK1, FEATURES_XSAVE, FEATURES_BANKS };

/** What this processor has and a child may have. */
uint64_t features_host(enum features_bank bank);

/** Take the features of `disabled` out of what CPUID answers; `regs` is EAX, EBX, ECX, EDX. */
void features_hide(const uint64_t disabled[FEATURES_BANKS], uint32_t leaf, uint32_t subleaf,
                   uint32_t regs[4]);

#endif
