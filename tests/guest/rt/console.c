/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include "lib/spinlock.h"
#include "tests/guest/rt/rt_priv.h"

static struct spinlock console_lock = SPINLOCK_INIT;
static uint16_t console_port = 0x3f8;

struct line {
    char text[320];
    size_t used;
};

static void line_putc(struct line *l, char c)
{
    if (l->used < sizeof(l->text))
        l->text[l->used++] = c;
}

static void line_number(struct line *l, uint64_t v, unsigned base, bool negative, unsigned width,
                        char pad)
{
    char digits[24];
    unsigned n = 0;

    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    if (negative)
        digits[n++] = '-';
    for (; width > n; width--)
        line_putc(l, pad);
    while (n)
        line_putc(l, digits[--n]);
}

static void line_format(struct line *l, const char *fmt, va_list ap)
{
    for (; *fmt; fmt++) {
        unsigned width = 0;
        bool wide = false;
        char pad = ' ';
        int64_t v;

        if (*fmt != '%') {
            line_putc(l, *fmt);
            continue;
        }
        for (fmt++; *fmt == '0' && !width; fmt++)
            pad = '0';
        for (; *fmt >= '0' && *fmt <= '9'; fmt++)
            width = width * 10 + (unsigned)(*fmt - '0');
        for (; *fmt == 'l' || *fmt == 'z'; fmt++)
            wide = true;
        switch (*fmt) {
        case 's':
            for (const char *s = va_arg(ap, const char *); *s; s++)
                line_putc(l, *s);
            break;
        case 'c':
            line_putc(l, (char)va_arg(ap, int));
            break;
        case 'd':
            v = wide ? va_arg(ap, int64_t) : va_arg(ap, int);
            line_number(l, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0, width, pad);
            break;
        case 'u':
        case 'x':
            line_number(l, wide ? va_arg(ap, uint64_t) : va_arg(ap, unsigned),
                        *fmt == 'x' ? 16 : 10, false, width, pad);
            break;
        default:
            line_putc(l, *fmt);
        }
    }
}

static void line_emit(const struct line *l)
{
    spin_lock(&console_lock);
    for (size_t i = 0; i < l->used; i++) {
        if (console_port != 0xe9)
            for (unsigned spin = 0; spin < 100000 && !(inb(console_port + 5) & 0x20); spin++)
                pause();
        outb(console_port, (uint8_t)l->text[i]);
    }
    spin_unlock(&console_lock);
}

void console_init(const char *name)
{
    if (!strcmp(name, "2f8"))
        console_port = 0x2f8;
    else if (!strcmp(name, "e9"))
        console_port = 0xe9;
    if (console_port == 0xe9)
        return;
    outb(console_port + 1, 0);
    outb(console_port + 3, 0x80);
    outb(console_port + 0, 1);
    outb(console_port + 1, 0);
    outb(console_port + 3, 3);
    outb(console_port + 2, 7);
}

void print(const char *fmt, ...)
{
    struct line l = {.used = 0};
    va_list ap;

    va_start(ap, fmt);
    line_format(&l, fmt, ap);
    va_end(ap);
    line_emit(&l);
}

void note(const char *fmt, ...)
{
    struct line l = {.used = 0};
    va_list ap;

    line_putc(&l, '#');
    line_putc(&l, ' ');
    va_start(ap, fmt);
    line_format(&l, fmt, ap);
    va_end(ap);
    line_putc(&l, '\n');
    line_emit(&l);
}

/* The verdict of the running case lives here because it is formatted like a line. */
static struct line verdict;
static enum { PASSING, SKIPPING, FAILING } verdict_state;

static void verdict_set(const char *fmt, va_list ap)
{
    verdict.used = 0;
    line_format(&verdict, fmt, ap);
    line_putc(&verdict, '\n');
}

void case_fail(const char *fmt, ...)
{
    struct line l = {.used = 0};
    va_list ap;

    va_start(ap, fmt);
    if (verdict_state != FAILING) {
        verdict_state = FAILING;
        verdict_set(fmt, ap);
    } else {
        line_putc(&l, '#');
        line_putc(&l, ' ');
        line_format(&l, fmt, ap);
        line_putc(&l, '\n');
        line_emit(&l);
    }
    va_end(ap);
}

void case_skip(const char *fmt, ...)
{
    va_list ap;

    if (verdict_state != PASSING)
        return;
    verdict_state = SKIPPING;
    va_start(ap, fmt);
    verdict_set(fmt, ap);
    va_end(ap);
}

bool case_failed(void)
{
    return verdict_state == FAILING;
}

void case_begin(void)
{
    verdict_state = PASSING;
    verdict.used = 0;
}

unsigned case_end(const char *group, const char *name)
{
    static const char *const words[] = {"PASS", "SKIP", "FAIL"};

    print("%s %s.%s%s", words[verdict_state], group, name, verdict_state == PASSING ? "\n" : ": ");
    if (verdict_state != PASSING)
        line_emit(&verdict);
    return verdict_state;
}
