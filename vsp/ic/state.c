/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include "vsp/ic/ic_priv.h"

/*
 * Saved state: what was agreed on, and what is under way. Requests are not part of it: who asked
 * has gone with the worker. What the guest has to be told because of that is noted on loading.
 */

#define IC_TAG     0x56534349U /* "ICSV" */
#define IC_VERSION 1U

static void version_save(struct save_writer *w, struct ic_version v)
{
    save_u16(w, v.major);
    save_u16(w, v.minor);
}

static void version_load(struct save_reader *r, struct ic_version *v)
{
    v->major = load_u16(r);
    v->minor = load_u16(r);
}

void ic_save(struct ic *ic, struct save_writer *w)
{
    size_t begin = save_begin(w, IC_TAG, IC_VERSION);
    const struct protocol *p = &ic->protocol;
    bool offered;

    (void)pthread_mutex_lock(&ic->lock);
    offered = p->state == PROTOCOL_NEGOTIATING && ic->unsent;
    save_u8(w, (uint8_t)ic->kind);
    save_u8(w, (uint8_t)(offered ? PROTOCOL_NEW : p->state));
    version_save(w, p->framework);
    version_save(w, p->message);
    save_u8(w, p->transaction);
    save_u8(w, p->in_flight && !ic->unsent);
    save_u8(w, ic->lost);
    save_u64(w, ic->sequence);
    save_u8(w, ic->vss.stage != VSS_RUNNING || ic->vss.owed);
    save_u8(w, ic->copy.started || ic->copy.owed);
    (void)pthread_mutex_unlock(&ic->lock);
    save_end(w, begin);
}

/* Nothing goes out before versions are offered, and an offer stands until it is answered. */
static bool possible(const struct protocol *p)
{
    if (p->state == PROTOCOL_NEW)
        return !p->in_flight;
    return p->state != PROTOCOL_NEGOTIATING || p->in_flight;
}

int ic_load(struct ic *ic, struct save_reader *r)
{
    struct protocol p = {0};
    bool lost, frozen, copying;
    uint64_t sequence;
    unsigned kind;
    int err;

    (void)load_begin(r, IC_TAG, IC_VERSION);
    kind = load_u8(r);
    p.state = (enum protocol_state)load_max(r, 1, PROTOCOL_STATES - 1);
    version_load(r, &p.framework);
    version_load(r, &p.message);
    p.transaction = load_u8(r);
    p.in_flight = load_max(r, 1, 1);
    lost = load_max(r, 1, 1);
    sequence = load_u64(r);
    frozen = load_max(r, 1, 1);
    copying = load_max(r, 1, 1);
    err = load_end(r);
    if (err || kind != (unsigned)ic->kind || !possible(&p))
        return -EINVAL;
    (void)pthread_mutex_lock(&ic->lock);
    ic_begin(ic);
    ic->protocol = p;
    ic->sent_ns = ic->heard_ns;
    ic->lost = lost || p.state == PROTOCOL_BROKEN;
    ic->sequence = sequence;
    ic->vss.owed = frozen;
    ic->vss.stage = frozen ? VSS_FROZEN : VSS_RUNNING;
    ic->vss.expired = frozen;
    ic->copy.owed = copying;
    ic->loaded = true;
    (void)pthread_mutex_unlock(&ic->lock);
    return 0;
}
