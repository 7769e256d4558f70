/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_IOAPICREG_H
#define ARCH_X86_IOAPICREG_H

#include "lib/bits.h"

/* IOAPIC register layout (82093AA data sheet, section 3; EOI register: ICH and later). */

/* Memory-mapped registers, 32 bits each. */
#define IOAPIC_REGSEL 0x00 /* index of an internal register, 8 bits */
#define IOAPIC_WINDOW 0x10 /* its contents */
#define IOAPIC_EOI    0x40 /* write: vector of a directed EOI; version 0x20 and later */

/* Internal registers. */
#define IOAPIC_REG_ID        0x00
#define IOAPIC_REG_VERSION   0x01
#define IOAPIC_REG_ARB       0x02
#define IOAPIC_REG_RTE(pin)  (0x10U + 2U * (pin)) /* low half; the high half follows */
#define IOAPIC_REG_RTE_FIRST 0x10U

/** Highest pin number of the version register. */
#define IOAPIC_VERSION_MAX_PIN(v) (((v) >> 16) & 0xFFU)

/* Redirection table entry, low half. */
#define RTE_VECTOR          0x000000FFU
#define RTE_DELIVERY        0x00000700U
#define RTE_FIXED           0x00000000U
#define RTE_LOWEST          0x00000100U
#define RTE_SMI             0x00000200U
#define RTE_NMI             0x00000400U
#define RTE_INIT            0x00000500U
#define RTE_EXTINT          0x00000700U
#define RTE_LOGICAL         BIT(11) /* destination mode */
#define RTE_DELIVERY_STATUS BIT(12) /* read only */
#define RTE_ACTIVE_LOW      BIT(13)
#define RTE_REMOTE_IRR      BIT(14) /* read only */
#define RTE_LEVEL           BIT(15)
#define RTE_MASKED          BIT(16)
#define RTE_READ_ONLY       (RTE_DELIVERY_STATUS | RTE_REMOTE_IRR)
#define RTE_LOW_RESERVED    0xFFFE0000U

/* High half: destination in bits 31..24. */
#define RTE_DEST_SHIFT 24
#define RTE_DEST_MASK  0xFF000000U

#endif
