/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_KSYMS_H
#define DEBUG_KSYMS_H

#include <stdint.h>

/**
 * The function that contains `addr` and the distance from its start, from the
 * table that the second link put into the image; NULL if it lies in none.
 */
const char *ksyms_lookup(uint64_t addr, uint64_t *offset);

#endif
