/* SPDX-License-Identifier: MIT */
#include "vmwp/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#define GUEST_LINES 1000U

/* Set once, before threads. */
static const char *prefix = "";
static bool verbose_on;
static atomic_uint guest_lines;

void log_setup(const char *name, bool verbose)
{
    prefix = name;
    verbose_on = verbose;
}

static void line(const char *fmt, va_list args)
{
    char text[768];

    (void)vsnprintf(text, sizeof(text), fmt, args);
    (void)fprintf(stderr, "vmwp: %s%s%s\n", prefix, *prefix ? ": " : "", text);
}

void log_error(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    line(fmt, args);
    va_end(args);
}

void log_verbose(const char *fmt, ...)
{
    va_list args;

    if (!verbose_on)
        return;
    va_start(args, fmt);
    line(fmt, args);
    va_end(args);
}

void log_guest(const char *fmt, ...)
{
    va_list args;

    if (!verbose_on ||
        atomic_fetch_add_explicit(&guest_lines, 1, memory_order_relaxed) >= GUEST_LINES)
        return;
    va_start(args, fmt);
    line(fmt, args);
    va_end(args);
}
