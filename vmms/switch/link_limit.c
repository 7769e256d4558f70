/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include "vmms/switch/netlink.h"

/* tc-tbf(8). The bucket is what may go at once: 10 ms, and no less than one frame that the guest
 * cuts up itself. The queue before it holds 50 ms. */
#define BUCKET_MIN 65536u
#define QUEUE_MIN  131072u

static struct nlmsghdr *begin(struct nl *n, uint16_t type, uint16_t flags, int index)
{
    void *fixed;
    struct nlmsghdr *h = nl_begin(n, type, flags, sizeof(struct tcmsg), &fixed);
    struct tcmsg *t = fixed;

    t->tcm_ifindex = index;
    t->tcm_parent = TC_H_ROOT;
    /* A number of its own, so that another root is not meant. */
    t->tcm_handle = type == RTM_NEWQDISC ? 0xB0000u : 0;
    mnl_attr_put_strz(h, TCA_KIND, "tbf");
    return h;
}

static uint32_t part(uint64_t bytes_per_s, unsigned divisor, uint32_t least)
{
    uint64_t v = bytes_per_s / divisor;

    return v < least ? least : v > INT32_MAX ? INT32_MAX : (uint32_t)v;
}

static int unlimited(struct nl *n, int index)
{
    int err = nl_talk(n, begin(n, RTM_DELQDISC, 0, index));

    /* There was none, or it is not ours. */
    return err == -ENOENT || err == -EINVAL ? 0 : err;
}

int link_limit(struct nl *n, int index, uint64_t bps)
{
    uint64_t rate = bps / 8;
    struct tc_tbf_qopt q = {.limit = part(rate, 20, QUEUE_MIN)};
    struct nlmsghdr *h;
    struct nlattr *nest;

    if (!bps)
        return unlimited(n, index);
    h = begin(n, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, index);
    q.rate.rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate;
    q.rate.linklayer = TC_LINKLAYER_ETHERNET;
    nest = mnl_attr_nest_start(h, TCA_OPTIONS);
    mnl_attr_put(h, TCA_TBF_PARMS, sizeof(q), &q);
    mnl_attr_put_u32(h, TCA_TBF_BURST, part(rate, 100, BUCKET_MIN));
    if (rate > UINT32_MAX)
        mnl_attr_put_u64(h, TCA_TBF_RATE64, rate);
    mnl_attr_nest_end(h, nest);
    return nl_talk(n, h);
}
