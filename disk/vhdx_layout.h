/* SPDX-License-Identifier: MIT */
#ifndef DISK_VHDX_LAYOUT_H
#define DISK_VHDX_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

/* What is in a VHDX file (MS-VHDX). All numbers are little-endian. */

#define VHDX_IDENTIFIER   "vhdxfile"
#define VHDX_HEADER1      (64ULL << 10)
#define VHDX_HEADER2      (128ULL << 10)
#define VHDX_REGIONS1     (192ULL << 10)
#define VHDX_REGIONS2     (256ULL << 10)
#define VHDX_SECTION      (1ULL << 20) /* 2.1: what the two structures above lie in */
#define VHDX_HEADER_BYTES 4096U
#define VHDX_TABLE_BYTES  65536U /* of a region table and of the metadata table */
#define VHDX_TABLE_MAX    2047U
#define VHDX_LOG_SECTOR   4096U
#define VHDX_BITMAP_BYTES (1U << 20)
#define VHDX_CHUNK_SHIFT  23 /* 2.4: sectors that a sector bitmap block tells of */
#define VHDX_BLOCK_MIN    (1U << 20)
#define VHDX_BLOCK_MAX    (256U << 20)
#define VHDX_SIZE_MAX     (64ULL << 40)

#define VHDX_HEADER_SIGNATURE   0x64616568U
#define VHDX_REGIONS_SIGNATURE  0x69676572U
#define VHDX_ENTRY_SIGNATURE    0x65676F6CU
#define VHDX_ZERO_SIGNATURE     0x6F72657AU
#define VHDX_DESC_SIGNATURE     0x63736564U
#define VHDX_DATA_SIGNATURE     0x61746164U
#define VHDX_METADATA_SIGNATURE 0x617461646174656DULL

/* 2.2.1 */
struct vhdx_identifier {
    char signature[8];
    uint16_t creator[256];
};
_Static_assert(sizeof(struct vhdx_identifier) == 520, "2.2.1");

/* 2.2.2 */
struct vhdx_header {
    uint32_t signature;
    uint32_t checksum;
    uint64_t sequence;
    uint8_t file_write_guid[16];
    uint8_t data_write_guid[16];
    uint8_t log_guid[16];
    uint16_t log_version;
    uint16_t version;
    uint32_t log_length;
    uint64_t log_offset;
    uint8_t reserved[4016];
};
_Static_assert(sizeof(struct vhdx_header) == VHDX_HEADER_BYTES, "2.2.2");
_Static_assert(offsetof(struct vhdx_header, sequence) == 8, "2.2.2");
_Static_assert(offsetof(struct vhdx_header, log_guid) == 48, "2.2.2");
_Static_assert(offsetof(struct vhdx_header, log_length) == 68, "2.2.2");
_Static_assert(offsetof(struct vhdx_header, log_offset) == 72, "2.2.2");

/* 2.2.3.1 */
struct vhdx_region_header {
    uint32_t signature;
    uint32_t checksum;
    uint32_t count;
    uint32_t reserved;
};
_Static_assert(sizeof(struct vhdx_region_header) == 16, "2.2.3.1");

/* 2.2.3.2 */
struct vhdx_region {
    uint8_t guid[16];
    uint64_t offset;
    uint32_t length;
    uint32_t required;
};
_Static_assert(sizeof(struct vhdx_region) == 32, "2.2.3.2");
_Static_assert(offsetof(struct vhdx_region, length) == 24, "2.2.3.2");

struct vhdx_region_table {
    struct vhdx_region_header header;
    struct vhdx_region region[VHDX_TABLE_MAX];
    uint8_t reserved[16];
};
_Static_assert(sizeof(struct vhdx_region_table) == VHDX_TABLE_BYTES, "2.2.3");

/* 2.3.1.1 */
struct vhdx_log_header {
    uint32_t signature;
    uint32_t checksum;
    uint32_t length;
    uint32_t tail;
    uint64_t sequence;
    uint32_t count;
    uint32_t reserved;
    uint8_t guid[16];
    uint64_t flushed_file_offset;
    uint64_t last_file_offset;
};
_Static_assert(sizeof(struct vhdx_log_header) == 64, "2.3.1.1");
_Static_assert(offsetof(struct vhdx_log_header, count) == 24, "2.3.1.1");
_Static_assert(offsetof(struct vhdx_log_header, flushed_file_offset) == 48, "2.3.1.1");

/* 2.3.1.2 and 2.3.1.3 */
struct vhdx_log_desc {
    uint32_t signature;
    uint32_t trailing; /* of data; 0 of zeros */
    union {
        uint8_t leading[8];   /* of data */
        uint64_t zero_length; /* of zeros */
    };
    uint64_t file_offset;
    uint64_t sequence;
};
_Static_assert(sizeof(struct vhdx_log_desc) == 32, "2.3.1.2");
_Static_assert(offsetof(struct vhdx_log_desc, file_offset) == 16, "2.3.1.2");

#define VHDX_DESC_FIRST  126U /* in the first sector of an entry, behind its header */
#define VHDX_DESC_SECTOR 128U /* in the others */

/* 2.3.1.4 */
struct vhdx_log_data {
    uint32_t signature;
    uint32_t sequence_high;
    uint8_t data[4084];
    uint32_t sequence_low;
};
_Static_assert(sizeof(struct vhdx_log_data) == VHDX_LOG_SECTOR, "2.3.1.4");

/* 2.5.1 */
#define VHDX_STATE_MASK   7ULL
#define VHDX_PLACE_MASK   (~0ULL << 20)
#define VHDX_ENTRY_UNUSED (~(VHDX_STATE_MASK | VHDX_PLACE_MASK))

enum vhdx_state {
    VHDX_NOT_PRESENT = 0,
    VHDX_UNDEFINED = 1,
    VHDX_ZERO = 2,
    VHDX_UNMAPPED = 3,
    VHDX_PRESENT = 6, /* fully; or of a sector bitmap block */
    VHDX_PARTIAL = 7,
};

/* 2.6.1.1 */
struct vhdx_metadata_header {
    uint64_t signature;
    uint16_t reserved;
    uint16_t count;
    uint32_t reserved2[5];
};
_Static_assert(sizeof(struct vhdx_metadata_header) == 32, "2.6.1.1");
_Static_assert(offsetof(struct vhdx_metadata_header, count) == 10, "2.6.1.1");

/* 2.6.1.2 */
struct vhdx_metadata_entry {
    uint8_t item[16];
    uint32_t offset;
    uint32_t length;
    uint32_t flags;
    uint32_t reserved;
};
_Static_assert(sizeof(struct vhdx_metadata_entry) == 32, "2.6.1.2");

struct vhdx_metadata_table {
    struct vhdx_metadata_header header;
    struct vhdx_metadata_entry entry[VHDX_TABLE_MAX];
};
_Static_assert(sizeof(struct vhdx_metadata_table) == VHDX_TABLE_BYTES, "2.6.1");

enum {
    VHDX_ITEM_USER = 1,
    VHDX_ITEM_VIRTUAL_DISK = 2,
    VHDX_ITEM_REQUIRED = 4,
};

/* 2.6.2.1 */
struct vhdx_file_parameters {
    uint32_t block_size;
    uint32_t flags;
};
_Static_assert(sizeof(struct vhdx_file_parameters) == 8, "2.6.2.1");

enum {
    VHDX_LEAVE_ALLOCATED = 1,
    VHDX_HAS_PARENT = 2,
};

/* 2.6.2.6.1 */
struct vhdx_locator_header {
    uint8_t type[16];
    uint16_t reserved;
    uint16_t count;
};
_Static_assert(sizeof(struct vhdx_locator_header) == 20, "2.6.2.6.1");

/* 2.6.2.6.2 */
struct vhdx_locator_entry {
    uint32_t key_offset;
    uint32_t value_offset;
    uint16_t key_length;
    uint16_t value_length;
};
_Static_assert(sizeof(struct vhdx_locator_entry) == 12, "2.6.2.6.2");

/** A GUID in the order of the file, from the five groups in which it is printed. */
#define VHDX_GUID(a, b, c, d, e)                                                                   \
    {                                                                                              \
        (uint8_t)((a)), (uint8_t)((a) >> 8), (uint8_t)((a) >> 16), (uint8_t)((a) >> 24),           \
            (uint8_t)((b)), (uint8_t)((b) >> 8), (uint8_t)((c)), (uint8_t)((c) >> 8),              \
            (uint8_t)((d) >> 8), (uint8_t)(d), (uint8_t)((e) >> 40), (uint8_t)((e) >> 32),         \
            (uint8_t)((e) >> 24), (uint8_t)((e) >> 16), (uint8_t)((e) >> 8), (uint8_t)(e)          \
    }

/* 2.2.3.2 */
#define VHDX_REGION_BAT      VHDX_GUID(0x2DC27766U, 0xF623U, 0x4200U, 0x9D64U, 0x115E9BFD4A08ULL)
#define VHDX_REGION_METADATA VHDX_GUID(0x8B7CA206U, 0x4790U, 0x4B9AU, 0xB8FEU, 0x575F050F886EULL)

/* 2.6.2 */
#define VHDX_ITEM_PARAMETERS VHDX_GUID(0xCAA16737U, 0xFA36U, 0x4D43U, 0xB3B6U, 0x33F0AA44E76BULL)
#define VHDX_ITEM_SIZE       VHDX_GUID(0x2FA54224U, 0xCD1BU, 0x4876U, 0xB211U, 0x5DBED83BF4B8ULL)
#define VHDX_ITEM_DISK_ID    VHDX_GUID(0xBECA12ABU, 0xB2E6U, 0x4523U, 0x93EFU, 0xC309E000C746ULL)
#define VHDX_ITEM_LOGICAL    VHDX_GUID(0x8141BF1DU, 0xA96FU, 0x4709U, 0xBA47U, 0xF233A8FAAB5FULL)
#define VHDX_ITEM_PHYSICAL   VHDX_GUID(0xCDA348C7U, 0x445DU, 0x4471U, 0x9CC9U, 0xE9885251C556ULL)
#define VHDX_ITEM_PARENT     VHDX_GUID(0xA8D35F2DU, 0xB30BU, 0x454DU, 0xABF7U, 0xD3D84834AB0CULL)

/* 2.6.2.6.3 */
#define VHDX_LOCATOR_VHDX VHDX_GUID(0xB04AEFB7U, 0xD19EU, 0x4A81U, 0xB789U, 0x25B8E9445913ULL)

#endif
