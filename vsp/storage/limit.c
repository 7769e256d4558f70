/* SPDX-License-Identifier: MIT */
#include "vsp/storage/limit.h"
#include "lib/bits.h"
#include "lib/errno.h"

#define NS_PER_S 1000000000ULL

int limit_set(struct limit *l, uint64_t iops, uint64_t bytes_s)
{
    if (bytes_s && bytes_s < LIMIT_BYTES_MIN)
        return -EINVAL;
    *l = (struct limit){.iops = iops, .bytes_s = bytes_s};
    return 0;
}

/* Charge one bucket. */
static uint64_t charge(uint64_t *full_ns, uint64_t now_ns, uint64_t cost_ns)
{
    uint64_t full = max_u64(*full_ns, now_ns);

    *full_ns = full + cost_ns;
    return max_u64(now_ns, full < LIMIT_BURST_NS ? 0 : full - LIMIT_BURST_NS);
}

static uint64_t iops_cost(const struct limit *l)
{
    return l->iops ? NS_PER_S / l->iops : 0;
}

/* No overflow: LIMIT_REQUEST_MAX nanoseconds times 10^9 are less than 2^63. */
static uint64_t bytes_cost(const struct limit *l, uint64_t bytes)
{
    return l->bytes_s ? min_u64(bytes, LIMIT_REQUEST_MAX) * NS_PER_S / l->bytes_s : 0;
}

uint64_t limit_schedule(struct limit *l, uint64_t now_ns, uint64_t bytes)
{
    uint64_t start = now_ns;

    if (l->iops)
        start = max_u64(start, charge(&l->iops_full_ns, now_ns, iops_cost(l)));
    if (l->bytes_s && bytes)
        start = max_u64(start, charge(&l->bytes_full_ns, now_ns, bytes_cost(l, bytes)));
    return start;
}

void limit_refund(struct limit *l, uint64_t bytes)
{
    l->iops_full_ns -= min_u64(l->iops_full_ns, iops_cost(l));
    l->bytes_full_ns -= min_u64(l->bytes_full_ns, bytes_cost(l, bytes));
}
