/* SPDX-License-Identifier: MIT */
#include "disk/vhdx_text.h"

#include <errno.h>

#define SURROGATES     0xD800U
#define SURROGATES_LOW 0xDC00U
#define SURROGATES_END 0xE000U
#define PLANES         0x10000U /* characters from here on are two units */

static uint32_t unit_at(const uint8_t *raw, size_t k)
{
    return (uint32_t)raw[2 * k] | (uint32_t)raw[2 * k + 1] << 8;
}

/* The character at a unit; *k: the next one. 0: it is none. */
static uint32_t utf16_next(const uint8_t *raw, size_t units, size_t *k)
{
    uint32_t c = unit_at(raw, (*k)++), low;

    if (c < SURROGATES || c >= SURROGATES_END)
        return c;
    if (c >= SURROGATES_LOW || *k == units)
        return 0;
    low = unit_at(raw, (*k)++);
    if (low < SURROGATES_LOW || low >= SURROGATES_END)
        return 0;
    return PLANES + ((c - SURROGATES) << 10) + (low - SURROGATES_LOW);
}

static unsigned utf8_put(char out[4], uint32_t c)
{
    unsigned n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < PLANES ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};

    for (unsigned k = n - 1; k > 0; k--, c >>= 6)
        out[k] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(lead[n] | c);
    return n;
}

bool vhdx_text_get(char *out, size_t size, const uint8_t *raw, size_t bytes)
{
    size_t n = 0, units = bytes / 2;

    if (bytes % 2 || bytes == 0)
        return false;
    for (size_t k = 0; k < units;) {
        uint32_t c = utf16_next(raw, units, &k);

        if (c == 0 || n + 5 > size)
            return false;
        n += utf8_put(out + n, c);
    }
    out[n] = 0;
    return true;
}

/* The next character; UINT32_MAX: it is none. */
static uint32_t utf8_next(const char **text)
{
    const uint8_t *p = (const uint8_t *)*text;
    unsigned more = p[0] < 0xC0 ? 0 : p[0] < 0xE0 ? 1 : p[0] < 0xF0 ? 2 : 3;
    static const uint32_t mask[] = {0x7F, 0x1F, 0x0F, 0x07}, least[] = {0, 0x80, 0x800, PLANES};
    uint32_t c = p[0] & mask[more];

    if (p[0] >= 0xF8 || (p[0] >= 0x80 && p[0] < 0xC0))
        return UINT32_MAX;
    for (unsigned k = 1; k <= more; k++) {
        if ((p[k] & 0xC0) != 0x80)
            return UINT32_MAX;
        c = c << 6 | (p[k] & 0x3F);
    }
    if (c < least[more] || c > 0x10FFFF || (c >= SURROGATES && c < SURROGATES_END))
        return UINT32_MAX;
    *text += more + 1;
    return c;
}

static void unit_put(uint8_t *out, uint32_t unit)
{
    out[0] = (uint8_t)unit;
    out[1] = (uint8_t)(unit >> 8);
}

ssize_t vhdx_text_put(uint8_t *out, size_t size, const char *text)
{
    size_t n = 0;

    while (*text) {
        uint32_t c = utf8_next(&text);

        if (c == UINT32_MAX)
            return -EINVAL;
        if (n + 4 > size)
            return -ENAMETOOLONG;
        if (c >= PLANES) {
            unit_put(out + n, SURROGATES + ((c - PLANES) >> 10));
            n += 2;
            c = SURROGATES_LOW + ((c - PLANES) & 0x3FF);
        }
        unit_put(out + n, c);
        n += 2;
    }
    return (ssize_t)n;
}
