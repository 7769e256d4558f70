/* SPDX-License-Identifier: MIT */
#include "disk/vhdx_crc.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0x82F63B78U /* 0x1EDC6F41 with its bits reversed */

/* table[0] is that of one byte; table[k] that of a byte with k bytes of zeros behind it. */
static uint32_t table[8][256];

static void fill(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t c = b;

        for (unsigned k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
        table[0][b] = c;
    }
    for (unsigned k = 1; k < 8; k++)
        for (unsigned b = 0; b < 256; b++)
            table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xFF];
}

uint32_t vhdx_crc(uint32_t crc, const void *data, size_t length)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const uint8_t *p = data;

    (void)pthread_once(&once, fill);
    crc = ~crc;
    for (; length >= 8; length -= 8, p += 8) {
        uint64_t w;

        memcpy(&w, p, sizeof(w));
        w = le64toh(w) ^ crc;
        crc = table[7][w & 0xFF] ^ table[6][w >> 8 & 0xFF] ^ table[5][w >> 16 & 0xFF] ^
              table[4][w >> 24 & 0xFF] ^ table[3][w >> 32 & 0xFF] ^ table[2][w >> 40 & 0xFF] ^
              table[1][w >> 48 & 0xFF] ^ table[0][w >> 56];
    }
    for (; length > 0; length--)
        crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xFF];
    return ~crc;
}

uint32_t vhdx_crc_struct(const void *data, size_t length)
{
    static const uint8_t none[4];
    const uint8_t *p = data;

    return vhdx_crc(vhdx_crc(vhdx_crc(0, p, 4), none, 4), p + 8, length - 8);
}
