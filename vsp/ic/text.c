/* SPDX-License-Identifier: MIT */
#include "vsp/ic/text.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define REPLACEMENT 0xFFFDU

/* One character of UTF-8 (RFC 3629); 0 with nothing taken: that is none. */
static uint32_t utf8_take(const uint8_t **at)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const uint8_t *s = *at;
    unsigned more = s[0] < 0x80 ? 0 : s[0] < 0xC0 ? 4 : s[0] < 0xE0 ? 1 : s[0] < 0xF0 ? 2 : 3;
    uint32_t c;

    if (more == 4 || s[0] > 0xF4)
        return 0;
    c = more ? s[0] & (0x3FU >> more) : s[0];
    for (unsigned i = 1; i <= more; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3FU);
    }
    if (c < least[more] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        return 0;
    *at += more + 1;
    return c;
}

static void unit_put(uint8_t *out, uint32_t unit)
{
    out[0] = (uint8_t)unit;
    out[1] = (uint8_t)(unit >> 8);
}

int ic_text_to_guest(const char *text, uint8_t *out, size_t size)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t used = 0;

    memset(out, 0, size);
    while (*at) {
        uint32_t c = utf8_take(&at);
        size_t need = c >= 0x10000 ? 4 : 2;

        if (c == 0)
            return -EINVAL;
        if (used + need + 2 > size)
            return -E2BIG;
        if (need == 4) {
            unit_put(out + used, 0xD800 + ((c - 0x10000) >> 10));
            unit_put(out + used + 2, 0xDC00 + ((c - 0x10000) & 0x3FF));
        } else {
            unit_put(out + used, c);
        }
        used += need;
    }
    return (int)used + 2;
}

static uint32_t unit_get(const uint8_t *text, size_t i)
{
    return text[2 * i] | (uint32_t)text[2 * i + 1] << 8;
}

/* The character that begins at *i. */
static uint32_t utf16_take(const uint8_t *text, size_t units, size_t *i)
{
    uint32_t c = unit_get(text, (*i)++), low;

    if (c < 0xD800 || c >= 0xE000)
        return c;
    low = *i < units ? unit_get(text, *i) : 0;
    if (c >= 0xDC00 || low < 0xDC00 || low >= 0xE000)
        return REPLACEMENT;
    (*i)++;
    return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
}

static size_t utf8_put(char *out, uint32_t c)
{
    const unsigned more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xC0, 0xE0, 0xF0};

    out[0] = (char)(lead[more] | c >> (6 * more));
    for (unsigned i = 1; i <= more; i++)
        out[i] = (char)(0x80 | ((c >> (6 * (more - i))) & 0x3F));
    return more + 1;
}

void ic_text_from_guest(const uint8_t *text, size_t size, char *out, size_t out_size)
{
    const size_t units = size / 2;
    size_t used = 0;

    for (size_t i = 0; i < units;) {
        uint32_t c = utf16_take(text, units, &i);
        char bytes[4];
        size_t n;

        if (c == 0)
            break;
        n = utf8_put(bytes, c);
        if (used + n + 1 > out_size)
            break;
        memcpy(out + used, bytes, n);
        used += n;
    }
    out[used] = 0;
}
