/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "abi/vsp/ic/kvp.h"
#include "vsp/ic/ic_priv.h"
#include "vsp/ic/text.h"

/*
 * Keys and values. Pools are listed from index 0 on until the guest says that there is no more:
 * one key is found in the same way, because the answer of Linux to a GET lacks the beginning of the
 * value. Addresses are a message of their own.
 */

static void reset(struct ic *ic)
{
    ic->index = 0;
}

static int pair_check(const struct ic_request *r)
{
    uint8_t key[KVP_KEY_BYTES], value[KVP_VALUE_BYTES];
    int got = 0;

    if (r->kvp.pool >= KVP_POOLS)
        return -EINVAL;
    if (r->verb != IC_ASK_KVP_LIST)
        got = r->kvp.key[0] ? ic_text_to_guest(r->kvp.key, key, sizeof(key)) : -EINVAL;
    if (got >= 0 && r->verb == IC_ASK_KVP_SET)
        got = ic_text_to_guest(r->kvp.value, value, sizeof(value));
    return got < 0 ? -EINVAL : 0;
}

static int ip_put(const struct ic_request *r, struct kvp_ip *m)
{
    const struct ic_ip *ip = &r->ip;
    int err =
        ip->adapter[0] ? ic_text_to_guest(ip->adapter, m->adapter, sizeof(m->adapter)) : -EINVAL;

    m->operation = r->verb == IC_ASK_IP_SET ? KVP_SET_IP : KVP_GET_IP;
    m->pool = 0;
    m->family = (uint8_t)((ip->ipv4 ? KVP_FAMILY_IPV4 : 0) | (ip->ipv6 ? KVP_FAMILY_IPV6 : 0));
    m->dhcp = ip->dhcp;
    if (r->verb == IC_ASK_IP_GET)
        return err;
    if (err >= 0)
        err = ic_text_to_guest(ip->address, m->address, sizeof(m->address));
    if (err >= 0)
        err = ic_text_to_guest(ip->mask, m->mask, sizeof(m->mask));
    if (err >= 0)
        err = ic_text_to_guest(ip->gateway, m->gateway, sizeof(m->gateway));
    if (err >= 0)
        err = ic_text_to_guest(ip->dns, m->dns, sizeof(m->dns));
    return err;
}

static int check(struct ic *ic, const struct ic_request *r)
{
    struct kvp_ip m;

    if (r->verb == IC_ASK_IP_GET || r->verb == IC_ASK_IP_SET)
        return ip_put(r, &m) < 0 ? -EINVAL : 0;
    return pair_check(r);
}

static size_t set_put(const struct ic_request *r, uint8_t *body)
{
    struct kvp_set m = {.header = {.operation = KVP_SET, .pool = r->kvp.pool}};

    m.pair.type = KVP_STRING;
    m.pair.key_size = (uint32_t)ic_text_to_guest(r->kvp.key, m.pair.key, sizeof(m.pair.key));
    m.pair.value_size =
        (uint32_t)ic_text_to_guest(r->kvp.value, m.pair.value, sizeof(m.pair.value));
    memcpy(body, &m, sizeof(m));
    return sizeof(m);
}

static size_t delete_put(const struct ic_request *r, uint8_t *body)
{
    struct kvp_delete m = {.header = {.operation = KVP_DELETE, .pool = r->kvp.pool}};

    m.key_size = (uint32_t)ic_text_to_guest(r->kvp.key, m.key, sizeof(m.key));
    memcpy(body, &m, sizeof(m));
    return sizeof(m);
}

static size_t list_put(const struct ic *ic, const struct ic_request *r, uint8_t *body)
{
    const struct kvp_enumerate m = {.header = {.operation = KVP_ENUMERATE, .pool = r->kvp.pool},
                                    .index = ic->index};

    memcpy(body, &m, sizeof(m));
    return sizeof(m);
}

static size_t next(struct ic *ic, uint64_t now, uint8_t *body)
{
    const struct ic_request *r = ic->current;
    struct kvp_ip ip = {0};

    if (!r)
        return 0;
    switch (r->verb) {
    case IC_ASK_KVP_SET:
        return set_put(r, body);
    case IC_ASK_KVP_DELETE:
        return delete_put(r, body);
    case IC_ASK_KVP_LIST:
        return list_put(ic, r, body);
    default:
        (void)ip_put(r, &ip); /* it was checked when it came */
        memcpy(body, &ip, sizeof(ip));
        return sizeof(ip);
    }
}

/* A request that has ended leaves the index for the next one. */
static void finish(struct ic *ic, uint32_t status)
{
    ic->index = 0;
    ic_end_status(ic, status);
}

static void fail(struct ic *ic, int err)
{
    ic->index = 0;
    ic_end(ic, err);
}

static void drop(struct ic *ic)
{
    ic->index = 0;
}

static void listed(struct ic *ic, const struct protocol_answer *a)
{
    char key[KVP_KEY_BYTES * 3 / 2 + 1], value[KVP_VALUE_BYTES * 3 / 2 + 1];
    struct ic_request *r = ic->current;
    struct kvp_enumerate m;
    int err;

    if (a->status == IC_E_NO_MORE) {
        finish(ic, IC_S_OK);
        return;
    }
    if (a->status != IC_S_OK || a->length < sizeof(m)) {
        a->status ? finish(ic, a->status) : fail(ic, -EPROTO);
        return;
    }
    memcpy(&m, a->body, sizeof(m));
    ic_text_from_guest(m.pair.key, sizeof(m.pair.key), key, sizeof(key));
    ic_text_from_guest(m.pair.value, sizeof(m.pair.value), value, sizeof(value));
    err = r->kvp.pair(r, key, value);
    if (err)
        fail(ic, err);
    else if (++ic->index == IC_PAIRS_MAX)
        finish(ic, IC_S_OK);
}

static void ip_got(struct ic *ic, const struct protocol_answer *a)
{
    struct ic_ip *ip = &ic->current->ip;
    struct kvp_ip m;

    if (a->status != IC_S_OK || a->length < sizeof(m)) {
        a->status ? finish(ic, a->status) : fail(ic, -EPROTO);
        return;
    }
    memcpy(&m, a->body, sizeof(m));
    ip->dhcp = m.dhcp;
    ip->ipv4 = m.family & KVP_FAMILY_IPV4;
    ip->ipv6 = m.family & KVP_FAMILY_IPV6;
    ic_text_from_guest(m.address, sizeof(m.address), ip->address, sizeof(ip->address));
    ic_text_from_guest(m.mask, sizeof(m.mask), ip->mask, sizeof(ip->mask));
    ic_text_from_guest(m.gateway, sizeof(m.gateway), ip->gateway, sizeof(ip->gateway));
    ic_text_from_guest(m.dns, sizeof(m.dns), ip->dns, sizeof(ip->dns));
    finish(ic, IC_S_OK);
}

static void answer(struct ic *ic, const struct protocol_answer *a, bool mine)
{
    if (!mine)
        return;
    if (ic->current->verb == IC_ASK_KVP_LIST)
        listed(ic, a);
    else if (ic->current->verb == IC_ASK_IP_GET)
        ip_got(ic, a);
    else
        finish(ic, a->status);
}

const struct ic_service ic_service_kvp = {
    .name = "kvp",
    .type = {IC_KVP_CLASS_BYTES},
    .instance = {IC_KVP_INSTANCE_BYTES},
    .protocol = {ICMSG_KVP, 2, {{3, 0}, {4, 0}}},
    .reset = reset,
    .check = check,
    .next = next,
    .answer = answer,
    .drop = drop,
};
