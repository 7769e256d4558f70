/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_IRQ_H
#define ARCH_X86_IRQ_H

#include <stdint.h>

/** A physical interrupt on this LP: the hypervisor's own, or one for the parent's VP here. */
void irq_handle(uint8_t vector);

/** A physical NMI on this LP: a panic's stop order, or one for the parent's VP here. */
void irq_nmi(void);

#endif
