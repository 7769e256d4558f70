/* SPDX-License-Identifier: MIT */
#include "hypervisor/debug/framebuffer.h"

#include "hypervisor/debug/font.h"
#include "lib/string.h"

/* A character cell with its gaps, in dots of `scale` pixels. */
#define CELL_WIDTH  (FONT_WIDTH + 1)
#define CELL_HEIGHT (FONT_HEIGHT + 2)
#define MAX_COLS    160
#define MAX_ROWS    100
#define MAX_SCALE   8
/* Dots that a screen should have at least, before they are made larger. */
#define COMFORT_WIDTH  640
#define COMFORT_HEIGHT 400
#define INK_LEVEL      0xaaU /* of 255: light grey, as in VGA text mode */

static struct boot_framebuffer screen;
static uint8_t *pixels; /* NULL: out of reach */
static uint32_t scale, pixel_bytes, ink;
static uint32_t cols, rows, col, row;
static char shown[MAX_ROWS][MAX_COLS]; /* what is drawn, or will be */

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/** The bits of one colour at the ink's level. */
static uint32_t ink_part(unsigned pos, unsigned size)
{
    if (!size || size > 16 || pos + size > 32)
        return 0;
    uint32_t level = size >= 8 ? INK_LEVEL << (size - 8) : INK_LEVEL >> (8 - size);
    return level << pos;
}

uint64_t framebuffer_bytes(const struct boot_framebuffer *fb)
{
    return (uint64_t)fb->pitch * fb->height;
}

bool framebuffer_init(const struct boot_framebuffer *fb, void *base)
{
    uint32_t bytes = (fb->bpp + 7U) / 8U;

    cols = rows = 0;
    if (fb->type != BOOT_FB_RGB || bytes < 2 || bytes > 4 || fb->pitch < fb->width * bytes)
        return false;
    screen = *fb;
    pixel_bytes = bytes;
    ink = ink_part(fb->red_pos, fb->red_size) | ink_part(fb->green_pos, fb->green_size) |
          ink_part(fb->blue_pos, fb->blue_size);
    if (!ink)
        ink = UINT32_MAX;
    scale = smaller(fb->width / COMFORT_WIDTH, fb->height / COMFORT_HEIGHT);
    scale = scale < 1 ? 1 : smaller(scale, MAX_SCALE);
    cols = smaller(fb->width / (CELL_WIDTH * scale), MAX_COLS);
    rows = smaller(fb->height / (CELL_HEIGHT * scale), MAX_ROWS);
    pixels = base;
    framebuffer_clear();
    return cols && rows;
}

static void put_pixel(uint8_t *at, uint32_t color)
{
    if (pixel_bytes == sizeof(color)) {
        __builtin_memcpy(at, &color, sizeof(color)); /* one store: they are slow out there */
        return;
    }
    for (uint32_t i = 0; i < pixel_bytes; i++)
        at[i] = (uint8_t)(color >> (8 * i));
}

/** One row of dots of a character, as `scale` equal lines of pixels. */
static void draw_dots(uint8_t *at, unsigned dots)
{
    for (uint32_t line = 0; line < scale; line++, at += screen.pitch) {
        uint8_t *p = at;

        for (unsigned x = 0; x < CELL_WIDTH; x++)
            for (uint32_t i = 0; i < scale; i++, p += pixel_bytes)
                put_pixel(p, dots >> (CELL_WIDTH - 1 - x) & 1 ? ink : 0);
    }
}

static void draw(uint32_t r, uint32_t c)
{
    char code = shown[r][c];
    const uint8_t *glyph =
        code >= FONT_FIRST && code <= FONT_LAST ? font[code - FONT_FIRST] : font['?' - FONT_FIRST];
    uint64_t line = (uint64_t)screen.pitch * scale;

    if (!pixels)
        return;
    uint8_t *at = pixels + r * CELL_HEIGHT * line + (uint64_t)c * CELL_WIDTH * scale * pixel_bytes;
    for (unsigned y = 0; y < CELL_HEIGHT; y++, at += line)
        draw_dots(at, y < FONT_HEIGHT ? (unsigned)glyph[y] << 1 : 0);
}

static void change(uint32_t r, uint32_t c, char code)
{
    if (shown[r][c] == code)
        return;
    shown[r][c] = code;
    draw(r, c);
}

void framebuffer_clear(void)
{
    memset(shown, ' ', sizeof(shown));
    row = col = 0;
    for (uint32_t y = 0; pixels && cols && y < screen.height; y++)
        memset(pixels + (uint64_t)y * screen.pitch, 0, (uint64_t)screen.width * pixel_bytes);
}

void framebuffer_move(void *base)
{
    bool fresh = !pixels && base;

    pixels = base;
    for (uint32_t r = 0; fresh && r < rows; r++)
        for (uint32_t c = 0; c < cols; c++)
            draw(r, c);
}

static void new_line(void)
{
    col = 0;
    if (++row < rows)
        return;
    row = rows - 1;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c++)
            change(r, c, r < row ? shown[r + 1][c] : ' ');
}

void framebuffer_put(char c)
{
    if (!cols || !rows)
        return;
    if (c == '\n' || col == cols)
        new_line();
    if ((unsigned char)c >= ' ')
        change(row, col++, c);
}
