/* SPDX-License-Identifier: MIT */
#include "vmwp/aml.h"

#include <string.h>

#define OP_NAME    0x08U
#define OP_BYTE    0x0AU
#define OP_DWORD   0x0CU
#define OP_STRING  0x0DU
#define OP_SCOPE   0x10U
#define OP_BUFFER  0x11U
#define OP_PACKAGE 0x12U
#define OP_EXT     0x5BU
#define EXT_DEVICE 0x82U

#define LENGTH_BYTES 2U /* always the form for 64 to 4095 bytes; shorter lengths may use it too */

void aml_byte(struct aml *a, uint8_t b)
{
    if (a->len < a->size)
        a->buf[a->len] = b;
    a->len++;
}

void aml_bytes(struct aml *a, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < n; i++)
        aml_byte(a, p[i]);
}

static void string(struct aml *a, const char *s)
{
    aml_bytes(a, s, strlen(s));
}

static size_t length_open(struct aml *a)
{
    size_t begin = a->len;

    aml_byte(a, 0);
    aml_byte(a, 0);
    return begin;
}

void aml_end(struct aml *a, size_t begin)
{
    size_t len = a->len - begin;

    if (begin + LENGTH_BYTES > a->size)
        return;
    a->buf[begin] = (uint8_t)(0x40U | (len & 0x0F));
    a->buf[begin + 1] = (uint8_t)(len >> 4);
}

size_t aml_scope(struct aml *a, const char *path)
{
    aml_byte(a, OP_SCOPE);
    size_t begin = length_open(a);

    string(a, path);
    return begin;
}

size_t aml_device(struct aml *a, const char *name)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, EXT_DEVICE);
    size_t begin = length_open(a);

    string(a, name);
    return begin;
}

void aml_name_number(struct aml *a, const char *name, uint8_t v)
{
    aml_byte(a, OP_NAME);
    string(a, name);
    aml_byte(a, OP_BYTE);
    aml_byte(a, v);
}

static uint8_t hex(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits and four hexadecimal digits, the highest byte first. */
void aml_hid(struct aml *a, const char *id)
{
    unsigned letters =
        (unsigned)(id[0] - '@') << 10 | (unsigned)(id[1] - '@') << 5 | (unsigned)(id[2] - '@');

    aml_byte(a, OP_NAME);
    string(a, "_HID");
    aml_byte(a, OP_DWORD);
    aml_byte(a, (uint8_t)(letters >> 8));
    aml_byte(a, (uint8_t)letters);
    aml_byte(a, (uint8_t)(hex(id[3]) << 4 | hex(id[4])));
    aml_byte(a, (uint8_t)(hex(id[5]) << 4 | hex(id[6])));
}

void aml_name_string(struct aml *a, const char *name, const char *value)
{
    aml_byte(a, OP_NAME);
    string(a, name);
    aml_byte(a, OP_STRING);
    aml_bytes(a, value, strlen(value) + 1);
}

static void resources(struct aml *a, const uint8_t *template, uint8_t size)
{
    size_t begin;

    aml_byte(a, OP_NAME);
    string(a, "_CRS");
    aml_byte(a, OP_BUFFER);
    begin = length_open(a);
    aml_byte(a, OP_BYTE);
    aml_byte(a, size);
    aml_bytes(a, template, size);
    aml_end(a, begin);
}

static void dword(uint8_t *at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> 8 * i);
}

void aml_resources_memory(struct aml *a, uint32_t first, uint32_t last)
{
    uint8_t template[] = {
        0x87,        0x17,
        0, /* DWord address space, 23 bytes follow */
        0,           0x0D,
        0x01,           /* memory; consumer, positive, minimum and maximum fixed; writable */
        [26] = 0x79, 0, /* end */
    };

    _Static_assert(sizeof(template) == 28, "3 + 23 bytes, and the end");
    dword(template + 6, 0); /* granularity */
    dword(template + 10, first);
    dword(template + 14, last);
    dword(template + 18, 0); /* translation */
    dword(template + 22, last - first + 1);
    resources(a, template, sizeof(template));
}

void aml_resources(struct aml *a, uint16_t first, uint8_t count, uint8_t irq)
{
    const uint8_t low = (uint8_t)first, high = (uint8_t)(first >> 8);
    const uint8_t template[] = {
        0x47,
        1,
        low,
        high,
        low,
        high,
        1,
        count, /* ports, 16 bits decoded */
        0x22,
        (uint8_t)(1U << irq),
        (uint8_t)(1U << irq >> 8), /* interrupt: edge, high */
        0x79,
        0, /* end */
    };

    resources(a, template, sizeof(template));
}

void aml_package4(struct aml *a, const char *path, const uint8_t v[4])
{
    size_t begin;

    aml_byte(a, OP_NAME);
    string(a, path);
    aml_byte(a, OP_PACKAGE);
    begin = length_open(a);
    aml_byte(a, 4);
    for (unsigned i = 0; i < 4; i++) {
        aml_byte(a, OP_BYTE);
        aml_byte(a, v[i]);
    }
    aml_end(a, begin);
}
