/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <string.h>
#include "lib/bits.h"
#include "vmms/switch/switch_priv.h"

static const char *const kinds[SWITCH_KINDS] = {"nat", "external", "internal", "private"};

const char *kind_text(enum switch_kind k)
{
    return kinds[k];
}

bool kind_parse(const char *text, enum switch_kind *out)
{
    for (unsigned k = 0; k < SWITCH_KINDS; k++)
        if (strcmp(text, kinds[k]) == 0) {
            *out = (enum switch_kind)k;
            return true;
        }
    return false;
}

bool name_good(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n > SWITCH_NAME_MAX || !isalnum((unsigned char)name[0]))
        return false;
    for (size_t k = 1; k < n; k++)
        if (!isalnum((unsigned char)name[k]) && !strchr("._-", name[k]))
            return false;
    return true;
}

/* Digits only, no sign, at most `max`. Moves on behind them. */
static bool number(const char **at, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    const char *p = *at;

    if (!isdigit((unsigned char)*p))
        return false;
    for (; isdigit((unsigned char)*p); p++) {
        if (v > (max - (uint64_t)(*p - '0')) / 10)
            return false;
        v = v * 10 + (uint64_t)(*p - '0');
    }
    *at = p;
    *out = v;
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool mac_parse(const char *text, struct mac *out)
{
    struct mac m;

    for (unsigned k = 0; k < 6; k++) {
        int high = hex(text[0]), low = high < 0 ? -1 : hex(text[1]);

        if (low < 0)
            return false;
        m.byte[k] = (uint8_t)(high << 4 | low);
        text += 2;
        if (k < 5 && *text++ != ':')
            return false;
    }
    if (*text)
        return false;
    *out = m;
    return true;
}

void mac_text(char out[18], const struct mac *m)
{
    (void)snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", m->byte[0], m->byte[1], m->byte[2],
                   m->byte[3], m->byte[4], m->byte[5]);
}

bool mac_same(const struct mac *a, const struct mac *b)
{
    return memcmp(a->byte, b->byte, 6) == 0;
}

bool mac_none(const struct mac *m)
{
    static const struct mac zero;

    return mac_same(m, &zero);
}

bool mac_usable(const struct mac *m)
{
    return !mac_none(m) && !(m->byte[0] & 1);
}

static bool address_part(const char **at, uint32_t *out)
{
    uint32_t v = 0;

    for (unsigned k = 0; k < 4; k++) {
        uint64_t byte;

        if ((k && *(*at)++ != '.') || !number(at, 255, &byte))
            return false;
        v = v << 8 | (uint32_t)byte;
    }
    *out = v;
    return true;
}

bool address_parse(const char *text, uint32_t *out)
{
    uint32_t v;

    if (!address_part(&text, &v) || *text)
        return false;
    *out = v;
    return true;
}

void address_text(char out[16], uint32_t a)
{
    (void)snprintf(out, 16, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

bool subnet_parse(const char *text, struct subnet *out)
{
    struct subnet s;
    uint64_t prefix;

    if (!address_part(&text, &s.address) || *text++ != '/' || !number(&text, 29, &prefix) || *text)
        return false;
    s.prefix = (uint8_t)prefix;
    if (prefix < 8 || (s.address & ~subnet_mask(&s)) || s.address >> 24 == 0 ||
        s.address >> 24 == 127 || s.address >> 28 >= 14)
        return false;
    *out = s;
    return true;
}

void subnet_text(char out[20], const struct subnet *s)
{
    char address[16];

    address_text(address, s->address);
    (void)snprintf(out, 20, "%s/%u", address, s->prefix);
}

bool rate_parse(const char *text, uint64_t *out)
{
    static const char letters[] = "KMG";
    const char *unit;
    uint64_t v, scale = 1;

    if (strcmp(text, "none") == 0) {
        *out = 0;
        return true;
    }
    if (!number(&text, RATE_MAX, &v))
        return false;
    if (*text) {
        unit = strchr(letters, *text++);
        if (!unit || *text)
            return false;
        for (long k = 0; k <= unit - letters; k++)
            scale *= 1000;
    }
    if (v > RATE_MAX / scale || (v && v * scale < RATE_MIN))
        return false;
    *out = v * scale;
    return true;
}

bool vlan_has(const struct vlan_set *v, unsigned id)
{
    return id < 4096 && (v->word[id / 64] >> id % 64 & 1);
}

void vlan_add(struct vlan_set *v, unsigned id)
{
    if (id < 4096)
        v->word[id / 64] |= 1ull << id % 64;
}

bool vlan_parse(const char *text, uint16_t *out)
{
    uint64_t v;

    if (!number(&text, VLAN_MAX, &v) || v == 0 || *text)
        return false;
    *out = (uint16_t)v;
    return true;
}

bool vlans_parse(const char *text, struct vlan_set *out)
{
    struct vlan_set set = {{0}};
    uint64_t first, last;

    for (;;) {
        if (!number(&text, VLAN_MAX, &first) || first == 0)
            return false;
        last = first;
        if (*text == '-') {
            text++;
            if (!number(&text, VLAN_MAX, &last) || last < first)
                return false;
        }
        for (uint64_t k = first; k <= last; k++)
            vlan_add(&set, (unsigned)k);
        if (!*text)
            break;
        if (*text++ != ',')
            return false;
    }
    *out = set;
    return true;
}

void vlans_text(char *out, size_t size, const struct vlan_set *v)
{
    size_t at = 0;

    out[0] = 0;
    for (unsigned first = 1, last; first <= VLAN_MAX; first = last + 1) {
        int n;

        last = first;
        if (!vlan_has(v, first))
            continue;
        while (last < VLAN_MAX && vlan_has(v, last + 1))
            last++;
        n = snprintf(out + at, size - at, first == last ? "%s%u" : "%s%u-%u", at ? "," : "", first,
                     last);
        if (n < 0 || (size_t)n >= size - at)
            return;
        at += (size_t)n;
    }
}
