/* SPDX-License-Identifier: MIT */
#ifndef DISK_VHDX_TEXT_H
#define DISK_VHDX_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Text of a parent locator: UTF-16, little-endian, without a zero at its end. */

/** To UTF-8, at most `size` bytes with a zero. False: it is no text, is empty, has a zero in it or
 * is too long. */
bool vhdx_text_get(char *out, size_t size, const uint8_t *raw, size_t bytes);

/** From UTF-8: bytes, or -EINVAL: it is not UTF-8, -ENAMETOOLONG. */
ssize_t vhdx_text_put(uint8_t *out, size_t size, const char *text);

#endif
