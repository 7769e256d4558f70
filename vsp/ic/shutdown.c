/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "vsp/ic/ic_priv.h"

/* The guest is asked to switch itself off or to start anew. That it answers means that it begins:
 * the end is seen by its power-off or reset. */

#define REASON_PLANNED 0x80000000U /* SHTDN_REASON_FLAG_PLANNED, for the guest's log */

static void reset(struct ic *ic)
{
}

static size_t next(struct ic *ic, uint64_t now, uint8_t *body)
{
    struct ic_shutdown m = {.reason = REASON_PLANNED};

    if (!ic->current)
        return 0;
    /* 0 is without force, which Linux uses all the same. */
    m.flags = ic->current->verb == IC_ASK_RESTART ? IC_SHUTDOWN_RESTART : 0;
    memcpy(body, &m, sizeof(m));
    return sizeof(m);
}

static void answer(struct ic *ic, const struct protocol_answer *a, bool mine)
{
    if (mine)
        ic_end_status(ic, a->status);
}

const struct ic_service ic_service_shutdown = {
    .name = "shutdown",
    .type = {IC_SHUTDOWN_CLASS_BYTES},
    .instance = {IC_SHUTDOWN_INSTANCE_BYTES},
    .protocol = {ICMSG_SHUTDOWN, 4, {{1, 0}, {3, 0}, {3, 1}, {3, 2}}},
    .reset = reset,
    .next = next,
    .answer = answer,
};
