/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include "abi/vmbus/packet.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vmbus/core/core_priv.h"

/*
 * A GPADL is a list of ranges: a word of length and offset, then as many page numbers as these
 * need. The header says how many bytes all ranges have; they come in it and in bodies after it.
 */

struct gpadl *core_gpadl_find(const struct vmbus_core *core, uint32_t id)
{
    struct gpadl *g = core->gpadls[id % GPADL_BUCKETS];

    while (g && g->id != id)
        g = g->next;
    return g;
}

struct gpadl *core_gpadl_new(struct vmbus_core *core, uint32_t relid, uint32_t id, uint32_t words)
{
    struct gpadl **bucket = &core->gpadls[id % GPADL_BUCKETS], *g;

    if (core->stats.gpadls >= VMBUS_GPADLS_MAX ||
        words > VMBUS_GPADL_PAGES_MAX - core->stats.gpadl_pages)
        return NULL;
    g = malloc(sizeof(*g) + words * sizeof(g->words[0]));
    if (!g)
        return NULL;
    *g = (struct gpadl){.id = id, .relid = (uint16_t)relid, .word_count = words};
    while (*bucket)
        bucket = &(*bucket)->next;
    *bucket = g;
    core->stats.gpadls++;
    core->stats.gpadl_pages += words;
    return g;
}

void core_gpadl_free(struct vmbus_core *core, struct gpadl *g)
{
    struct gpadl **at = &core->gpadls[g->id % GPADL_BUCKETS];

    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    core->stats.gpadls--;
    core->stats.gpadl_pages -= g->word_count;
    free(g);
}

void core_gpadls_free(struct vmbus_core *core, uint32_t relid)
{
    for (unsigned i = 0; i < GPADL_BUCKETS; i++) {
        struct gpadl *next, *g = core->gpadls[i];
        for (; g; g = next) {
            next = g->next;
            if (relid == 0 || g->relid == relid)
                core_gpadl_free(core, g);
        }
    }
}

/* Words of the range at `at`, of which `left` are there; 0: it is not whole or not memory. */
static uint32_t range_words(const struct vmbus_core *core, const uint64_t *at, uint32_t left)
{
    struct vmbus_gpa_range r;
    uint64_t pages;

    memcpy(&r, at, sizeof(r));
    pages = ((uint64_t)r.offset + r.length + VMBUS_PAGE_SIZE - 1) / VMBUS_PAGE_SIZE;
    if (r.length == 0 || r.offset >= VMBUS_PAGE_SIZE || pages >= left)
        return 0;
    for (uint32_t i = 1; i <= pages; i++)
        if (at[i] > UINT64_MAX / VMBUS_PAGE_SIZE ||
            !core->config.is_memory(core->config.ctx, at[i] * VMBUS_PAGE_SIZE, VMBUS_PAGE_SIZE))
            return 0;
    return (uint32_t)pages + 1;
}

/* The ranges are as many as the guest said, whole, and there is nothing else. */
bool core_gpadl_valid(const struct vmbus_core *core, const struct gpadl *g)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < g->range_count; i++) {
        uint32_t words =
            at < g->word_count ? range_words(core, g->words + at, g->word_count - at) : 0;
        if (words == 0)
            return false;
        at += words;
    }
    return at == g->word_count;
}

static void post_created(struct vmbus_core *core, uint32_t relid, uint32_t id, uint32_t status)
{
    const struct vmbus_msg_gpadl_created m = {
        .header.type = VMBUS_MSG_GPADL_CREATED, .relid = relid, .gpadl = id, .status = status};

    core_post(core, &m, sizeof(m));
}

/* Take what has come; some guests fill up their messages, so what is too much does not count. */
static void gpadl_append(struct vmbus_core *core, struct gpadl *g, const uint8_t *data, size_t len)
{
    uint32_t words = (uint32_t)(len / sizeof(uint64_t)), want = g->word_count - g->filled;
    uint32_t status = VMBUS_STATUS_SUCCESS;

    words = words < want ? words : want;
    if (words > 0)
        memcpy(g->words + g->filled, data, words * sizeof(uint64_t));
    g->filled += words;
    if (g->filled < g->word_count)
        return;
    if (!core_gpadl_valid(core, g))
        status = VMBUS_STATUS_INVALID_PARAMETER;
    post_created(core, g->relid, g->id, status);
    g->state = GPADL_READY;
    if (status != VMBUS_STATUS_SUCCESS)
        core_gpadl_free(core, g);
}

void core_on_gpadl_header(struct vmbus_core *core, const union message *m, size_t len)
{
    const struct vmbus_msg_gpadl_header *h = &m->gpadl_header;
    const struct channel *ch = core_channel_known(core, h->relid);
    struct gpadl *g;

    if (!ch || ch->revoked || h->range_count == 0 || h->range_bytes < 2 * sizeof(uint64_t) ||
        h->range_bytes % sizeof(uint64_t) || core_gpadl_find(core, h->gpadl)) {
        core->stats.illegal++;
        post_created(core, h->relid, h->gpadl, VMBUS_STATUS_INVALID_PARAMETER);
        return;
    }
    g = core_gpadl_new(core, h->relid, h->gpadl, h->range_bytes / (uint32_t)sizeof(uint64_t));
    if (!g) {
        post_created(core, h->relid, h->gpadl, VMBUS_STATUS_INSUFFICIENT_RESOURCES);
        return;
    }
    g->range_count = h->range_count;
    gpadl_append(core, g, m->bytes + sizeof(*h), len - sizeof(*h));
}

void core_on_gpadl_body(struct vmbus_core *core, const union message *m, size_t len)
{
    struct gpadl *g = core_gpadl_find(core, m->gpadl_body.gpadl);

    if (g && g->state == GPADL_COLLECTING)
        gpadl_append(core, g, m->bytes + sizeof(m->gpadl_body), len - sizeof(m->gpadl_body));
    else
        core->stats.illegal++; /* there is no channel to answer for */
}

void core_on_gpadl_teardown(struct vmbus_core *core, const union message *m, size_t len)
{
    const struct vmbus_msg_gpadl_teardown *t = &m->gpadl_teardown;
    struct channel *ch = core_channel_known(core, t->relid);
    struct gpadl *g = core_gpadl_find(core, t->gpadl);
    const struct vmbus_msg_gpadl_torndown r = {.header.type = VMBUS_MSG_GPADL_TORNDOWN,
                                               .gpadl = t->gpadl};

    if (!ch || !g || g->relid != ch->relid) {
        core->stats.illegal++;
        return;
    }
    if (g->in_use) {
        /* Answered when the VSP has let go of the rings: a guest asks right after its close. */
        ch->teardown = true;
        return;
    }
    core_gpadl_free(core, g);
    core_post(core, &r, sizeof(r));
}

int vmbus_core_gpadl(const struct vmbus_core *core, uint32_t relid, uint32_t gpadl,
                     struct vmbus_core_gpadl *out)
{
    const struct gpadl *g = core_gpadl_find(core, gpadl);

    if (!g || g->relid != relid || g->state != GPADL_READY)
        return -ENOENT;
    *out = (struct vmbus_core_gpadl){g->words, g->word_count, g->range_count};
    return 0;
}
