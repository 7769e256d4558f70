/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

/* proc(5): the 22nd field. The second is in brackets and may hold anything, brackets too. */
bool process_start_parse(const char *text, uint64_t *ticks)
{
    const char *p = strrchr(text, ')');
    char *end;
    unsigned long long v;

    if (!p)
        return false;
    for (unsigned field = 2; field < 22; field++) {
        p = strchr(p + 1, ' ');
        if (!p)
            return false;
    }
    if (p[1] < '0' || p[1] > '9')
        return false;
    v = strtoull(p + 1, &end, 10);
    if (*end != ' ' && *end != '\n' && *end)
        return false;
    *ticks = v;
    return true;
}

int process_start(pid_t pid, uint64_t *ticks)
{
    char path[64], *text;
    int err;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    err = pid > 0 ? file_read(&text, NULL, path, 4096) : -ESRCH;
    if (err)
        return -ESRCH;
    err = process_start_parse(text, ticks) ? 0 : -ESRCH;
    free(text);
    return err;
}

bool owner_gone(const struct port_config *p)
{
    uint64_t start;

    return p->owner && (process_start(p->owner, &start) < 0 || start != p->owner_start);
}
