/* SPDX-License-Identifier: MIT */
#ifndef VP_DELAY_H
#define VP_DELAY_H

#include <stdint.h>

/** Option delay=N: spin up to N microseconds after each exit, to move races about. 0: never. */
void delay_init(uint64_t max_us);

/** Spin for a random time, if that was asked for. */
void delay_random(void);

#endif
