/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_LAPIC_H
#define ARCH_X86_LAPIC_H

#include <stdbool.h>
#include "lib/types.h"

/** The physical local APIC of the LP that calls, in whichever mode the firmware left it. */

/** Map the registers if they are in memory; once, on the boot processor. */
int lapic_init(void);

/** Enable it on this LP: spurious vector, no pins, timer stopped. */
void lapic_enable(void);

apic_id_t lapic_id(void);
void lapic_eoi(void);

/** Is this vector in service, i.e. did it come through the APIC and not from an 8259? */
bool lapic_in_service(uint8_t vector);

/** Send to one LP. */
void lapic_send_fixed(apic_id_t dest, uint8_t vector);
void lapic_send_init(apic_id_t dest);
void lapic_send_sipi(apic_id_t dest, uint8_t vector);

/** NMI to every LP but this one. */
void lapic_nmi_others(void);

/** One shot after `ticks` of the APIC clock, 0 stops; then the current count. */
void lapic_timer_start(uint32_t ticks);
uint32_t lapic_timer_current(void);

/** Let LINT0 and LINT1 work as the parent programmed its virtual ones: ExtINT and NMI only. */
void lapic_mirror_lint(uint32_t lvt0, uint32_t lvt1, bool enabled);

/** Make the APIC look at its requests once more; changes nothing on a processor without defects. */
void lapic_weigh_again(void);

/** Logical destination of the parent in xAPIC mode. */
void lapic_mirror_logical(uint32_t ldr, uint32_t dfr);

#endif
