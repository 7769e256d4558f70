/* SPDX-License-Identifier: MIT */
#ifndef ABI_VSP_NETWORK_RNDIS_H
#define ABI_VSP_NETWORK_RNDIS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Remote NDIS messages between a guest and its network adapter: [MS-RNDIS], and of data messages
 * what Hyper-V's guests know (Linux 6.1, hyperv_net.h). All numbers are little-endian; offsets in
 * a message count from the end of its header.
 */

#ifndef __cplusplus
#define RNDIS_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define RNDIS_LAYOUT(cond) static_assert(cond, #cond)
#endif

enum rndis_type {
    RNDIS_PACKET = 1,
    RNDIS_INITIALIZE = 2,
    RNDIS_HALT = 3,
    RNDIS_QUERY = 4,
    RNDIS_SET = 5,
    RNDIS_RESET = 6,
    RNDIS_INDICATE = 7,
    RNDIS_KEEPALIVE = 8,
};
#define RNDIS_COMPLETE 0x80000000U /* set in the answer's type */

/* Status of answers, and of indications. */
#define RNDIS_STATUS_SUCCESS           0x00000000U
#define RNDIS_STATUS_MEDIA_CONNECT     0x4001000BU
#define RNDIS_STATUS_MEDIA_DISCONNECT  0x4001000CU
#define RNDIS_STATUS_LINK_SPEED_CHANGE 0x40010013U
#define RNDIS_STATUS_NETWORK_CHANGE    0x40010018U
#define RNDIS_STATUS_FAILURE           0xC0000001U
#define RNDIS_STATUS_NOT_SUPPORTED     0xC00000BBU
#define RNDIS_STATUS_MULTICAST_FULL    0xC0010009U
#define RNDIS_STATUS_INVALID_LENGTH    0xC0010014U
#define RNDIS_STATUS_INVALID_DATA      0xC0010015U
#define RNDIS_STATUS_INVALID_OID       0xC0010017U
#define RNDIS_STATUS_ADAPTER_NOT_READY 0xC0010011U

struct rndis_header {
    uint32_t type;
    uint32_t length; /* of the whole message */
};
RNDIS_LAYOUT(sizeof(struct rndis_header) == 8);

struct rndis_initialize {
    uint32_t request;
    uint32_t major;
    uint32_t minor;
    uint32_t transfer_max;
};

#define RNDIS_MAJOR           1U
#define RNDIS_MINOR           0U
#define RNDIS_CONNECTIONLESS  1U
#define RNDIS_MEDIUM_ETHERNET 0U

struct rndis_initialize_complete {
    uint32_t request;
    uint32_t status;
    uint32_t major;
    uint32_t minor;
    uint32_t device_flags;
    uint32_t medium;
    uint32_t packets_max; /* data messages in one packet of NVSP */
    uint32_t transfer_max;
    uint32_t alignment_shift; /* of data messages in it */
    uint32_t reserved[2];
};
RNDIS_LAYOUT(sizeof(struct rndis_initialize_complete) == 44);

/** Query and set. */
struct rndis_request {
    uint32_t request;
    uint32_t oid;
    uint32_t info_length;
    uint32_t info_offset;
    uint32_t reserved;
};
RNDIS_LAYOUT(sizeof(struct rndis_request) == 20);

struct rndis_query_complete {
    uint32_t request;
    uint32_t status;
    uint32_t info_length;
    uint32_t info_offset;
};
RNDIS_LAYOUT(sizeof(struct rndis_query_complete) == 16);

/** Set and keepalive; a reset's has the same size: status, and whether addresses are lost. */
struct rndis_status {
    uint32_t request;
    uint32_t status;
};

struct rndis_indicate {
    uint32_t status;
    uint32_t info_length;
    uint32_t info_offset;
};
RNDIS_LAYOUT(sizeof(struct rndis_indicate) == 12);

struct rndis_packet {
    uint32_t data_offset;
    uint32_t data_length;
    uint32_t oob_offset;
    uint32_t oob_length;
    uint32_t oob_count;
    uint32_t info_offset; /* of per-packet information */
    uint32_t info_length;
    uint32_t reserved[2];
};
RNDIS_LAYOUT(sizeof(struct rndis_packet) == 36);

/** Per-packet information: its head. */
struct rndis_info {
    uint32_t size; /* with this head */
    uint32_t type;
    uint32_t offset; /* of the value, from the head on */
};
RNDIS_LAYOUT(sizeof(struct rndis_info) == 12);

/* Types; the top bit marks those that are Hyper-V's own. */
#define RNDIS_INFO_CHECKSUM   0U
#define RNDIS_INFO_LARGE_SEND 2U
#define RNDIS_INFO_VLAN       6U
#define RNDIS_INFO_HASH       8U
#define RNDIS_INFO_ID         0x80000001U

/* RNDIS_INFO_CHECKSUM, sent by the guest; the offset of the TCP or UDP header above. */
#define RNDIS_CHECKSUM_IPV4         0x00000001U
#define RNDIS_CHECKSUM_IPV6         0x00000002U
#define RNDIS_CHECKSUM_TCP          0x00000004U
#define RNDIS_CHECKSUM_UDP          0x00000008U
#define RNDIS_CHECKSUM_IP_HEADER    0x00000010U
#define RNDIS_CHECKSUM_OFFSET_SHIFT 16U
#define RNDIS_CHECKSUM_OFFSET_MASK  0x3FFU

/* RNDIS_INFO_CHECKSUM, sent to the guest. */
#define RNDIS_CHECKSUM_TCP_GOOD 0x00000008U
#define RNDIS_CHECKSUM_UDP_GOOD 0x00000010U
#define RNDIS_CHECKSUM_IP_GOOD  0x00000020U

/* RNDIS_INFO_LARGE_SEND */
#define RNDIS_LARGE_SEND_MSS_MASK     0x000FFFFFU
#define RNDIS_LARGE_SEND_OFFSET_SHIFT 20U
#define RNDIS_LARGE_SEND_OFFSET_MASK  0x3FFU
#define RNDIS_LARGE_SEND_V2           0x40000000U
#define RNDIS_LARGE_SEND_IPV6         0x80000000U /* version 2 */

/* RNDIS_INFO_VLAN */
#define RNDIS_VLAN_PRIORITY_MASK 0x7U
#define RNDIS_VLAN_CFI           0x8U
#define RNDIS_VLAN_ID_SHIFT      4U
#define RNDIS_VLAN_ID_MASK       0xFFFU

/** RNDIS_INFO_ID: a frame in pieces, of one transfer packet. */
struct rndis_info_id {
    uint8_t version;
    uint8_t flags;
    uint16_t id;
};
#define RNDIS_ID_VERSION 1U
#define RNDIS_ID_PIECE   0x1U
#define RNDIS_ID_FIRST   0x2U
#define RNDIS_ID_LAST    0x4U

/** Information of OID_GEN_RNDIS_CONFIG_PARAMETER; offsets count from here. */
struct rndis_parameter {
    uint32_t name_offset;
    uint32_t name_length; /* bytes of UTF-16 */
    uint32_t type;
    uint32_t value_offset;
    uint32_t value_length;
};
RNDIS_LAYOUT(sizeof(struct rndis_parameter) == 20);
#define RNDIS_PARAMETER_STRING 2U

#endif
