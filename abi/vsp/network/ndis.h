/* SPDX-License-Identifier: MIT */
#ifndef ABI_VSP_NETWORK_NDIS_H
#define ABI_VSP_NETWORK_NDIS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Object identifiers that a guest queries and sets through RNDIS, and the structures of those that
 * have one (ntddndis.h as documented; Linux 6.1, hyperv_net.h and linux/rndis.h).
 */

#ifndef __cplusplus
#define NDIS_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define NDIS_LAYOUT(cond) static_assert(cond, #cond)
#endif

#define OID_GEN_SUPPORTED_LIST           0x00010101U
#define OID_GEN_HARDWARE_STATUS          0x00010102U
#define OID_GEN_MEDIA_SUPPORTED          0x00010103U
#define OID_GEN_MEDIA_IN_USE             0x00010104U
#define OID_GEN_MAXIMUM_LOOKAHEAD        0x00010105U
#define OID_GEN_MAXIMUM_FRAME_SIZE       0x00010106U
#define OID_GEN_LINK_SPEED               0x00010107U
#define OID_GEN_TRANSMIT_BUFFER_SPACE    0x00010108U
#define OID_GEN_RECEIVE_BUFFER_SPACE     0x00010109U
#define OID_GEN_TRANSMIT_BLOCK_SIZE      0x0001010AU
#define OID_GEN_RECEIVE_BLOCK_SIZE       0x0001010BU
#define OID_GEN_VENDOR_ID                0x0001010CU
#define OID_GEN_VENDOR_DESCRIPTION       0x0001010DU
#define OID_GEN_CURRENT_PACKET_FILTER    0x0001010EU
#define OID_GEN_CURRENT_LOOKAHEAD        0x0001010FU
#define OID_GEN_DRIVER_VERSION           0x00010110U
#define OID_GEN_MAXIMUM_TOTAL_SIZE       0x00010111U
#define OID_GEN_PROTOCOL_OPTIONS         0x00010112U
#define OID_GEN_MAC_OPTIONS              0x00010113U
#define OID_GEN_MEDIA_CONNECT_STATUS     0x00010114U
#define OID_GEN_MAXIMUM_SEND_PACKETS     0x00010115U
#define OID_GEN_VENDOR_DRIVER_VERSION    0x00010116U
#define OID_GEN_NETWORK_LAYER_ADDRESSES  0x00010118U
#define OID_GEN_PHYSICAL_MEDIUM          0x00010202U
#define OID_GEN_RECEIVE_SCALE_CAPABILITY 0x00010203U
#define OID_GEN_RECEIVE_SCALE_PARAMETERS 0x00010204U
#define OID_GEN_RNDIS_CONFIG_PARAMETER   0x0001021BU
#define OID_GEN_XMIT_OK                  0x00020101U
#define OID_GEN_RCV_OK                   0x00020102U
#define OID_GEN_XMIT_ERROR               0x00020103U
#define OID_GEN_RCV_ERROR                0x00020104U
#define OID_GEN_RCV_NO_BUFFER            0x00020105U
#define OID_GEN_FRIENDLY_NAME            0x00020216U

#define OID_802_3_PERMANENT_ADDRESS    0x01010101U
#define OID_802_3_CURRENT_ADDRESS      0x01010102U
#define OID_802_3_MULTICAST_LIST       0x01010103U
#define OID_802_3_MAXIMUM_LIST_SIZE    0x01010104U
#define OID_802_3_MAC_OPTIONS          0x01010105U
#define OID_802_3_RCV_ERROR_ALIGNMENT  0x01020101U
#define OID_802_3_XMIT_ONE_COLLISION   0x01020102U
#define OID_802_3_XMIT_MORE_COLLISIONS 0x01020103U

#define OID_TCP_OFFLOAD_CURRENT_CONFIG 0xFC01020BU
#define OID_TCP_OFFLOAD_PARAMETERS     0xFC01020CU
#define OID_TCP_OFFLOAD_CAPABILITIES   0xFC01020DU
#define OID_OFFLOAD_ENCAPSULATION      0x0101010AU

/* OID_GEN_CURRENT_PACKET_FILTER */
#define NDIS_FILTER_DIRECTED      0x01U
#define NDIS_FILTER_MULTICAST     0x02U
#define NDIS_FILTER_ALL_MULTICAST 0x04U
#define NDIS_FILTER_BROADCAST     0x08U
#define NDIS_FILTER_PROMISCUOUS   0x20U

#define NDIS_MAC_OPTIONS 0x1BU /* copies lookahead, serialized, no loopback, full duplex */

struct ndis_object {
    uint8_t type;
    uint8_t revision;
    uint16_t size;
};
#define NDIS_OBJECT_DEFAULT          0x80U
#define NDIS_OBJECT_RSS_CAPABILITIES 0x88U
#define NDIS_OBJECT_RSS_PARAMETERS   0x89U
#define NDIS_OBJECT_OFFLOAD          0xA7U

/* Encapsulation of offloads. */
#define NDIS_ENCAPSULATION_8023 0x2U

/* Checksums that one side can make or check. */
#define NDIS_CHECKSUM_IP4_OPTIONS 0x001U
#define NDIS_CHECKSUM_TCP_OPTIONS 0x004U
#define NDIS_CHECKSUM_TCP         0x010U
#define NDIS_CHECKSUM_UDP         0x040U
#define NDIS_CHECKSUM_IP4         0x100U
#define NDIS_CHECKSUM_IP6_HEADERS 0x001U

struct ndis_checksum_side {
    uint32_t encapsulation;
    uint32_t checksums;
};

/** Of OID_TCP_OFFLOAD_CAPABILITIES and _CURRENT_CONFIG. */
struct ndis_offload {
    struct ndis_object header;
    struct ndis_checksum_side ip4_send, ip4_receive, ip6_send, ip6_receive;
    struct {
        uint32_t encapsulation;
        uint32_t size_max;
        uint32_t segments_min;
        uint32_t options;
    } lso_v1;
    uint32_t ipsec_v1[7];
    struct {
        uint32_t ip4_encapsulation;
        uint32_t ip4_size_max;
        uint32_t ip4_segments_min;
        uint32_t ip6_encapsulation;
        uint32_t ip6_size_max;
        uint32_t ip6_segments_min;
        uint32_t ip6_options;
    } lso_v2;
    uint32_t flags;
    /* From NDIS 6.1 on. */
    uint32_t ipsec_v2[8];
    /* From NDIS 6.30 on. */
    uint8_t coalesce_ip4;
    uint8_t coalesce_ip6;
    uint8_t reserved[2];
    uint32_t gre_flags;
    uint32_t gre_header_max;
};
#define NDIS_OFFLOAD_SIZE_6_0 112U
#define NDIS_OFFLOAD_SIZE_6_1 144U
NDIS_LAYOUT(offsetof(struct ndis_offload, ipsec_v2) == NDIS_OFFLOAD_SIZE_6_0);
NDIS_LAYOUT(offsetof(struct ndis_offload, coalesce_ip4) == NDIS_OFFLOAD_SIZE_6_1);
NDIS_LAYOUT(sizeof(struct ndis_offload) == 156);

#define NDIS_LSO_IP6_HEADERS 0x1U
#define NDIS_LSO_TCP_OPTIONS 0x4U

/* ndis_offload_parameters: 0 leaves a thing as it is. */
#define NDIS_CHECKSUM_OFF    1U
#define NDIS_CHECKSUM_TX     2U
#define NDIS_CHECKSUM_RX     3U
#define NDIS_CHECKSUM_TX_RX  4U
#define NDIS_OFFLOAD_DISABLE 1U
#define NDIS_OFFLOAD_ENABLE  2U

struct ndis_offload_parameters {
    struct ndis_object header;
    uint8_t ip4_checksum;
    uint8_t tcp4_checksum;
    uint8_t udp4_checksum;
    uint8_t tcp6_checksum;
    uint8_t udp6_checksum;
    uint8_t lso_v1;
    uint8_t ipsec_v1;
    uint8_t lso_v2_ip4;
    uint8_t lso_v2_ip6;
    uint8_t connection_ip4;
    uint8_t connection_ip6;
    uint8_t reserved1;
    uint32_t flags;
    uint8_t ipsec_v2;
    uint8_t ipsec_v2_ip4;
    /* From NDIS 6.30 on. */
    uint8_t coalesce_ip4;
    uint8_t coalesce_ip6;
    uint8_t encapsulated;
    uint8_t encapsulation_types;
    uint8_t reserved2[2];
};
#define NDIS_OFFLOAD_PARAMETERS_MIN 13U /* as far as lso_v2_ip6 */
NDIS_LAYOUT(offsetof(struct ndis_offload_parameters, connection_ip4) ==
            NDIS_OFFLOAD_PARAMETERS_MIN);
NDIS_LAYOUT(offsetof(struct ndis_offload_parameters, flags) == 16);
NDIS_LAYOUT(offsetof(struct ndis_offload_parameters, coalesce_ip4) == 22);
NDIS_LAYOUT(sizeof(struct ndis_offload_parameters) == 28);

/* Hashes that decide which channel a frame is received on. */
#define NDIS_HASH_TOEPLITZ 0x00000001U
#define NDIS_HASH_IPV4     0x00000100U
#define NDIS_HASH_TCP_IPV4 0x00000200U
#define NDIS_HASH_IPV6     0x00000400U
#define NDIS_HASH_TCP_IPV6 0x00001000U

/* ndis_rss_capabilities.flags */
#define NDIS_RSS_TCP_IPV4 0x00000100U
#define NDIS_RSS_TCP_IPV6 0x00000200U

#define NDIS_RSS_TABLE_MAX 128U
#define NDIS_RSS_KEY_SIZE  40U

struct __attribute__((packed)) ndis_rss_capabilities {
    struct ndis_object header;
    uint32_t flags; /* with the hash function */
    uint32_t interrupts;
    uint32_t queues;
    uint16_t table_entries;
};
NDIS_LAYOUT(sizeof(struct ndis_rss_capabilities) == 18);

/* ndis_rss_parameters.flags */
#define NDIS_RSS_HASH_UNCHANGED  0x0002U
#define NDIS_RSS_TABLE_UNCHANGED 0x0004U
#define NDIS_RSS_KEY_UNCHANGED   0x0008U
#define NDIS_RSS_DISABLE         0x0010U

/** Offsets count from here. Entries of the table are 32 bits wide: numbers of channels. */
struct ndis_rss_parameters {
    struct ndis_object header;
    uint16_t flags;
    uint16_t base_processor;
    uint32_t hash;
    uint16_t table_size; /* bytes */
    uint16_t reserved1;
    uint32_t table_offset;
    uint16_t key_size;
    uint16_t reserved2;
    uint32_t key_offset;
    uint32_t mask_offset;
    uint32_t mask_count;
    uint32_t mask_size;
};
NDIS_LAYOUT(offsetof(struct ndis_rss_parameters, table_offset) == 16);
NDIS_LAYOUT(offsetof(struct ndis_rss_parameters, key_offset) == 24);
NDIS_LAYOUT(sizeof(struct ndis_rss_parameters) == 40);

#endif
