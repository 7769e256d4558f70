/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

/* "1764330000 02:00:00:00:00:01 172.28.0.5 name clientid"; IPv6 leases stand behind a line
 * "duid …" and have no MAC. */
static bool lease_line(struct lease *out, char *line)
{
    char *rest = NULL, *word[3];

    for (unsigned k = 0; k < 3; k++) {
        word[k] = strtok_r(k ? NULL : line, " ", &rest);
        if (!word[k])
            return false;
    }
    return mac_parse(word[1], &out->mac) && address_parse(word[2], &out->address);
}

/* The next line of `text` as a lease; false: it is none. Moves on. */
static bool next_line(const char **text, struct lease *out)
{
    size_t length = strcspn(*text, "\n");
    char line[512];
    bool is = false;

    if (length < sizeof(line)) {
        memcpy(line, *text, length);
        line[length] = 0;
        is = lease_line(out, line);
    }
    *text += length + ((*text)[length] == '\n');
    return is;
}

unsigned lease_parse(struct lease *out, unsigned max, const char *text)
{
    unsigned n = 0;

    while (*text && n < max)
        n += next_line(&text, &out[n]);
    return n;
}

static bool given_to_another(const struct lease *l, const struct switch_store *st,
                             const struct switch_config *s)
{
    for (unsigned k = 0; k < st->ports; k++) {
        const struct port_config *p = &st->port[k];

        if (p->address == l->address && strcmp(p->on, s->name) == 0 && !mac_same(&p->mac, &l->mac))
            return true;
    }
    return false;
}

char *lease_filter(const char *text, const struct switch_store *st, const struct switch_config *s)
{
    char *kept = malloc(strlen(text) + 1), *to = kept;
    struct lease l;
    bool any = false;

    while (kept && *text) {
        const char *from = text;

        if (next_line(&text, &l) && given_to_another(&l, st, s)) {
            any = true;
            continue;
        }
        memcpy(to, from, (size_t)(text - from));
        to += text - from;
    }
    if (kept)
        *to = 0;
    if (!any) {
        free(kept);
        kept = NULL;
    }
    return kept;
}
