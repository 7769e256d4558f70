/* SPDX-License-Identifier: MIT */
#include "vsp/network/rss.h"
#include "lib/bits.h"
#include "lib/string.h"

void rss_init(struct rss *rss)
{
    memset(rss, 0, sizeof(*rss));
}

/* 32 bits of the key from bit `at` on. */
static uint32_t key_window(const struct rss *rss, unsigned at)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 5; i++) {
        unsigned byte = at / 8 + i;
        v = v << 8 | (byte < NDIS_RSS_KEY_SIZE ? rss->key[byte] : 0);
    }
    return (uint32_t)(v >> (8 - at % 8));
}

void rss_prepare(struct rss *rss)
{
    for (unsigned place = 0; place < RSS_INPUT_MAX; place++) {
        uint32_t *part = rss->part[place];
        part[0] = 0;
        for (unsigned byte = 1; byte < 256; byte++) {
            unsigned lowest = (unsigned)__builtin_ctz(byte);
            part[byte] = part[byte & (byte - 1)] ^ key_window(rss, place * 8 + 7 - lowest);
        }
    }
}

static bool inside(uint32_t offset, uint32_t size, uint32_t length)
{
    return offset <= length && size <= length - offset;
}

static bool table_take(struct rss *rss, const struct ndis_rss_parameters *p, const uint8_t *info,
                       uint32_t length, unsigned channels)
{
    uint32_t entries = p->table_size / 4U, entry;

    if (p->table_size % 4 || entries == 0 || entries > NDIS_RSS_TABLE_MAX ||
        (entries & (entries - 1)) || !inside(p->table_offset, p->table_size, length))
        return false;
    for (uint32_t i = 0; i < entries; i++) {
        memcpy(&entry, info + p->table_offset + i * 4, sizeof(entry));
        if (entry >= channels)
            return false;
        rss->table[i] = (uint8_t)entry;
    }
    rss->entries = (uint16_t)entries;
    return true;
}

static bool key_take(struct rss *rss, const struct ndis_rss_parameters *p, const uint8_t *info,
                     uint32_t length)
{
    if (p->key_size == 0 || p->key_size > NDIS_RSS_KEY_SIZE ||
        !inside(p->key_offset, p->key_size, length))
        return false;
    memset(rss->key, 0, sizeof(rss->key));
    memcpy(rss->key, info + p->key_offset, p->key_size);
    rss_prepare(rss);
    return true;
}

bool rss_set(struct rss *rss, const uint8_t *info, uint32_t length, unsigned channels)
{
    struct ndis_rss_parameters p;
    struct rss next = *rss;

    if (length < sizeof(p))
        return false;
    memcpy(&p, info, sizeof(p));
    if (p.header.type != NDIS_OBJECT_RSS_PARAMETERS)
        return false;
    if (p.flags & NDIS_RSS_DISABLE) {
        rss->enabled = false;
        return true;
    }
    if (!(p.flags & NDIS_RSS_HASH_UNCHANGED))
        next.hash = p.hash;
    if (!(p.flags & NDIS_RSS_TABLE_UNCHANGED) && !table_take(&next, &p, info, length, channels))
        return false;
    if (!(p.flags & NDIS_RSS_KEY_UNCHANGED) && !key_take(&next, &p, info, length))
        return false;
    next.enabled = (next.hash & NDIS_HASH_TOEPLITZ) && next.entries > 0;
    *rss = next;
    return true;
}

static uint32_t toeplitz(const struct rss *rss, unsigned place, const uint8_t *in, unsigned length)
{
    uint32_t hash = 0;

    for (unsigned i = 0; i < length; i++)
        hash ^= rss->part[place + i][in[i]];
    return hash;
}

/* Two things of `length` bytes each, one behind the other, or the second one first. */
static uint32_t toeplitz_pair(const struct rss *rss, unsigned place, const uint8_t *in,
                              unsigned length, bool back)
{
    return toeplitz(rss, place, in + (back ? length : 0), length) ^
           toeplitz(rss, place + length, in + (back ? 0 : length), length);
}

bool rss_hash(const struct rss *rss, const struct frame *f, const uint8_t *head, bool back,
              uint32_t *hash)
{
    bool ip6 = f->kind == FRAME_IPV6;
    unsigned address = ip6 ? 16 : 4;
    uint32_t with_ports = ip6 ? NDIS_HASH_TCP_IPV6 : NDIS_HASH_TCP_IPV4;
    uint32_t without = ip6 ? NDIS_HASH_IPV6 : NDIS_HASH_IPV4;

    if (!rss->enabled || f->kind == FRAME_OTHER)
        return false;
    if (f->protocol == FRAME_TCP && f->ports && (rss->hash & with_ports)) {
        *hash = toeplitz_pair(rss, 0, head + f->addresses, address, back) ^
                toeplitz_pair(rss, 2 * address, head + f->ports, 2, back);
        return true;
    }
    if (!(rss->hash & without))
        return false;
    *hash = toeplitz_pair(rss, 0, head + f->addresses, address, back);
    return true;
}

unsigned rss_channel(const struct rss *rss, uint32_t hash)
{
    return rss->table[hash & (rss->entries - 1U)];
}
