/* SPDX-License-Identifier: MIT */
#ifndef ABI_VSP_STORAGE_VSTOR_H
#define ABI_VSP_STORAGE_VSTOR_H

#include <stddef.h>
#include <stdint.h>

/*
 * The protocol between a guest's storvsc and the storage VSP: packets on the channels of a
 * synthetic SCSI controller. Checked against Linux 6.1 and 7.3 (drivers/scsi/storvsc_drv.c) and
 * mu_msvm (VstorageProtocol.h). All numbers are little-endian.
 */

#ifndef __cplusplus
#define VSTOR_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define VSTOR_LAYOUT(cond) static_assert(cond, #cond)
#endif

/** ba6163d9-04a1-4d29-b605-72e2ffb1dc7f, the class of synthetic SCSI controllers, as in memory. */
#define VSTOR_CLASS_GUID_BYTES                                                                     \
    {                                                                                              \
        0xD9, 0x63, 0x61, 0xBA, 0xA1, 0x04, 0x29, 0x4D, 0xB6, 0x05, 0x72, 0xE2, 0xFF, 0xB1, 0xDC,  \
            0x7F                                                                                   \
    }

/* Versions: major in the high byte. */
#define VSTOR_VERSION_2_0 0x0200U /* Windows Server 2008 */
#define VSTOR_VERSION_4_2 0x0402U /* 7, 2008 R2 */
#define VSTOR_VERSION_5_1 0x0501U /* 8, 2012: the longer request, sub-channels */
#define VSTOR_VERSION_6_0 0x0600U /* 8.1, 2012 R2 */
#define VSTOR_VERSION_6_2 0x0602U /* 10, 2016 */

enum vstor_operation {
    VSTOR_COMPLETE_IO = 1, /* the answer to all others */
    VSTOR_REMOVE_DEVICE = 2,
    VSTOR_EXECUTE_SRB = 3,
    VSTOR_RESET_LUN = 4,
    VSTOR_RESET_ADAPTER = 5,
    VSTOR_RESET_BUS = 6,
    VSTOR_BEGIN_INITIALIZATION = 7,
    VSTOR_END_INITIALIZATION = 8,
    VSTOR_QUERY_PROTOCOL_VERSION = 9,
    VSTOR_QUERY_PROPERTIES = 10,
    VSTOR_ENUMERATE_BUS = 11, /* to the guest: look again */
    VSTOR_FCHBA_DATA = 12,
    VSTOR_CREATE_SUB_CHANNELS = 13,
    VSTOR_EVENT_NOTIFICATION = 14,
};

/* vstor_packet.flags */
#define VSTOR_FLAG_COMPLETION 0x1U

/* vstor_packet.status: NTSTATUS */
#define VSTOR_STATUS_SUCCESS                0x00000000U
#define VSTOR_STATUS_UNSUCCESSFUL           0xC0000001U
#define VSTOR_STATUS_INVALID_PARAMETER      0xC000000DU
#define VSTOR_STATUS_INVALID_DEVICE_REQUEST 0xC0000010U
#define VSTOR_STATUS_REVISION_MISMATCH      0xC0000059U
#define VSTOR_STATUS_INSUFFICIENT_RESOURCES 0xC000009AU
#define VSTOR_STATUS_INVALID_DEVICE_STATE   0xC0000184U

#define VSTOR_CDB_MAX       16U
#define VSTOR_SENSE_MAX     20U /* from 5.1 on */
#define VSTOR_SENSE_MAX_OLD 18U

/* vstor_request.data_in */
#define VSTOR_DATA_OUT 0U
#define VSTOR_DATA_IN  1U
#define VSTOR_DATA_ANY 2U /* not said; Linux, for commands without data */

/** A SCSI request, and its result. */
struct vstor_request {
    uint16_t length; /* of this structure */
    uint8_t srb_status;
    uint8_t scsi_status;
    uint8_t port;
    uint8_t path;
    uint8_t target;
    uint8_t lun;
    uint8_t cdb_length;
    uint8_t sense_length; /* in: room for it; out: bytes of it */
    uint8_t data_in;
    uint8_t properties;
    uint32_t data_length;         /* in: of the buffer; out: bytes moved */
    uint8_t cdb[VSTOR_SENSE_MAX]; /* in: the CDB; out: sense data */
    /* From 5.1 on. */
    uint16_t reserved;
    uint8_t queue_tag;
    uint8_t queue_action;
    uint32_t srb_flags;
    uint32_t timeout_s;
    uint32_t queue_sort_key;
};
#define VSTOR_REQUEST_SIZE_OLD 0x24U
VSTOR_LAYOUT(sizeof(struct vstor_request) == 0x34);
VSTOR_LAYOUT(offsetof(struct vstor_request, srb_status) == 2);
VSTOR_LAYOUT(offsetof(struct vstor_request, lun) == 7);
VSTOR_LAYOUT(offsetof(struct vstor_request, data_in) == 10);
VSTOR_LAYOUT(offsetof(struct vstor_request, data_length) == 12);
VSTOR_LAYOUT(offsetof(struct vstor_request, cdb) == 16);
VSTOR_LAYOUT(offsetof(struct vstor_request, reserved) == VSTOR_REQUEST_SIZE_OLD);
VSTOR_LAYOUT(offsetof(struct vstor_request, srb_flags) == 40);

/* vstor_properties.flags */
#define VSTOR_PROPERTY_MULTI_CHANNEL 0x1U

/** The answer to VSTOR_QUERY_PROPERTIES. */
struct vstor_properties {
    uint32_t reserved1;
    uint16_t sub_channel_max;
    uint16_t reserved2;
    uint32_t flags;
    uint32_t transfer_max; /* bytes */
    uint64_t reserved3;
};
VSTOR_LAYOUT(sizeof(struct vstor_properties) == 24);
VSTOR_LAYOUT(offsetof(struct vstor_properties, sub_channel_max) == 4);
VSTOR_LAYOUT(offsetof(struct vstor_properties, transfer_max) == 12);

struct vstor_version {
    uint16_t major_minor;
    uint16_t build; /* means nothing */
};
VSTOR_LAYOUT(sizeof(struct vstor_version) == 4);

#define VSTOR_PAYLOAD_SIZE 0x34U

struct vstor_header {
    uint32_t operation;
    uint32_t flags;
    uint32_t status;
};

/** A packet: the header, and of the payload what its operation needs. */
struct vstor_packet {
    struct vstor_header header;
    uint8_t payload[VSTOR_PAYLOAD_SIZE];
};
#define VSTOR_PACKET_SIZE     0x40U
#define VSTOR_PACKET_SIZE_OLD 0x30U /* before 5.1, and before a version is agreed on */
VSTOR_LAYOUT(sizeof(struct vstor_packet) == VSTOR_PACKET_SIZE);
VSTOR_LAYOUT(offsetof(struct vstor_packet, payload) == 12);
VSTOR_LAYOUT(offsetof(struct vstor_packet, payload) + VSTOR_REQUEST_SIZE_OLD ==
             VSTOR_PACKET_SIZE_OLD);

#endif
