/* SPDX-License-Identifier: MIT */
#ifndef ABI_VSP_NETWORK_NVSP_H
#define ABI_VSP_NETWORK_NVSP_H

#include <stddef.h>
#include <stdint.h>

/*
 * The protocol between a guest's netvsc and the network VSP: packets on the channels of a network
 * adapter. RNDIS messages (rndis.h) travel inside. Checked against Linux 6.1 (hyperv_net.h), and
 * against mu_msvm (NetvscDxe) for version 5. All numbers are little-endian.
 */

#ifndef __cplusplus
#define NVSP_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define NVSP_LAYOUT(cond) static_assert(cond, #cond)
#endif

/** f8615163-df3e-46c5-913f-f2d2f965ed0e, the class of network adapters, as in memory. */
#define NVSP_CLASS_GUID_BYTES                                                                      \
    {                                                                                              \
        0x63, 0x51, 0x61, 0xF8, 0x3E, 0xDF, 0xC5, 0x46, 0x91, 0x3F, 0xF2, 0xD2, 0xF9, 0x65, 0xED,  \
            0x0E                                                                                   \
    }

#define NVSP_VERSION_1   0x00000002U
#define NVSP_VERSION_2   0x00030002U
#define NVSP_VERSION_4   0x00040000U
#define NVSP_VERSION_5   0x00050000U
#define NVSP_VERSION_6   0x00060000U
#define NVSP_VERSION_6_1 0x00060001U

enum nvsp_type {
    NVSP_INIT = 1,
    NVSP_INIT_COMPLETE = 2,
    /* From version 1 on. */
    NVSP_SEND_NDIS_VERSION = 100,
    NVSP_SEND_RECEIVE_BUFFER = 101,
    NVSP_SEND_RECEIVE_BUFFER_COMPLETE = 102,
    NVSP_REVOKE_RECEIVE_BUFFER = 103,
    NVSP_SEND_SEND_BUFFER = 104,
    NVSP_SEND_SEND_BUFFER_COMPLETE = 105,
    NVSP_REVOKE_SEND_BUFFER = 106,
    NVSP_SEND_RNDIS_PACKET = 107,
    NVSP_SEND_RNDIS_PACKET_COMPLETE = 108,
    /* From version 2 on. */
    NVSP_SEND_NDIS_CONFIG = 125,
    /* From version 4 on. */
    NVSP_SEND_VF_ASSOCIATION = 128,
    NVSP_SWITCH_DATA_PATH = 129,
    /* From version 5 on. */
    NVSP_OID_QUERY_EX = 131,
    NVSP_OID_QUERY_EX_COMPLETE = 132,
    NVSP_SUBCHANNEL = 133, /* request and answer */
    NVSP_SEND_INDIRECTION_TABLE = 134,
    /* From version 6 on. */
    NVSP_PD_API = 135,
};

enum nvsp_status {
    NVSP_STATUS_SUCCESS = 1,
    NVSP_STATUS_FAIL = 2,
    NVSP_STATUS_TOO_NEW = 3,
    NVSP_STATUS_TOO_OLD = 4,
    NVSP_STATUS_INVALID_RNDIS_PACKET = 5,
    NVSP_STATUS_BUSY = 6,
    NVSP_STATUS_UNSUPPORTED = 7,
};

/* What follows the type, a uint32_t; numbers are not aligned in all of them. */

struct nvsp_init {
    uint32_t version_min;
    uint32_t version_max;
};

struct nvsp_init_complete {
    uint32_t version;
    uint32_t mdl_chain_max;
    uint32_t status;
};

struct nvsp_ndis_version {
    uint32_t major;
    uint32_t minor;
};

/** Of both kinds of buffers. */
struct __attribute__((packed)) nvsp_send_buffer {
    uint32_t gpadl;
    uint16_t id;
};
NVSP_LAYOUT(sizeof(struct nvsp_send_buffer) == 6);

/** With the only section that is ever used: the whole buffer in pieces of one size. */
struct nvsp_receive_buffer_complete {
    uint32_t status;
    uint32_t section_count;
    uint32_t offset;
    uint32_t piece_size;
    uint32_t piece_count;
    uint32_t end_offset;
};
NVSP_LAYOUT(sizeof(struct nvsp_receive_buffer_complete) == 24);

struct nvsp_send_buffer_complete {
    uint32_t status;
    uint32_t section_size;
};

/* nvsp_rndis_packet.channel_type */
#define NVSP_CHANNEL_DATA    0U
#define NVSP_CHANNEL_CONTROL 1U

#define NVSP_SECTION_NONE 0xFFFFFFFFU

struct nvsp_rndis_packet {
    uint32_t channel_type;
    uint32_t section; /* of the send buffer; NVSP_SECTION_NONE: all is in the packet's ranges */
    uint32_t section_length;
};
NVSP_LAYOUT(sizeof(struct nvsp_rndis_packet) == 12);

/* nvsp_ndis_config.capabilities */
#define NVSP_CAPABILITY_VMQ     0x01U
#define NVSP_CAPABILITY_SRIOV   0x04U
#define NVSP_CAPABILITY_8021Q   0x08U
#define NVSP_CAPABILITY_TEAMING 0x20U
#define NVSP_CAPABILITY_RSC     0x80U

struct __attribute__((packed)) nvsp_ndis_config {
    uint32_t mtu; /* of the guest, with the Ethernet header */
    uint32_t reserved;
    uint64_t capabilities;
};
NVSP_LAYOUT(sizeof(struct nvsp_ndis_config) == 16);

struct nvsp_vf_association {
    uint32_t allocated;
    uint32_t serial;
};

struct nvsp_data_path {
    uint32_t active; /* 0: this one */
};

#define NVSP_SUBCHANNEL_ALLOCATE 1U

struct nvsp_subchannel_request {
    uint32_t operation;
    uint32_t count;
};

struct nvsp_subchannel_complete {
    uint32_t status;
    uint32_t count;
};

#define NVSP_TABLE_ENTRIES 16U

/** To the guest: which channel a flow is sent on, by its hash. */
struct nvsp_indirection_table {
    uint32_t count;
    uint32_t offset; /* of the entries, from the type on */
    uint32_t entry[NVSP_TABLE_ENTRIES];
};
NVSP_LAYOUT(offsetof(struct nvsp_indirection_table, entry) == 8);

struct nvsp_status_only {
    uint32_t status;
};

#define NVSP_PAYLOAD_SIZE 36U

/** A message: the type, and of the payload what it needs. Guests send this much from 6.1 on. */
struct nvsp_message {
    uint32_t type;
    uint8_t payload[NVSP_PAYLOAD_SIZE];
};
#define NVSP_MESSAGE_SIZE_OLD 28U /* before 6.1; some send the long one at all times */
NVSP_LAYOUT(sizeof(struct nvsp_message) == 40);
NVSP_LAYOUT(sizeof(struct nvsp_receive_buffer_complete) + 4 == NVSP_MESSAGE_SIZE_OLD);

#endif
