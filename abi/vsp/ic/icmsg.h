/* SPDX-License-Identifier: MIT */
#ifndef ABI_VSP_IC_ICMSG_H
#define ABI_VSP_IC_ICMSG_H

#include <stddef.h>
#include <stdint.h>

/*
 * What integration services have in common: each is a channel in pipe mode, the host asks and the
 * guest answers with the same message, changed. Checked against Linux 6.1 (drivers/hv/hv_util.c,
 * channel_mgmt.c). All numbers are little-endian; nothing is padded.
 */

#ifndef __cplusplus
#define IC_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define IC_LAYOUT(cond) static_assert(cond, #cond)
#endif

/* Classes and instances, as in memory. The instances are those of other hosts: a program in the
 * guest (the file copy daemon of newer kernels) has its device's in its text. */
/** 57164f39-9115-4e78-ab55-382f3bd5422d, fd149e91-82e0-4a7d-afa6-2a4166cbd7c0 */
#define IC_HEARTBEAT_CLASS_BYTES                                                                   \
    {                                                                                              \
        0x39, 0x4F, 0x16, 0x57, 0x15, 0x91, 0x78, 0x4E, 0xAB, 0x55, 0x38, 0x2F, 0x3B, 0xD5, 0x42,  \
            0x2D                                                                                   \
    }
#define IC_HEARTBEAT_INSTANCE_BYTES                                                                \
    {                                                                                              \
        0x91, 0x9E, 0x14, 0xFD, 0xE0, 0x82, 0x7D, 0x4A, 0xAF, 0xA6, 0x2A, 0x41, 0x66, 0xCB, 0xD7,  \
            0xC0                                                                                   \
    }
/** 0e0b6031-5213-4934-818b-38d90ced39db, b6650ff7-33bc-4840-8048-e0676786f393 */
#define IC_SHUTDOWN_CLASS_BYTES                                                                    \
    {                                                                                              \
        0x31, 0x60, 0x0B, 0x0E, 0x13, 0x52, 0x34, 0x49, 0x81, 0x8B, 0x38, 0xD9, 0x0C, 0xED, 0x39,  \
            0xDB                                                                                   \
    }
#define IC_SHUTDOWN_INSTANCE_BYTES                                                                 \
    {                                                                                              \
        0xF7, 0x0F, 0x65, 0xB6, 0xBC, 0x33, 0x40, 0x48, 0x80, 0x48, 0xE0, 0x67, 0x67, 0x86, 0xF3,  \
            0x93                                                                                   \
    }
/** 9527e630-d0ae-497b-adce-e80ab0175caf, 2dd1ce17-079e-403c-b352-a1921ee207ee */
#define IC_TIME_CLASS_BYTES                                                                        \
    {                                                                                              \
        0x30, 0xE6, 0x27, 0x95, 0xAE, 0xD0, 0x7B, 0x49, 0xAD, 0xCE, 0xE8, 0x0A, 0xB0, 0x17, 0x5C,  \
            0xAF                                                                                   \
    }
#define IC_TIME_INSTANCE_BYTES                                                                     \
    {                                                                                              \
        0x17, 0xCE, 0xD1, 0x2D, 0x9E, 0x07, 0x3C, 0x40, 0xB3, 0x52, 0xA1, 0x92, 0x1E, 0xE2, 0x07,  \
            0xEE                                                                                   \
    }
/** a9a0f4e7-5a45-4d96-b827-8a841e8c03e6, 242ff919-07db-4180-9c2e-b86cb68c8c55 */
#define IC_KVP_CLASS_BYTES                                                                         \
    {                                                                                              \
        0xE7, 0xF4, 0xA0, 0xA9, 0x45, 0x5A, 0x96, 0x4D, 0xB8, 0x27, 0x8A, 0x84, 0x1E, 0x8C, 0x03,  \
            0xE6                                                                                   \
    }
#define IC_KVP_INSTANCE_BYTES                                                                      \
    {                                                                                              \
        0x19, 0xF9, 0x2F, 0x24, 0xDB, 0x07, 0x80, 0x41, 0x9C, 0x2E, 0xB8, 0x6C, 0xB6, 0x8C, 0x8C,  \
            0x55                                                                                   \
    }
/** 35fa2e29-ea23-4236-96ae-3a6ebacba440, 5ced1297-4598-4915-a5fc-ad21bb4d02a4 */
#define IC_VSS_CLASS_BYTES                                                                         \
    {                                                                                              \
        0x29, 0x2E, 0xFA, 0x35, 0x23, 0xEA, 0x36, 0x42, 0x96, 0xAE, 0x3A, 0x6E, 0xBA, 0xCB, 0xA4,  \
            0x40                                                                                   \
    }
#define IC_VSS_INSTANCE_BYTES                                                                      \
    {                                                                                              \
        0x97, 0x12, 0xED, 0x5C, 0x98, 0x45, 0x15, 0x49, 0xA5, 0xFC, 0xAD, 0x21, 0xBB, 0x4D, 0x02,  \
            0xA4                                                                                   \
    }
/** 34d14be3-dee4-41c8-9ae7-6b174977c192, eb765408-105f-49b6-b4aa-c123b64d17d4 */
#define IC_COPY_CLASS_BYTES                                                                        \
    {                                                                                              \
        0xE3, 0x4B, 0xD1, 0x34, 0xE4, 0xDE, 0xC8, 0x41, 0x9A, 0xE7, 0x6B, 0x17, 0x49, 0x77, 0xC1,  \
            0x92                                                                                   \
    }
#define IC_COPY_INSTANCE_BYTES                                                                     \
    {                                                                                              \
        0x08, 0x54, 0x76, 0xEB, 0x5F, 0x10, 0xB6, 0x49, 0xB4, 0xAA, 0xC1, 0x23, 0xB6, 0x4D, 0x17,  \
            0xD4                                                                                   \
    }

enum icmsg_type {
    ICMSG_NEGOTIATE = 0,
    ICMSG_HEARTBEAT = 1,
    ICMSG_KVP = 2,
    ICMSG_SHUTDOWN = 3,
    ICMSG_TIME = 4,
    ICMSG_VSS = 5,
    ICMSG_COPY = 7,
};

#define ICMSG_TRANSACTION 1U
#define ICMSG_REQUEST     2U
#define ICMSG_RESPONSE    4U

struct ic_version {
    uint16_t major;
    uint16_t minor;
};
IC_LAYOUT(sizeof(struct ic_version) == 4);

struct icmsg_header {
    struct ic_version framework;
    uint16_t type; /* enum icmsg_type */
    struct ic_version message;
    uint16_t size; /* of what follows */
    uint32_t status;
    uint8_t transaction;
    uint8_t flags;
    uint8_t reserved[2];
} __attribute__((packed));
IC_LAYOUT(sizeof(struct icmsg_header) == 20);
IC_LAYOUT(offsetof(struct icmsg_header, status) == 12);

/** Versions follow: of the framework, then of the message. The answer has one of each; or says that
 * there are none, when the guest knows none of them. */
struct icmsg_negotiate {
    uint16_t framework_count;
    uint16_t message_count;
    uint32_t reserved;
};
IC_LAYOUT(sizeof(struct icmsg_negotiate) == 8);

/* icmsg_header.status of an answer: HRESULT. */
#define IC_S_OK               0x00000000U
#define IC_E_FAIL             0x80004005U
#define IC_E_NO_MORE          0x80070103U
#define IC_E_NOT_SUPPORTED    0x80070032U
#define IC_E_ALREADY_EXISTS   0x80070050U
#define IC_E_INVALID_ARGUMENT 0x80070057U
#define IC_E_DISK_FULL        0x80070070U
#define IC_E_NOT_CONNECTED    0x8007048FU
#define IC_E_NOT_FOUND        0x80041002U

struct ic_heartbeat {
    uint64_t sequence; /* the guest adds one */
    uint32_t reserved[8];
};
IC_LAYOUT(sizeof(struct ic_heartbeat) == 40);

/* ic_shutdown.flags */
#define IC_SHUTDOWN_FORCE   1U
#define IC_SHUTDOWN_RESTART 2U

#define IC_SHUTDOWN_TEXT 2048U

struct ic_shutdown {
    uint32_t reason;
    uint32_t timeout_s;
    uint32_t flags;
    uint8_t text[IC_SHUTDOWN_TEXT]; /* UTF-16, for people at the console */
};
IC_LAYOUT(sizeof(struct ic_shutdown) == 2060);

#define IC_TIME_SYNC   1U /* set the clock */
#define IC_TIME_SAMPLE 2U /* for those who discipline it */

/** Before version 4. Times are in 100 ns since 1601. */
struct ic_time {
    uint64_t host;
    uint64_t guest;
    uint64_t round_trip;
    uint8_t flags;
} __attribute__((packed));
IC_LAYOUT(sizeof(struct ic_time) == 25);

/** From version 4 on: the guest's reference time at that moment comes along. */
struct ic_time_reference {
    uint64_t host;
    uint64_t reference; /* HV_X64_MSR_TIME_REF_COUNT */
    uint8_t flags;
    uint8_t leap;
    uint8_t stratum;
    uint8_t reserved[3];
} __attribute__((packed));
IC_LAYOUT(sizeof(struct ic_time_reference) == 22);

#endif
