/* SPDX-License-Identifier: MIT */
#include "lib/fmt.h"

#include <limits.h>
#include <stdbool.h>

#include "lib/errno.h"
#include "lib/string.h"

/** The output: `len` counts on past the end of the buffer. */
struct sink {
    char *buf;
    size_t size;
    size_t len;
};

/** One conversion between '%' and its letter. */
struct spec {
    bool left;
    bool zero;
    unsigned width;
    bool has_precision;
    unsigned precision;
    unsigned longs; /* 0 is int, 1 is long or size_t, 2 is long long */
};

/* Keeps a width from a corrupt variable from filling the console for ever. */
#define FIELD_MAX 4096U

/* 64 bits in base 10, or "0x" and 16 digits. */
#define DIGITS_MAX 20

static void put(struct sink *s, char c)
{
    if (s->len + 1 < s->size)
        s->buf[s->len] = c;
    s->len++;
}

static void pad(struct sink *s, char c, unsigned used, unsigned width)
{
    for (; used < width; used++)
        put(s, c);
}

static void put_string(struct sink *s, const struct spec *sp, const char *text)
{
    if (!text)
        text = "(null)";
    size_t len = strnlen(text, sp->has_precision ? sp->precision : (size_t)INT_MAX);

    if (!sp->left)
        pad(s, ' ', (unsigned)len, sp->width);
    for (size_t i = 0; i < len; i++)
        put(s, text[i]);
    if (sp->left)
        pad(s, ' ', (unsigned)len, sp->width);
}

static void put_number(struct sink *s, const struct spec *sp, const char *prefix, uint64_t v,
                       unsigned base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[DIGITS_MAX];
    unsigned n = 0;
    unsigned used = (unsigned)strlen(prefix);
    bool zero = sp->zero && !sp->left;

    do {
        text[n++] = digits[v % base];
        v /= base;
    } while (v);
    used += n;

    if (!sp->left && !zero)
        pad(s, ' ', used, sp->width);
    for (; *prefix; prefix++)
        put(s, *prefix);
    if (zero)
        pad(s, '0', used, sp->width);
    while (n)
        put(s, text[--n]);
    if (sp->left)
        pad(s, ' ', used, sp->width);
}

/** A width or precision at *fmt, moved past it; a negative '*' is reported as such. */
static unsigned parse_count(const char **fmt, int star, bool *negative)
{
    unsigned v = 0;

    *negative = false;
    if (**fmt == '*') {
        (*fmt)++;
        *negative = star < 0;
        v = star < 0 ? 0U - (unsigned)star : (unsigned)star;
        return v < FIELD_MAX ? v : FIELD_MAX;
    }
    for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++)
        v = v < FIELD_MAX ? v * 10 + (unsigned)(**fmt - '0') : v;
    return v < FIELD_MAX ? v : FIELD_MAX;
}

/** A va_list that can be passed on by address, wherever va_list is an array. */
struct args {
    va_list ap;
};

static struct spec parse_spec(const char **fmt, struct args *args)
{
    struct spec sp = {0};
    bool negative;

    for (; **fmt == '-' || **fmt == '0'; (*fmt)++) {
        sp.left |= **fmt == '-';
        sp.zero |= **fmt == '0';
    }
    sp.width = parse_count(fmt, **fmt == '*' ? va_arg(args->ap, int) : 0, &negative);
    sp.left |= negative;
    if (**fmt == '.') {
        (*fmt)++;
        sp.precision = parse_count(fmt, **fmt == '*' ? va_arg(args->ap, int) : 0, &negative);
        sp.has_precision = !negative;
    }
    for (; **fmt == 'l' || **fmt == 'z'; (*fmt)++)
        sp.longs++;
    return sp;
}

static uint64_t arg_unsigned(const struct spec *sp, struct args *args)
{
    return sp->longs ? va_arg(args->ap, unsigned long) : va_arg(args->ap, unsigned);
}

static void put_signed(struct sink *s, const struct spec *sp, struct args *args)
{
    int64_t v = sp->longs ? va_arg(args->ap, long) : va_arg(args->ap, int);

    /* Unsigned negation, as -INT64_MIN does not exist. */
    put_number(s, sp, v < 0 ? "-" : "", v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, false);
}

_Static_assert(sizeof(long) == 8 && sizeof(long long) == 8 && sizeof(size_t) == 8,
               "l, ll and z are read alike");

/** One conversion; `start` is its '%', returns what follows it. */
static const char *convert(struct sink *s, const char *start, struct args *args)
{
    const char *fmt = start + 1;
    struct spec sp = parse_spec(&fmt, args);
    struct spec pointer = {.zero = true, .width = 18};
    char c[2] = {0};

    switch (*fmt) {
    case 'd':
    case 'i':
        put_signed(s, &sp, args);
        break;
    case 'u':
        put_number(s, &sp, "", arg_unsigned(&sp, args), 10, false);
        break;
    case 'x':
    case 'X':
        put_number(s, &sp, "", arg_unsigned(&sp, args), 16, *fmt == 'X');
        break;
    case 'p':
        put_number(s, &pointer, "0x", (uintptr_t)va_arg(args->ap, void *), 16, false);
        break;
    case 's':
        put_string(s, &sp, va_arg(args->ap, const char *));
        break;
    case 'c':
        c[0] = (char)va_arg(args->ap, int);
        sp.has_precision = false;
        put_string(s, &sp, c);
        break;
    case '%':
        put(s, '%');
        break;
    default:
        for (; start < fmt; start++)
            put(s, *start);
        return fmt;
    }
    return fmt + 1;
}

int fmt_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct sink s = {.buf = buf, .size = size};
    struct args args;

    va_copy(args.ap, ap);
    while (*fmt) {
        if (*fmt == '%')
            fmt = convert(&s, fmt, &args);
        else
            put(&s, *fmt++);
    }
    va_end(args.ap);
    if (size)
        buf[s.len < size ? s.len : size - 1] = '\0';
    return s.len < INT_MAX ? (int)s.len : INT_MAX;
}

int fmt_snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int len = fmt_vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return len;
}

/** The value of a digit, or 16 for what is none. */
static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 16;
}

static unsigned suffix_shift(char c)
{
    switch (c) {
    case 'K':
    case 'k':
        return 10;
    case 'M':
    case 'm':
        return 20;
    case 'G':
    case 'g':
        return 30;
    default:
        return 0;
    }
}

int fmt_parse_u64(const char *s, uint64_t *out)
{
    unsigned base = 10;
    uint64_t v = 0;
    bool overflow = false;

    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    if (digit_value(*s) >= base)
        return -EINVAL;
    for (; digit_value(*s) < base; s++)
        overflow |= __builtin_mul_overflow(v, (uint64_t)base, &v) ||
                    __builtin_add_overflow(v, (uint64_t)digit_value(*s), &v);

    unsigned shift = suffix_shift(*s);
    if (shift)
        s++;
    if (*s)
        return -EINVAL;
    if (overflow || v > UINT64_MAX >> shift)
        return -ERANGE;
    *out = v << shift;
    return 0;
}
