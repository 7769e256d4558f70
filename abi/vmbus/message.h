/* SPDX-License-Identifier: MIT */
#ifndef ABI_VMBUS_MESSAGE_H
#define ABI_VMBUS_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Channel messages of VMBus: what a guest posts with HvPostMessage and what it finds in a message
 * slot. All have message type 1 and at most 240 bytes. Names are those of Linux' headers.
 */

#ifndef __cplusplus
#define VMBUS_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define VMBUS_LAYOUT(cond) static_assert(cond, #cond)
#endif

#define VMBUS_MESSAGE_MAX  240U
#define VMBUS_MESSAGE_TYPE 1U /* HV_MESSAGE_TYPE of all of them */
#define VMBUS_MESSAGE_SINT 2U
#define VMBUS_EVENT_FLAGS  2048U /* of one SINT: bounds channel ids */
#define VMBUS_USER_DEFINED 120U

/* Connections that a guest posts to: the first always, the other from 5.0 on. */
#define VMBUS_CONNECTION_MESSAGES   1U
#define VMBUS_CONNECTION_MESSAGES_4 4U
/* Connections of a guest's signals: this one plus the id of the channel (SINT 2 in bits 15:12). */
#define VMBUS_CONNECTION_SIGNALS 0x2000U
#define VMBUS_CONNECTION_MAX     0xFFFFFFU

#define VMBUS_VERSION(major, minor) (((uint32_t)(major) << 16) | (uint32_t)(minor))
#define VMBUS_VERSION_3_0           VMBUS_VERSION(3, 0)
#define VMBUS_VERSION_4_0           VMBUS_VERSION(4, 0)
#define VMBUS_VERSION_4_1           VMBUS_VERSION(4, 1)
#define VMBUS_VERSION_5_0           VMBUS_VERSION(5, 0)
#define VMBUS_VERSION_5_1           VMBUS_VERSION(5, 1)
#define VMBUS_VERSION_5_2           VMBUS_VERSION(5, 2)
#define VMBUS_VERSION_5_3           VMBUS_VERSION(5, 3)
#define VMBUS_VERSION_6_0           VMBUS_VERSION(6, 0)

/* Features, asked for and answered from 6.0 on. */
#define VMBUS_FEATURE_GUEST_SIGNALS        0x01U /* OPENCHANNEL names flag and connection */
#define VMBUS_FEATURE_INTERRUPT_REDIRECT   0x02U
#define VMBUS_FEATURE_MODIFY_CONNECTION    0x04U
#define VMBUS_FEATURE_CLIENT_ID            0x08U
#define VMBUS_FEATURE_CONFIDENTIAL         0x10U
#define VMBUS_FEATURE_PAUSE_RESUME         0x20U
#define VMBUS_FEATURE_SERVER_MONITOR_PAGES 0x40U
#define VMBUS_FEATURE_GPA_PINNING          0x80U

/* Flags of an offer. */
#define VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE     0x0001U
#define VMBUS_OFFER_CONFIDENTIAL_RING              0x0002U
#define VMBUS_OFFER_CONFIDENTIAL_EXTERNAL_MEMORY   0x0004U
#define VMBUS_OFFER_PINNED_EXTERNAL_MEMORY         0x0008U
#define VMBUS_OFFER_NAMED_PIPE_MODE                0x0010U
#define VMBUS_OFFER_LOOPBACK                       0x0100U
#define VMBUS_OFFER_PARENT                         0x0200U
#define VMBUS_OFFER_REQUEST_MONITORED_NOTIFICATION 0x0400U
#define VMBUS_OFFER_TLNPI_PROVIDER                 0x2000U

/* First word of the user-defined bytes of an offer in named pipe mode. */
#define VMBUS_PIPE_TYPE_BYTE    0U
#define VMBUS_PIPE_TYPE_MESSAGE 4U

enum vmbus_message_type {
    VMBUS_MSG_OFFERCHANNEL = 1,
    VMBUS_MSG_RESCIND = 2,
    VMBUS_MSG_REQUESTOFFERS = 3,
    VMBUS_MSG_ALLOFFERS_DELIVERED = 4,
    VMBUS_MSG_OPENCHANNEL = 5,
    VMBUS_MSG_OPENCHANNEL_RESULT = 6,
    VMBUS_MSG_CLOSECHANNEL = 7,
    VMBUS_MSG_GPADL_HEADER = 8,
    VMBUS_MSG_GPADL_BODY = 9,
    VMBUS_MSG_GPADL_CREATED = 10,
    VMBUS_MSG_GPADL_TEARDOWN = 11,
    VMBUS_MSG_GPADL_TORNDOWN = 12,
    VMBUS_MSG_RELID_RELEASED = 13,
    VMBUS_MSG_INITIATE_CONTACT = 14,
    VMBUS_MSG_VERSION_RESPONSE = 15,
    VMBUS_MSG_UNLOAD = 16,
    VMBUS_MSG_UNLOAD_RESPONSE = 17,
    VMBUS_MSG_OPEN_RESERVED = 18,
    VMBUS_MSG_CLOSE_RESERVED = 19,
    VMBUS_MSG_CLOSE_RESERVED_RESPONSE = 20,
    VMBUS_MSG_TL_CONNECT_REQUEST = 21,
    VMBUS_MSG_MODIFYCHANNEL = 22,
    VMBUS_MSG_TL_CONNECT_RESULT = 23,
    VMBUS_MSG_MODIFYCHANNEL_RESPONSE = 24,
    VMBUS_MSG_MODIFY_CONNECTION = 25,
    VMBUS_MSG_MODIFY_CONNECTION_RESPONSE = 26,
    VMBUS_MSG_PAUSE = 27,
    VMBUS_MSG_PAUSE_RESPONSE = 28,
    VMBUS_MSG_RESUME = 29,
    VMBUS_MSG_COUNT = 30,
};

/* NTSTATUS values in answers. */
#define VMBUS_STATUS_SUCCESS                0x00000000U
#define VMBUS_STATUS_UNSUCCESSFUL           0xC0000001U
#define VMBUS_STATUS_INVALID_PARAMETER      0xC000000DU
#define VMBUS_STATUS_INSUFFICIENT_RESOURCES 0xC000009AU
#define VMBUS_STATUS_CONNECTION_REFUSED     0xC0000236U

/* vmbus_msg_version_response.connection_state, _modify_connection_response.connection_state */
#define VMBUS_CONNECTION_SUCCESSFUL           0U
#define VMBUS_CONNECTION_FAILED_LOW_RESOURCES 1U
#define VMBUS_CONNECTION_FAILED_UNKNOWN       2U

#define VMBUS_VP_NO_INTERRUPT 0xFFFFFFFFU /* target_vp: never interrupt for this channel */

struct vmbus_msg_header {
    uint32_t type; /* enum vmbus_message_type */
    uint32_t reserved;
};

struct vmbus_msg_offerchannel {
    struct vmbus_msg_header header;
    uint8_t type[16];
    uint8_t instance[16];
    uint32_t reserved1[4];
    uint16_t flags; /* VMBUS_OFFER_* */
    uint16_t mmio_mb;
    uint8_t user_defined[VMBUS_USER_DEFINED];
    uint16_t sub_channel_index; /* 0: the primary channel */
    uint16_t reserved2;
    uint32_t relid;
    uint8_t monitor_id;
    uint8_t monitor_allocated; /* bit 0 */
    uint16_t dedicated;        /* bit 0: the guest signals connection_id, no bit in a page */
    uint32_t connection_id;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_offerchannel) == 196);
VMBUS_LAYOUT(offsetof(struct vmbus_msg_offerchannel, flags) == 56);
VMBUS_LAYOUT(offsetof(struct vmbus_msg_offerchannel, sub_channel_index) == 180);
VMBUS_LAYOUT(offsetof(struct vmbus_msg_offerchannel, connection_id) == 192);

/* RESCIND, CLOSECHANNEL, RELID_RELEASED, CLOSE_RESERVED_RESPONSE */
struct vmbus_msg_relid {
    struct vmbus_msg_header header;
    uint32_t relid;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_relid) == 12);

struct vmbus_msg_openchannel {
    struct vmbus_msg_header header;
    uint32_t relid;
    uint32_t open_id;
    uint32_t ring_gpadl;
    uint32_t target_vp;
    uint32_t downstream_offset; /* pages: where the ring from host to guest begins */
    uint8_t user_data[VMBUS_USER_DEFINED];
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_openchannel) == 148);

/* With VMBUS_FEATURE_GUEST_SIGNALS or _INTERRUPT_REDIRECT. */
struct vmbus_msg_openchannel2 {
    struct vmbus_msg_openchannel open;
    uint32_t connection_id;
    uint16_t event_flag;
    uint16_t flags;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_openchannel2) == 156);

struct vmbus_msg_openchannel_result {
    struct vmbus_msg_header header;
    uint32_t relid;
    uint32_t open_id;
    uint32_t status;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_openchannel_result) == 20);

struct vmbus_msg_gpadl_header {
    struct vmbus_msg_header header;
    uint32_t relid;
    uint32_t gpadl;
    uint16_t range_bytes; /* of all ranges, in this message and the bodies that follow */
    uint16_t range_count;
    /* struct vmbus_gpa_range (abi/vmbus/packet.h) follows, 4 bytes off its natural place */
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_gpadl_header) == 20);

struct vmbus_msg_gpadl_body {
    struct vmbus_msg_header header;
    uint32_t number; /* of the message; nobody counts */
    uint32_t gpadl;
    /* page numbers of 8 bytes follow */
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_gpadl_body) == 16);

struct vmbus_msg_gpadl_created {
    struct vmbus_msg_header header;
    uint32_t relid;
    uint32_t gpadl;
    uint32_t status;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_gpadl_created) == 20);

struct vmbus_msg_gpadl_teardown {
    struct vmbus_msg_header header;
    uint32_t relid;
    uint32_t gpadl;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_gpadl_teardown) == 16);

struct vmbus_msg_gpadl_torndown {
    struct vmbus_msg_header header;
    uint32_t gpadl;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_gpadl_torndown) == 12);

struct vmbus_msg_initiate_contact {
    struct vmbus_msg_header header;
    uint32_t version;
    uint32_t target_vp; /* that messages go to */
    /* Before 5.0 these eight bytes are the address of an interrupt page, which is not used. */
    uint8_t target_sint; /* 5.0 */
    uint8_t target_vtl;  /* 5.1 */
    uint16_t reserved;
    uint32_t features; /* 6.0 */
    uint64_t monitor_page1;
    uint64_t monitor_page2;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_initiate_contact) == 40);

/* With VMBUS_FEATURE_CLIENT_ID. */
struct vmbus_msg_initiate_contact2 {
    struct vmbus_msg_initiate_contact contact;
    uint8_t client_id[16];
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_initiate_contact2) == 56);

struct vmbus_msg_version_response {
    struct vmbus_msg_header header;
    uint8_t version_supported;
    uint8_t connection_state;
    uint16_t reserved;
    uint32_t connection_id; /* 5.0: to post to from now on; before: the version */
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_version_response) == 16);

/* 6.0, if the version is supported. */
struct vmbus_msg_version_response2 {
    struct vmbus_msg_version_response response;
    uint32_t features;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_version_response2) == 20);

/* 6.0 with VMBUS_FEATURE_SERVER_MONITOR_PAGES. */
struct vmbus_msg_version_response3 {
    struct vmbus_msg_version_response2 response;
    uint32_t reserved;
    uint64_t parent_to_child_page;
    uint64_t child_to_parent_page;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_version_response3) == 40);

struct vmbus_msg_open_reserved {
    struct vmbus_msg_header header;
    uint32_t relid;
    uint32_t target_vp;
    uint32_t target_sint;
    uint32_t ring_gpadl;
    uint32_t downstream_offset;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_open_reserved) == 28);

struct vmbus_msg_close_reserved {
    struct vmbus_msg_header header;
    uint32_t relid;
    uint32_t target_vp;
    uint32_t target_sint;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_close_reserved) == 20);

/* 4.0: connect() of a socket to a service of the host. */
struct vmbus_msg_tl_connect_request {
    struct vmbus_msg_header header;
    uint8_t endpoint[16];
    uint8_t service[16];
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_tl_connect_request) == 40);

/* 5.2; some guests still send the shorter one. */
struct vmbus_msg_tl_connect_request2 {
    struct vmbus_msg_tl_connect_request request;
    uint8_t silo[16];
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_tl_connect_request2) == 56);

/* 4.1 */
struct vmbus_msg_tl_connect_result {
    struct vmbus_msg_header header;
    uint8_t endpoint[16];
    uint8_t service[16];
    uint32_t status;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_tl_connect_result) == 44);

/* 4.1 */
struct vmbus_msg_modifychannel {
    struct vmbus_msg_header header;
    uint32_t relid;
    uint32_t target_vp;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_modifychannel) == 16);

/* 5.3 */
struct vmbus_msg_modifychannel_response {
    struct vmbus_msg_header header;
    uint32_t relid;
    uint32_t status;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_modifychannel_response) == 16);

/* 6.0 with VMBUS_FEATURE_MODIFY_CONNECTION; both pages or none */
struct vmbus_msg_modify_connection {
    struct vmbus_msg_header header;
    uint64_t parent_to_child_page;
    uint64_t child_to_parent_page;
};
VMBUS_LAYOUT(sizeof(struct vmbus_msg_modify_connection) == 24);

struct vmbus_msg_modify_connection_response {
    struct vmbus_msg_header header;
    uint8_t connection_state;
};
/* On the wire it ends with connection_state: 9 bytes. */
#define VMBUS_MODIFY_CONNECTION_RESPONSE_SIZE 9U
VMBUS_LAYOUT(sizeof(struct vmbus_msg_modify_connection_response) >=
             VMBUS_MODIFY_CONNECTION_RESPONSE_SIZE);

#endif
