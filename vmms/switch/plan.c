/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

#define PLAN_BASE 0xAC1C0000u /* 172.28.0.0 */

uint32_t subnet_mask(const struct subnet *s)
{
    return s->prefix == 0 ? 0 : ~0u << (32 - s->prefix);
}

bool subnet_has(const struct subnet *s, uint32_t address)
{
    return s->prefix && (address & subnet_mask(s)) == s->address;
}

bool subnets_overlap(const struct subnet *a, const struct subnet *b)
{
    return subnet_has(a, b->address) || subnet_has(b, a->address);
}

uint32_t subnet_host(const struct subnet *s)
{
    return s->address + 1;
}

/* The last quarter without the broadcast address. */
void subnet_dynamic(const struct subnet *s, uint32_t *first, uint32_t *last)
{
    uint32_t size = ~subnet_mask(s) + 1;

    *first = s->address + size - size / 4;
    *last = s->address + size - 2;
}

int plan_subnet(struct subnet *out, const struct subnet *taken, unsigned n)
{
    for (unsigned k = 0; k < 256; k++) {
        struct subnet s = {.address = PLAN_BASE + (k << 8), .prefix = 24};
        bool is_free = true;

        for (unsigned i = 0; i < n && is_free; i++)
            is_free = !subnets_overlap(&s, &taken[i]);
        if (is_free) {
            *out = s;
            return 0;
        }
    }
    return -ENOSPC;
}

/* FNV-1a: short, and the low bits are good enough to spread. */
static uint64_t hash_bytes(uint64_t h, const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t k = 0; k < n; k++)
        h = (h ^ p[k]) * 0x100000001B3ull;
    return h;
}

#define HASH_START 0xCBF29CE484222325ull

static bool address_taken(const struct switch_store *st, const struct switch_config *s, uint32_t a)
{
    for (unsigned k = 0; k < st->ports; k++)
        if (st->port[k].address == a && strcmp(st->port[k].on, s->name) == 0)
            return true;
    return false;
}

int plan_address(uint32_t *out, const struct switch_store *st, const struct switch_config *s,
                 const struct mac *m)
{
    uint32_t first = subnet_host(&s->subnet) + 1, end, last, n, start;

    subnet_dynamic(&s->subnet, &end, &last);
    n = end - first;
    start = (uint32_t)(hash_bytes(HASH_START, m->byte, 6) % n);
    /* One more than there can be ports finds a free one, if there is one. */
    for (uint32_t k = 0; k < n && k <= PORTS_MAX; k++) {
        uint32_t a = first + (start + k) % n;

        if (!address_taken(st, s, a)) {
            *out = a;
            return 0;
        }
    }
    return -ENOSPC;
}

struct mac plan_mac(const char *a, const char *b, unsigned again)
{
    uint64_t h = hash_bytes(HASH_START, a, strlen(a) + 1);
    struct mac m = {{0x02}};

    h = hash_bytes(h, b, strlen(b) + 1);
    h = hash_bytes(h, &again, sizeof(again));
    for (unsigned k = 1; k < 6; k++)
        m.byte[k] = (uint8_t)(h >> 8 * k);
    return m;
}
