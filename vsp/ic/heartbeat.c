/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "vsp/ic/ic_priv.h"

/* Every two seconds the guest is asked whether it lives. One that does not answer is not asked
 * again: what it has not read would fill its ring. */

#define PERIOD_NS (2 * NS_PER_S)

static void reset(struct ic *ic)
{
    ic->next_ns = 0;
}

static size_t next(struct ic *ic, uint64_t now, uint8_t *body)
{
    const struct ic_heartbeat h = {.sequence = ic->sequence};

    if (now < ic->next_ns)
        return 0;
    ic->next_ns = now + PERIOD_NS;
    memcpy(body, &h, sizeof(h));
    return sizeof(h);
}

/* What it says of itself counts for nothing; that it says something does. */
static void answer(struct ic *ic, const struct protocol_answer *a, bool mine)
{
    ic->sequence += 2;
}

static uint64_t due(const struct ic *ic)
{
    return ic->next_ns;
}

const struct ic_service ic_service_heartbeat = {
    .name = "heartbeat",
    .type = {IC_HEARTBEAT_CLASS_BYTES},
    .instance = {IC_HEARTBEAT_INSTANCE_BYTES},
    .protocol = {ICMSG_HEARTBEAT, 2, {{1, 0}, {3, 0}}},
    .reset = reset,
    .next = next,
    .answer = answer,
    .due = due,
};
