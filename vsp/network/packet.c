/* SPDX-License-Identifier: MIT */
#include "vsp/network/packet.h"
#include <stddef.h>
#include <string.h>
#include "vsp/network/frame.h"

static bool inside(uint32_t offset, uint32_t size, uint32_t length)
{
    return offset <= length && size <= length - offset;
}

bool packet_out_parse(struct packet_out *p, const uint8_t *head, uint32_t head_length,
                      uint32_t left)
{
    struct rndis_header h;
    struct rndis_packet m;
    uint32_t body;

    if (head_length < sizeof(h) + sizeof(m) || left < sizeof(h) + sizeof(m))
        return false;
    memcpy(&h, head, sizeof(h));
    memcpy(&m, head + sizeof(h), sizeof(m));
    if (h.type != RNDIS_PACKET || h.length < sizeof(h) + sizeof(m) || h.length > left)
        return false;
    body = h.length - (uint32_t)sizeof(h);
    if (m.data_offset < sizeof(m) || !inside(m.data_offset, m.data_length, body))
        return false;
    if (m.info_length && (m.info_length > PACKET_INFO_MAX || m.info_offset < sizeof(m) ||
                          !inside(m.info_offset, m.info_length, body)))
        return false;
    *p = (struct packet_out){
        .length = h.length,
        .data = m.data_offset + (uint32_t)sizeof(h),
        .data_length = m.data_length,
        .info = m.info_offset + (uint32_t)sizeof(h),
        .info_length = m.info_length,
    };
    return true;
}

static void info_take(struct packet_out *p, uint32_t type, uint32_t value)
{
    switch (type) {
    case RNDIS_INFO_CHECKSUM:
        p->has_checksum = true;
        p->checksum = value;
        break;
    case RNDIS_INFO_LARGE_SEND:
        p->has_large = true;
        p->large = value;
        break;
    case RNDIS_INFO_VLAN:
        p->has_vlan = true;
        p->vlan = value;
        break;
    default:
        break;
    }
}

bool packet_out_info(struct packet_out *p, const uint8_t *info)
{
    uint32_t left = p->info_length, value;
    struct rndis_info i;

    for (; left; info += i.size, left -= i.size) {
        if (left < sizeof(i))
            return false;
        memcpy(&i, info, sizeof(i));
        if (i.size < sizeof(i) || i.size > left || i.offset < sizeof(i) || i.offset > i.size)
            return false;
        if (i.size - i.offset < sizeof(value))
            continue;
        memcpy(&value, info + i.offset, sizeof(value));
        info_take(p, i.type, value);
    }
    return true;
}

static uint32_t info_put(uint8_t *at, uint32_t type, uint32_t value)
{
    const struct rndis_info i = {sizeof(i) + sizeof(value), type, sizeof(i)};

    memcpy(at, &i, sizeof(i));
    memcpy(at + sizeof(i), &value, sizeof(value));
    return i.size;
}

static uint32_t infos_put(const struct packet_in *p, uint8_t *at)
{
    uint8_t *begin = at;

    if (p->checksum)
        at += info_put(at, RNDIS_INFO_CHECKSUM, p->checksum);
    if (p->has_vlan)
        at += info_put(at, RNDIS_INFO_VLAN, packet_vlan(p->tag));
    if (p->has_hash)
        at += info_put(at, RNDIS_INFO_HASH, p->hash);
    if (p->piece) {
        const struct rndis_info_id id = {RNDIS_ID_VERSION, p->piece, 0};
        uint32_t value;
        memcpy(&value, &id, sizeof(value));
        at += info_put(at, RNDIS_INFO_ID, value);
    }
    return (uint32_t)(at - begin);
}

uint32_t packet_in_fill(const struct packet_in *p, uint8_t *head)
{
    const struct rndis_header h = {RNDIS_PACKET, p->data + p->data_length};
    struct rndis_packet m = {.data_offset = p->data - (uint32_t)sizeof(h),
                             .data_length = p->data_length};

    m.info_length = infos_put(p, head + sizeof(h) + sizeof(m));
    m.info_offset = m.info_length ? sizeof(m) : 0;
    memcpy(head, &h, sizeof(h));
    memcpy(head + sizeof(h), &m, sizeof(m));
    return h.length;
}

uint32_t packet_vlan(uint16_t tag)
{
    uint32_t v = (tag & RNDIS_VLAN_ID_MASK) << RNDIS_VLAN_ID_SHIFT | tag >> 13;

    return tag & 0x1000 ? v | RNDIS_VLAN_CFI : v;
}

uint16_t packet_tag(uint32_t vlan)
{
    uint32_t tag = (vlan >> RNDIS_VLAN_ID_SHIFT & RNDIS_VLAN_ID_MASK) |
                   (vlan & RNDIS_VLAN_PRIORITY_MASK) << 13;

    return (uint16_t)(vlan & RNDIS_VLAN_CFI ? tag | 0x1000 : tag);
}
