/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include "lib/hosted/problem.h"

int problem_set(struct problem *p, int err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(p->text, sizeof(p->text), fmt, args);
    va_end(args);
    return err;
}
