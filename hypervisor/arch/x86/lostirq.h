/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_LOSTIRQ_H
#define ARCH_X86_LOSTIRQ_H

/**
 * From now on this LP, which runs no VPs, wakes the others from time to time while they run some.
 * What an emulator lost of a physical interrupt (docs/decisions/0003) shows then at the latest.
 */
void lostirq_watch(void);

#endif
