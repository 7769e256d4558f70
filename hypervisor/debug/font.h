/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_FONT_H
#define DEBUG_FONT_H

#include <stdint.h>

#define FONT_WIDTH  5
#define FONT_HEIGHT 7
#define FONT_FIRST  ' '
#define FONT_LAST   '~'

/** ASCII glyphs from FONT_FIRST on: rows from the top, bit 4 is the leftmost dot. */
extern const uint8_t font[FONT_LAST - FONT_FIRST + 1][FONT_HEIGHT];

#endif
