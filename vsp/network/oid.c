/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "lib/bits.h"
#include "vsp/network/rndis.h"

/*
 * The objects of an adapter. A query finds a row, which has a constant or a function.
 */

#define VENDOR_ID      0x00155DU /* whose addresses these are; the last byte is an index */
#define DRIVER_VERSION 0x0600U
#define FILTERS                                                                                    \
    (NDIS_FILTER_DIRECTED | NDIS_FILTER_MULTICAST | NDIS_FILTER_ALL_MULTICAST |                    \
     NDIS_FILTER_BROADCAST | NDIS_FILTER_PROMISCUOUS)

struct asked {
    const struct rndis *r;
    const struct rndis_config *config;
    bool link_up;
    const struct rndis_statistics *statistics;
    const uint8_t *in;
    uint32_t in_length;
    uint8_t *out;
    uint32_t size;
};

static int put(const struct asked *a, const void *value, uint32_t length)
{
    if (length > a->size)
        return -1;
    memcpy(a->out, value, length);
    return (int)length;
}

static int put_u32(const struct asked *a, uint32_t v)
{
    return put(a, &v, sizeof(v));
}

static int frame_size(const struct asked *a)
{
    return put_u32(a, a->config->mtu);
}

static int total_size(const struct asked *a)
{
    return put_u32(a, a->config->mtu + FRAME_HEADER);
}

/* In units of 100 bit/s. */
static int link_speed(const struct asked *a)
{
    return put_u32(a, (uint32_t)min_u64(a->config->speed * 10000ULL, UINT32_MAX));
}

static int packet_filter(const struct asked *a)
{
    return put_u32(a, a->r->filter);
}

static int lookahead(const struct asked *a)
{
    return put_u32(a, a->r->lookahead ? a->r->lookahead : a->config->mtu);
}

static int connected(const struct asked *a)
{
    return put_u32(a, !a->link_up);
}

static int vendor(const struct asked *a)
{
    static const char text[] = "Bulkhead network adapter";

    return put(a, text, sizeof(text));
}

/* Statistics are 32 or 64 bits wide, as the guest has room for. */
static int counter(const struct asked *a, uint64_t v)
{
    return a->in_length == sizeof(v) ? put(a, &v, sizeof(v)) : put_u32(a, (uint32_t)v);
}

static int sent(const struct asked *a)
{
    return counter(a, a->statistics->sent);
}

static int received(const struct asked *a)
{
    return counter(a, a->statistics->received);
}

static int send_errors(const struct asked *a)
{
    return counter(a, a->statistics->send_errors);
}

static int receive_errors(const struct asked *a)
{
    return counter(a, a->statistics->receive_errors);
}

static int no_buffer(const struct asked *a)
{
    return counter(a, a->statistics->no_buffer);
}

static int permanent(const struct asked *a)
{
    return put(a, a->config->mac, FRAME_ADDRESS);
}

static int current(const struct asked *a)
{
    return put(a, a->r->mac, FRAME_ADDRESS);
}

static int multicast(const struct asked *a)
{
    return put(a, a->r->multicast, a->r->multicast_count * FRAME_ADDRESS);
}

/* As long as the guest knows it: the header of its question says that. */
static uint32_t offload_size(const struct asked *a)
{
    struct ndis_object h;

    if (a->in_length < sizeof(h))
        return sizeof(struct ndis_offload);
    memcpy(&h, a->in, sizeof(h));
    if (h.size >= sizeof(struct ndis_offload))
        return sizeof(struct ndis_offload);
    return h.size >= NDIS_OFFLOAD_SIZE_6_1 ? NDIS_OFFLOAD_SIZE_6_1 : NDIS_OFFLOAD_SIZE_6_0;
}

static void offload_fill(struct ndis_offload *o)
{
    const struct ndis_checksum_side ip4 = {
        NDIS_ENCAPSULATION_8023, NDIS_CHECKSUM_TCP_OPTIONS | NDIS_CHECKSUM_TCP | NDIS_CHECKSUM_UDP |
                                     NDIS_CHECKSUM_IP4 | NDIS_CHECKSUM_IP4_OPTIONS};
    const struct ndis_checksum_side ip6 = {NDIS_ENCAPSULATION_8023,
                                           NDIS_CHECKSUM_TCP_OPTIONS | NDIS_CHECKSUM_TCP |
                                               NDIS_CHECKSUM_UDP | NDIS_CHECKSUM_IP6_HEADERS};

    o->ip4_send = o->ip4_receive = ip4;
    o->ip6_send = o->ip6_receive = ip6;
    o->lso_v1.encapsulation = NDIS_ENCAPSULATION_8023;
    o->lso_v1.size_max = RNDIS_LSO_MAX;
    o->lso_v1.segments_min = 2;
    o->lso_v1.options = NDIS_LSO_TCP_OPTIONS;
    o->lso_v2.ip4_encapsulation = o->lso_v2.ip6_encapsulation = NDIS_ENCAPSULATION_8023;
    o->lso_v2.ip4_size_max = o->lso_v2.ip6_size_max = RNDIS_LSO_MAX;
    o->lso_v2.ip4_segments_min = o->lso_v2.ip6_segments_min = 2;
    o->lso_v2.ip6_options = NDIS_LSO_IP6_HEADERS | NDIS_LSO_TCP_OPTIONS;
}

static int offload(const struct asked *a, bool ip4, bool ip6)
{
    uint32_t size = offload_size(a);
    uint8_t revision = size == NDIS_OFFLOAD_SIZE_6_0 ? 1 : size == NDIS_OFFLOAD_SIZE_6_1 ? 2 : 3;
    struct ndis_offload o = {.header = {NDIS_OBJECT_OFFLOAD, revision, (uint16_t)size}};

    offload_fill(&o);
    o.coalesce_ip4 = ip4;
    o.coalesce_ip6 = ip6;
    return put(a, &o, size);
}

static int offload_can(const struct asked *a)
{
    return offload(a, true, true);
}

static int offload_does(const struct asked *a)
{
    return offload(a, a->r->coalesce_ip4, a->r->coalesce_ip6);
}

static int rss_can(const struct asked *a)
{
    const struct ndis_rss_capabilities c = {
        .header = {NDIS_OBJECT_RSS_CAPABILITIES, 2, sizeof(c)},
        .flags = NDIS_HASH_TOEPLITZ | NDIS_RSS_TCP_IPV4 | NDIS_RSS_TCP_IPV6,
        .interrupts = a->config->channels,
        .queues = a->config->channels,
        .table_entries = NDIS_RSS_TABLE_MAX,
    };

    return put(a, &c, sizeof(c));
}

static int list(const struct asked *a);

/** How a row is answered: by `get`, or by `value`. */
struct object {
    uint32_t oid;
    int (*get)(const struct asked *a);
    uint32_t value;
};

static const struct object objects[] = {
    {OID_GEN_SUPPORTED_LIST, list, 0},
    {OID_GEN_HARDWARE_STATUS, NULL, 0},
    {OID_GEN_MEDIA_SUPPORTED, NULL, RNDIS_MEDIUM_ETHERNET},
    {OID_GEN_MEDIA_IN_USE, NULL, RNDIS_MEDIUM_ETHERNET},
    {OID_GEN_MAXIMUM_LOOKAHEAD, frame_size, 0},
    {OID_GEN_MAXIMUM_FRAME_SIZE, frame_size, 0},
    {OID_GEN_LINK_SPEED, link_speed, 0},
    {OID_GEN_TRANSMIT_BUFFER_SPACE, total_size, 0},
    {OID_GEN_RECEIVE_BUFFER_SPACE, total_size, 0},
    {OID_GEN_TRANSMIT_BLOCK_SIZE, total_size, 0},
    {OID_GEN_RECEIVE_BLOCK_SIZE, total_size, 0},
    {OID_GEN_VENDOR_ID, NULL, VENDOR_ID},
    {OID_GEN_VENDOR_DESCRIPTION, vendor, 0},
    {OID_GEN_CURRENT_PACKET_FILTER, packet_filter, 0},
    {OID_GEN_CURRENT_LOOKAHEAD, lookahead, 0},
    {OID_GEN_DRIVER_VERSION, NULL, DRIVER_VERSION},
    {OID_GEN_MAXIMUM_TOTAL_SIZE, total_size, 0},
    {OID_GEN_MAC_OPTIONS, NULL, NDIS_MAC_OPTIONS},
    {OID_GEN_MEDIA_CONNECT_STATUS, connected, 0},
    {OID_GEN_MAXIMUM_SEND_PACKETS, NULL, RNDIS_PACKETS_MAX},
    {OID_GEN_VENDOR_DRIVER_VERSION, NULL, DRIVER_VERSION},
    {OID_GEN_PHYSICAL_MEDIUM, NULL, 0},
    {OID_GEN_RECEIVE_SCALE_CAPABILITY, rss_can, 0},
    {OID_GEN_XMIT_OK, sent, 0},
    {OID_GEN_RCV_OK, received, 0},
    {OID_GEN_XMIT_ERROR, send_errors, 0},
    {OID_GEN_RCV_ERROR, receive_errors, 0},
    {OID_GEN_RCV_NO_BUFFER, no_buffer, 0},
    {OID_802_3_PERMANENT_ADDRESS, permanent, 0},
    {OID_802_3_CURRENT_ADDRESS, current, 0},
    {OID_802_3_MULTICAST_LIST, multicast, 0},
    {OID_802_3_MAXIMUM_LIST_SIZE, NULL, RNDIS_MULTICAST_MAX},
    {OID_802_3_MAC_OPTIONS, NULL, 0},
    {OID_802_3_RCV_ERROR_ALIGNMENT, NULL, 0},
    {OID_802_3_XMIT_ONE_COLLISION, NULL, 0},
    {OID_802_3_XMIT_MORE_COLLISIONS, NULL, 0},
    {OID_TCP_OFFLOAD_CURRENT_CONFIG, offload_does, 0},
    {OID_TCP_OFFLOAD_CAPABILITIES, offload_can, 0},
};

static int list(const struct asked *a)
{
    uint32_t oids[ARRAY_SIZE(objects)];

    for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
        oids[i] = objects[i].oid;
    return put(a, oids, sizeof(oids));
}

int oid_query(const struct rndis *r, const struct rndis_config *config, bool link_up,
              const struct rndis_statistics *statistics, uint32_t oid, const uint8_t *in,
              uint32_t in_length, uint8_t *out, uint32_t size)
{
    const struct asked a = {r, config, link_up, statistics, in, in_length, out, size};

    for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
        if (objects[i].oid == oid)
            return objects[i].get ? objects[i].get(&a) : put_u32(&a, objects[i].value);
    return -1;
}

static uint32_t set_filter(struct rndis *r, const uint8_t *info, uint32_t length)
{
    uint32_t filter;

    if (length < sizeof(filter))
        return RNDIS_STATUS_INVALID_LENGTH;
    memcpy(&filter, info, sizeof(filter));
    r->filter = filter & FILTERS;
    return RNDIS_STATUS_SUCCESS;
}

static uint32_t set_lookahead(struct rndis *r, const uint8_t *info, uint32_t length)
{
    if (length < sizeof(r->lookahead))
        return RNDIS_STATUS_INVALID_LENGTH;
    memcpy(&r->lookahead, info, sizeof(r->lookahead));
    return RNDIS_STATUS_SUCCESS;
}

static uint32_t set_multicast(struct rndis *r, const uint8_t *info, uint32_t length)
{
    if (length % FRAME_ADDRESS)
        return RNDIS_STATUS_INVALID_LENGTH;
    if (length > sizeof(r->multicast))
        return RNDIS_STATUS_MULTICAST_FULL;
    memcpy(r->multicast, info, length);
    r->multicast_count = length / FRAME_ADDRESS;
    return RNDIS_STATUS_SUCCESS;
}

static void coalesce_set(bool *coalesce, uint8_t wish)
{
    if (wish == NDIS_OFFLOAD_ENABLE || wish == NDIS_OFFLOAD_DISABLE)
        *coalesce = wish == NDIS_OFFLOAD_ENABLE;
}

/* What the guest sends says by itself what is to be done for it, and sums of what it receives are
 * always right: only coalescing has to be remembered. */
static uint32_t set_offload(struct rndis *r, const uint8_t *info, uint32_t length)
{
    struct ndis_offload_parameters p = {.flags = 0};

    if (length < NDIS_OFFLOAD_PARAMETERS_MIN)
        return RNDIS_STATUS_INVALID_LENGTH;
    memcpy(&p, info, min_u64(length, sizeof(p)));
    if (p.header.type != NDIS_OBJECT_DEFAULT)
        return RNDIS_STATUS_INVALID_DATA;
    coalesce_set(&r->coalesce_ip4, p.coalesce_ip4);
    coalesce_set(&r->coalesce_ip6, p.coalesce_ip6);
    return RNDIS_STATUS_SUCCESS;
}

static int hex_digit(const uint8_t *utf16)
{
    unsigned c = utf16[0] | (unsigned)utf16[1] << 8;

    if (c >= '0' && c <= '9')
        return (int)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (int)(c - 'a' + 10) : -1;
}

/* Twelve digits. An address of a group is nobody's. */
static bool address_parse(const uint8_t *text, uint8_t *mac)
{
    for (unsigned i = 0; i < FRAME_ADDRESS; i++) {
        int high = hex_digit(text + i * 4), low = hex_digit(text + i * 4 + 2);
        if (high < 0 || low < 0)
            return false;
        mac[i] = (uint8_t)(high << 4 | low);
    }
    return !(mac[0] & 1);
}

static bool inside(uint32_t offset, uint32_t size, uint32_t length)
{
    return offset <= length && size <= length - offset;
}

static bool name_is(const uint8_t *utf16, uint32_t length, const char *name)
{
    if (length < strlen(name) * 2)
        return false;
    for (unsigned i = 0; name[i]; i++)
        if (utf16[i * 2] != (uint8_t)name[i] || utf16[i * 2 + 1])
            return false;
    return true;
}

/* The only one of interest is "NetworkAddress". */
static uint32_t set_parameter(struct rndis *r, const struct rndis_config *config,
                              const uint8_t *info, uint32_t length)
{
    uint8_t mac[FRAME_ADDRESS];
    struct rndis_parameter p;

    if (length < sizeof(p))
        return RNDIS_STATUS_INVALID_LENGTH;
    memcpy(&p, info, sizeof(p));
    if (!inside(p.name_offset, p.name_length, length) ||
        !inside(p.value_offset, p.value_length, length))
        return RNDIS_STATUS_INVALID_DATA;
    if (!name_is(info + p.name_offset, p.name_length, "NetworkAddress"))
        return RNDIS_STATUS_NOT_SUPPORTED;
    if (p.type != RNDIS_PARAMETER_STRING || p.value_length < 4 * FRAME_ADDRESS ||
        !address_parse(info + p.value_offset, mac))
        return RNDIS_STATUS_INVALID_DATA;
    if (!config->mac_change && memcmp(mac, config->mac, sizeof(mac)) != 0)
        return RNDIS_STATUS_FAILURE;
    memcpy(r->mac, mac, sizeof(mac));
    return RNDIS_STATUS_SUCCESS;
}

uint32_t oid_set(struct rndis *r, const struct rndis_config *config, uint32_t oid,
                 const uint8_t *info, uint32_t length)
{
    switch (oid) {
    case OID_GEN_CURRENT_PACKET_FILTER:
        return set_filter(r, info, length);
    case OID_GEN_CURRENT_LOOKAHEAD:
        return set_lookahead(r, info, length);
    case OID_802_3_MULTICAST_LIST:
        return set_multicast(r, info, length);
    case OID_TCP_OFFLOAD_PARAMETERS:
        return set_offload(r, info, length);
    case OID_GEN_RECEIVE_SCALE_PARAMETERS:
        return rss_set(&r->rss, info, length, config->channels) ? RNDIS_STATUS_SUCCESS
                                                                : RNDIS_STATUS_INVALID_DATA;
    case OID_GEN_RNDIS_CONFIG_PARAMETER:
        return set_parameter(r, config, info, length);
    case OID_OFFLOAD_ENCAPSULATION:
    case OID_GEN_PROTOCOL_OPTIONS:
    case OID_GEN_NETWORK_LAYER_ADDRESSES:
        return RNDIS_STATUS_SUCCESS;
    default:
        return RNDIS_STATUS_INVALID_OID;
    }
}
