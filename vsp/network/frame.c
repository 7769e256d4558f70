/* SPDX-License-Identifier: MIT */
#include "vsp/network/frame.h"
#include <string.h>

#define TYPE_IPV4 0x0800U
#define TYPE_IPV6 0x86DDU
#define TYPE_TAG  0x8100U

#define IPV4_MIN 20U
#define IPV6_MIN 40U
#define TCP_MIN  20U

static unsigned be16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static void be16_put(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void parse_ipv4(struct frame *f, const uint8_t *head, size_t length)
{
    const uint8_t *ip = head + f->network;
    unsigned size;

    if (length < f->network + IPV4_MIN || ip[0] >> 4 != 4)
        return;
    size = (ip[0] & 15U) * 4;
    if (size < IPV4_MIN)
        return;
    f->kind = FRAME_IPV4;
    f->addresses = (uint16_t)(f->network + 12);
    f->protocol = ip[9];
    f->transport = (uint16_t)(f->network + size);
    if ((be16(ip + 6) & 0x3FFF) == 0 && length >= f->transport + 4U)
        f->ports = f->transport;
}

/* Extension headers are not looked behind. */
static void parse_ipv6(struct frame *f, const uint8_t *head, size_t length)
{
    const uint8_t *ip = head + f->network;

    if (length < f->network + IPV6_MIN || ip[0] >> 4 != 6)
        return;
    f->kind = FRAME_IPV6;
    f->addresses = (uint16_t)(f->network + 8);
    f->protocol = ip[6];
    f->transport = (uint16_t)(f->network + IPV6_MIN);
    if (length >= f->transport + 4U)
        f->ports = f->transport;
}

void frame_parse(struct frame *f, const uint8_t *head, size_t length)
{
    unsigned type, at = FRAME_HEADER;

    *f = (struct frame){.kind = FRAME_OTHER};
    if (length < FRAME_HEADER)
        return;
    type = be16(head + 12);
    if (type == TYPE_TAG && length >= FRAME_HEADER + FRAME_TAG) {
        f->tagged = true;
        f->tag = (uint16_t)be16(head + 14);
        type = be16(head + 16);
        at += FRAME_TAG;
    }
    f->network = (uint16_t)at;
    if (type == TYPE_IPV4)
        parse_ipv4(f, head, length);
    else if (type == TYPE_IPV6)
        parse_ipv6(f, head, length);
}

/* Words as they lie in memory: the order of their bytes does not matter until the end. */
static uint64_t sum_piece(const uint8_t *p, size_t length)
{
    uint64_t sum = 0, wide;
    uint16_t word;

    for (; length >= 8; p += 8, length -= 8) {
        memcpy(&wide, p, 8);
        sum += (wide & 0xFFFFFFFFU) + (wide >> 32);
    }
    for (; length >= 2; p += 2, length -= 2) {
        memcpy(&word, p, 2);
        sum += word;
    }
    return length ? sum + *p : sum;
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return (uint16_t)sum;
}

uint16_t frame_sum(const struct iovec *iov, unsigned count, size_t start)
{
    uint64_t sum = 0;
    bool odd = false;

    for (unsigned i = 0; i < count; i++) {
        size_t length = iov[i].iov_len, skip = start < length ? start : length;
        uint16_t piece = fold(sum_piece((const uint8_t *)iov[i].iov_base + skip, length - skip));

        start -= skip;
        sum += odd ? __builtin_bswap16(piece) : piece;
        odd ^= (length - skip) & 1;
    }
    return fold(sum);
}

static uint8_t *byte_at(struct iovec *iov, unsigned count, size_t at)
{
    for (unsigned i = 0; i < count; i++) {
        if (at < iov[i].iov_len)
            return (uint8_t *)iov[i].iov_base + at;
        at -= iov[i].iov_len;
    }
    return NULL;
}

bool frame_checksum(struct iovec *iov, unsigned count, size_t start, size_t offset)
{
    uint8_t *low = byte_at(iov, count, start + offset);
    uint8_t *high = byte_at(iov, count, start + offset + 1);
    uint8_t bytes[2];
    uint16_t sum;

    if (!low || !high)
        return false;
    sum = (uint16_t)~frame_sum(iov, count, start);
    if (sum == 0) /* which UDP has for "none" */
        sum = 0xFFFF;
    memcpy(bytes, &sum, 2);
    *low = bytes[0];
    *high = bytes[1];
    return true;
}

static uint16_t sum_of(const uint8_t *p, size_t length, uint32_t more)
{
    return fold(sum_piece(p, length) + more);
}

/* A number as a word in memory. */
static uint16_t word_of(unsigned v)
{
    uint8_t bytes[2];
    uint16_t word;

    be16_put(bytes, v);
    memcpy(&word, bytes, 2);
    return word;
}

static bool large_ipv4(uint8_t *ip, size_t ip_length, unsigned size, uint16_t *pseudo)
{
    uint16_t sum;

    if (ip[0] >> 4 != 4 || (ip[0] & 15U) * 4 != size || ip[9] != FRAME_TCP)
        return false;
    be16_put(ip + 2, (unsigned)ip_length);
    memset(ip + 10, 0, 2);
    sum = (uint16_t)~sum_of(ip, size, 0);
    memcpy(ip + 10, &sum, 2);
    *pseudo =
        sum_of(ip + 12, 8, (uint32_t)word_of(FRAME_TCP) + word_of((unsigned)ip_length - size));
    return true;
}

/* The header before TCP may be an extension, in which case the first one does not say TCP. */
static bool large_ipv6(uint8_t *ip, size_t ip_length, unsigned size, uint16_t *pseudo)
{
    if (ip[0] >> 4 != 6 || size < IPV6_MIN)
        return false;
    be16_put(ip + 4, (unsigned)(ip_length - IPV6_MIN));
    *pseudo =
        sum_of(ip + 8, 32, (uint32_t)word_of(FRAME_TCP) + word_of((unsigned)ip_length - size));
    return true;
}

bool frame_large_prepare(struct frame_large *l, uint8_t *head, size_t head_length, size_t length,
                         bool ip6, unsigned transport)
{
    unsigned minimum = FRAME_HEADER + (ip6 ? IPV6_MIN : IPV4_MIN), header;
    uint8_t *ip = head + FRAME_HEADER, *tcp = head + transport;
    size_t ip_length = length - FRAME_HEADER;
    uint16_t pseudo = 0;

    if (transport < minimum || transport + TCP_MIN > head_length || length > FRAME_MAX - FRAME_TAG)
        return false;
    header = transport + (tcp[12] >> 4) * 4U;
    if (header < transport + TCP_MIN || header > head_length || header >= length)
        return false;
    if (ip6 ? !large_ipv6(ip, ip_length, transport - FRAME_HEADER, &pseudo)
            : !large_ipv4(ip, ip_length, transport - FRAME_HEADER, &pseudo))
        return false;
    memcpy(tcp + 16, &pseudo, 2);
    *l = (struct frame_large){(uint16_t)header, (uint16_t)transport, ip6};
    return true;
}
