/* SPDX-License-Identifier: MIT */
#include "vsp/network/sections.h"
#include <string.h>
#include "lib/bits.h"

/* The end of a chain, in 16 bits. */
#define END 0xFFFFU
_Static_assert(SECTIONS_MAX < END, "pieces have numbers of 16 bits");

void sections_start(struct sections *s, uint32_t count)
{
    atomic_store_explicit(&s->lent, 0, memory_order_relaxed);
    (void)pthread_mutex_lock(&s->lock);
    s->count = s->free_count = (uint32_t)min_u64(count, SECTIONS_MAX);
    /* The first are taken first. */
    for (uint32_t i = 0; i < s->count; i++)
        s->free[i] = (uint16_t)(s->count - 1 - i);
    for (uint32_t i = 0; i < SECTIONS_MAX; i++)
        atomic_store_explicit(&s->owner[i], 0, memory_order_relaxed);
    (void)pthread_mutex_unlock(&s->lock);
}

static void refill(struct sections *s, struct section_cache *cache)
{
    (void)pthread_mutex_lock(&s->lock);
    while (s->free_count > 0 && cache->count < SECTION_REFILL)
        cache->section[cache->count++] = s->free[--s->free_count];
    (void)pthread_mutex_unlock(&s->lock);
}

/* Those that were used the longest ago. */
static void spill(struct sections *s, struct section_cache *cache, unsigned count)
{
    (void)pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < count; i++)
        s->free[s->free_count++] = cache->section[i];
    (void)pthread_mutex_unlock(&s->lock);
    cache->count -= count;
    memmove(cache->section, cache->section + count, cache->count * sizeof(cache->section[0]));
}

uint32_t section_take(struct sections *s, struct section_cache *cache)
{
    if (cache->count == 0)
        refill(s, cache);
    return cache->count ? cache->section[--cache->count] : SECTION_NONE;
}

void section_give(struct sections *s, struct section_cache *cache, uint32_t section)
{
    if (cache->count == SECTION_CACHE)
        spill(s, cache, SECTION_CACHE - SECTION_REFILL);
    cache->section[cache->count++] = (uint16_t)section;
}

void section_cache_drain(struct sections *s, struct section_cache *cache)
{
    spill(s, cache, cache->count);
}

void chain_init(struct chain *c)
{
    *c = (struct chain){SECTION_NONE, SECTION_NONE, 0};
}

void chain_append(struct sections *s, struct chain *c, uint32_t section)
{
    s->next[section] = END;
    if (c->count++ == 0)
        c->head = section;
    else
        s->next[c->tail] = (uint16_t)section;
    c->tail = section;
}

void chain_join(struct sections *s, struct chain *c, struct chain *more)
{
    if (more->count == 0)
        return;
    if (c->count == 0) {
        *c = *more;
    } else {
        s->next[c->tail] = (uint16_t)more->head;
        c->tail = more->tail;
        c->count += more->count;
    }
    chain_init(more);
}

static void give_from(struct sections *s, struct section_cache *cache, uint32_t section)
{
    for (uint32_t n = 0; section != END && n < SECTIONS_MAX; n++) {
        uint32_t next = s->next[section];
        section_give(s, cache, section);
        section = next;
    }
}

void chain_give(struct sections *s, struct section_cache *cache, struct chain *c)
{
    if (c->count)
        give_from(s, cache, c->head);
    chain_init(c);
}

void section_lend(struct sections *s, const struct chain *c, unsigned channel)
{
    atomic_store_explicit(&s->owner[c->head], (uint8_t)(channel + 1), memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&s->lent, 1, memory_order_relaxed);
}

bool section_return(struct sections *s, struct section_cache *cache, uint64_t section,
                    unsigned channel)
{
    if (section >= s->count ||
        atomic_load_explicit(&s->owner[section], memory_order_relaxed) != channel + 1)
        return false;
    atomic_store_explicit(&s->owner[section], 0, memory_order_relaxed);
    (void)atomic_fetch_sub_explicit(&s->lent, 1, memory_order_relaxed);
    give_from(s, cache, (uint32_t)section);
    return true;
}

void section_reclaim(struct sections *s, struct section_cache *cache, unsigned channel)
{
    for (uint32_t i = 0; i < s->count; i++)
        (void)section_return(s, cache, i, channel);
}
