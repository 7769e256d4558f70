/* SPDX-License-Identifier: MIT */
#ifndef LIB_FMT_H
#define LIB_FMT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Formatted text without a C library: %d %i %u %x %X %c %s %p %% with the
 * lengths l, ll and z, the flags '-' and '0', a width and a precision (both
 * also as '*'; a precision only limits %s). %p prints 0x and 16 digits. A
 * conversion that is not known is copied as it stands and takes no argument.
 *
 * Writes at most `size` bytes, the last always a NUL (nothing if size is 0;
 * then buf may be NULL). Returns the length of the whole text without the NUL,
 * whether or not it fitted; INT_MAX if that is longer.
 */
int fmt_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
int fmt_snprintf(char *buf, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * The number that the whole of `s` spells: decimal digits or 0x and hex digits,
 * then at most one of K, M, G (either case; powers of 1024).
 * Returns 0; -EINVAL if it is not such a number; -ERANGE if it exceeds 64 bits.
 * *out is untouched on failure.
 */
int fmt_parse_u64(const char *s, uint64_t *out);

#endif
