/* SPDX-License-Identifier: MIT */
#ifndef VSP_IC_TEXT_H
#define VSP_IC_TEXT_H

#include <stddef.h>
#include <stdint.h>

/** UTF-8 to UTF-16 (little-endian) with a zero, into `size` bytes, the rest zeroed. The bytes used
 * with the zero; -EINVAL: that is no UTF-8, -E2BIG: it does not fit. */
int ic_text_to_guest(const char *text, uint8_t *out, size_t size);

/** Any UTF-16 of `size` bytes, up to a zero, to UTF-8 with a zero; what is none becomes U+FFFD.
 * It is cut where `out` is full. */
void ic_text_from_guest(const uint8_t *text, size_t size, char *out, size_t out_size);

#endif
