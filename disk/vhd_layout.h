/* SPDX-License-Identifier: MIT */
#ifndef DISK_VHD_LAYOUT_H
#define DISK_VHD_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

/* Virtual Hard Disk Image Format Specification, version 1.0. All numbers are big-endian. */

#define VHD_SECTOR      512U
#define VHD_COOKIE      "conectix"
#define VHD_HEAD_COOKIE "cxsparse"
#define VHD_VERSION     0x00010000U
#define VHD_FEATURES    0x00000002U /* "reserved", always set */
#define VHD_NOWHERE     UINT64_MAX  /* data_offset of a fixed image and of a header */
#define VHD_UNUSED      UINT32_MAX  /* a block that is not there */
#define VHD_EPOCH       946684800   /* 2000-01-01 00:00 UTC, seconds since 1970 */
#define VHD_SIZE_MAX    (2040ULL << 30)
#define VHD_BLOCK_SIZE  (2U << 20)
#define VHD_LOCATORS    8U
#define VHD_NAME_UNITS  256U
#define VHD_PLATFORM_RU 0x57327275U /* "W2ru": a relative path, UTF-16LE */
#define VHD_PLATFORM_KU 0x57326B75U /* "W2ku": an absolute one */
#define VHD_CYLINDERS   65535U      /* what a geometry can say at most */
#define VHD_HEADS       16U
#define VHD_TRACK       255U

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

/* At the end of every image, and at the start of those that have a header. */
struct vhd_footer {
    char cookie[8];
    uint32_t features;
    uint32_t version;
    uint64_t data_offset; /* of the header */
    uint32_t timestamp;
    char creator[4];
    uint32_t creator_version;
    char creator_os[4];
    uint64_t original_size;
    uint64_t current_size;
    uint16_t cylinders;
    uint8_t heads;
    uint8_t track_sectors;
    uint32_t type;
    uint32_t checksum;
    uint8_t id[16];
    uint8_t saved_state;
    uint8_t reserved[427];
};
_Static_assert(sizeof(struct vhd_footer) == VHD_SECTOR, "");
_Static_assert(offsetof(struct vhd_footer, current_size) == 48, "");
_Static_assert(offsetof(struct vhd_footer, checksum) == 64, "");
_Static_assert(offsetof(struct vhd_footer, id) == 68, "");

struct vhd_locator {
    uint32_t platform;
    uint32_t space;  /* reserved for it: sectors by the text, bytes by most writers */
    uint32_t length; /* bytes */
    uint32_t reserved;
    uint64_t offset;
};
_Static_assert(sizeof(struct vhd_locator) == 24, "");

struct vhd_header {
    char cookie[8];
    uint64_t data_offset;
    uint64_t table_offset;
    uint32_t version;
    uint32_t entries;
    uint32_t block_size;
    uint32_t checksum;
    uint8_t parent_id[16];
    uint32_t parent_timestamp;
    uint32_t reserved;
    uint16_t parent_name[VHD_NAME_UNITS]; /* UTF-16BE */
    struct vhd_locator locator[VHD_LOCATORS];
    uint8_t reserved2[256];
};
_Static_assert(sizeof(struct vhd_header) == 1024, "");
_Static_assert(offsetof(struct vhd_header, checksum) == 36, "");
_Static_assert(offsetof(struct vhd_header, parent_name) == 64, "");
_Static_assert(offsetof(struct vhd_header, locator) == 576, "");

#endif
