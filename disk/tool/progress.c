/* SPDX-License-Identifier: MIT */
#include <time.h>
#include <unistd.h>
#include "disk/tool/tool.h"

#define BAR_CELLS 40U
#define EVERY_MS  200

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_start(struct progress *p, const char *what)
{
    *p = (struct progress){.what = what, .last_ms = now_ms()};
}

static void draw(const struct progress *p, unsigned percent)
{
    char bar[BAR_CELLS + 1];

    for (unsigned k = 0; k < BAR_CELLS; k++)
        bar[k] = k < percent * BAR_CELLS / 100 ? '#' : '.';
    bar[BAR_CELLS] = 0;
    (void)fprintf(stderr, "\r%s [%s] %3u%%", p->what, bar, percent);
    (void)fflush(stderr);
}

bool progress_show(void *arg, uint64_t done, uint64_t all)
{
    struct progress *p = arg;
    int64_t now = now_ms();

    if (now - p->last_ms < EVERY_MS || !isatty(STDERR_FILENO))
        return true;
    p->last_ms = now;
    p->shown = true;
    draw(p, all ? (unsigned)((unsigned __int128)(done < all ? done : all) * 100 / all) : 0);
    return true;
}

void progress_end(struct progress *p)
{
    if (p->shown)
        (void)fputs("\r\033[K", stderr);
    p->shown = false;
}
