/* SPDX-License-Identifier: MIT */
#ifndef DISK_VHDX_CRC_H
#define DISK_VHDX_CRC_H

#include <stddef.h>
#include <stdint.h>

/** CRC-32C (Castagnoli) of more bytes behind those that `crc` is of; 0 is that of none. */
uint32_t vhdx_crc(uint32_t crc, const void *data, size_t length);

/** The same of a structure whose checksum, the second word, counts as zero. */
uint32_t vhdx_crc_struct(const void *data, size_t length);

#endif
