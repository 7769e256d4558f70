/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "abi/vsp/ic/vss.h"
#include "vsp/ic/ic_priv.h"

/*
 * File systems stand still for a backup. The guest is never left so: a freeze has an end of its
 * own, one that is answered too late is undone, and a thaw that fails is tried again.
 */

#define RETRY_NS NS_PER_S

static void reset(struct ic *ic)
{
    memset(&ic->vss, 0, sizeof(ic->vss));
}

static int check(struct ic *ic, const struct ic_request *r)
{
    const struct ic_vss *v = &ic->vss;

    if (r->verb == IC_ASK_FREEZE)
        return v->stage != VSS_RUNNING || v->owed ? -EALREADY : 0;
    if (v->stage == VSS_RUNNING && !v->expired)
        return -ENODATA;
    return 0;
}

static size_t say(struct ic *ic, enum vss_stage stage, uint8_t operation, uint8_t *body)
{
    const struct vss_message m = {.operation = operation};

    ic->vss.stage = stage;
    memcpy(body, &m, sizeof(m));
    return sizeof(m);
}

/* A freeze that nobody has ended is over. */
static bool thaw_wanted(struct ic *ic, uint64_t now)
{
    struct ic_vss *v = &ic->vss;

    if (v->stage != VSS_FROZEN)
        return false;
    if (now >= v->hold_ns && !v->owed)
        v->owed = v->expired = true;
    return v->owed || (ic->current && ic->current->verb == IC_ASK_THAW);
}

static size_t next(struct ic *ic, uint64_t now, uint8_t *body)
{
    struct ic_vss *v = &ic->vss;
    const struct ic_request *r = ic->current;

    if (thaw_wanted(ic, now))
        return now >= v->hold_ns || !v->expired ? say(ic, VSS_THAWING, VSS_THAW, body) : 0;
    if (!r)
        return 0;
    if (r->verb == IC_ASK_THAW) {
        bool expired = v->expired;

        v->expired = false;
        ic_end(ic, expired ? -ETIME : -ENODATA);
        return 0;
    }
    if (v->stage == VSS_ASKED)
        return say(ic, VSS_FREEZING, VSS_FREEZE, body);
    if (v->stage == VSS_RUNNING) {
        v->expired = false;
        return say(ic, VSS_ASKED, VSS_HOT_BACKUP, body);
    }
    ic_end(ic, -EALREADY);
    return 0;
}

static void frozen(struct ic *ic, bool mine)
{
    struct ic_vss *v = &ic->vss;

    v->stage = VSS_FROZEN;
    v->owed = !mine; /* who asked has given up */
    v->hold_ns = 0;
    if (!mine)
        return;
    v->hold_ns = ic->heard_ns + ic->current->hold_ms * NS_PER_MS;
    ic_end(ic, 0);
}

static void thawed(struct ic *ic, uint32_t status, bool mine)
{
    struct ic_vss *v = &ic->vss;
    bool asked = mine && ic->current->verb == IC_ASK_THAW;

    if (status == IC_S_OK) {
        v->stage = VSS_RUNNING;
        v->owed = false;
    } else {
        v->stage = VSS_FROZEN;
        v->owed = v->expired = true;
        v->hold_ns = ic->heard_ns + RETRY_NS;
    }
    if (!asked)
        return;
    if (status == IC_S_OK && v->expired)
        ic_end(ic, -ETIME);
    else
        ic_end_status(ic, status);
    v->expired = v->owed;
}

static void answer(struct ic *ic, const struct protocol_answer *a, bool mine)
{
    struct ic_vss *v = &ic->vss;

    switch (v->stage) {
    case VSS_ASKED:
        if (a->status == IC_S_OK && mine)
            return; /* next() goes on */
        v->stage = VSS_RUNNING;
        if (mine)
            ic_end_status(ic, a->status);
        break;
    case VSS_FREEZING:
        if (a->status == IC_S_OK) {
            frozen(ic, mine);
        } else {
            v->stage = VSS_RUNNING;
            if (mine)
                ic_end_status(ic, a->status);
        }
        break;
    case VSS_THAWING:
        thawed(ic, a->status, mine);
        break;
    default:
        break;
    }
}

/* Between the question and the freeze nothing is under way that would come back. */
static void drop(struct ic *ic)
{
    if (ic->vss.stage == VSS_ASKED && !ic->protocol.in_flight)
        ic->vss.stage = VSS_RUNNING;
}

static uint64_t due(const struct ic *ic)
{
    return ic->vss.stage == VSS_FROZEN ? ic->vss.hold_ns : IC_NEVER;
}

const struct ic_service ic_service_vss = {
    .name = "vss",
    .type = {IC_VSS_CLASS_BYTES},
    .instance = {IC_VSS_INSTANCE_BYTES},
    .protocol = {ICMSG_VSS, 1, {{5, 0}}},
    .reset = reset,
    .check = check,
    .next = next,
    .answer = answer,
    .drop = drop,
    .due = due,
};
