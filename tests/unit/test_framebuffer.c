/* SPDX-License-Identifier: MIT */
/* hypervisor/debug/framebuffer.c: what is drawn where, at every depth, and never outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hypervisor/debug/font.h"
#include "hypervisor/debug/framebuffer.h"
#include "lib/string.h"

/* The heap's guards (ASan) find every byte that is written outside. */
static uint8_t *make(struct boot_framebuffer *fb, uint32_t width, uint32_t height, uint8_t bpp)
{
    *fb = (struct boot_framebuffer){.type = BOOT_FB_RGB,
                                    .pitch = width * ((bpp + 7U) / 8U) + 12,
                                    .width = width,
                                    .height = height,
                                    .bpp = bpp,
                                    .red_pos = bpp == 16 ? 11 : 16,
                                    .red_size = bpp == 16 ? 5 : 8,
                                    .green_pos = bpp == 16 ? 5 : 8,
                                    .green_size = bpp == 16 ? 6 : 8,
                                    .blue_pos = 0,
                                    .blue_size = bpp == 16 ? 5 : 8};
    uint8_t *pixels = malloc(framebuffer_bytes(fb));

    assert_non_null(pixels);
    memset(pixels, 0xee, framebuffer_bytes(fb));
    return pixels;
}

static uint32_t pixel(const struct boot_framebuffer *fb, const uint8_t *pixels, uint32_t x,
                      uint32_t y)
{
    uint32_t bytes = (fb->bpp + 7U) / 8U, v = 0;

    memcpy(&v, pixels + (size_t)y * fb->pitch + (size_t)x * bytes, bytes);
    return v;
}

/** Whether the glyph of `c` stands in the cell at column `col` of line `row`, at this scale. */
static bool shows(const struct boot_framebuffer *fb, const uint8_t *pixels, unsigned scale,
                  unsigned row, unsigned col, char c)
{
    for (unsigned y = 0; y < (FONT_HEIGHT + 2) * scale; y++) {
        for (unsigned x = 0; x < (FONT_WIDTH + 1) * scale; x++) {
            unsigned dx = x / scale, dy = y / scale;
            bool dot = dx < FONT_WIDTH && dy < FONT_HEIGHT &&
                       font[c - FONT_FIRST][dy] >> (FONT_WIDTH - 1 - dx) & 1;
            uint32_t v = pixel(fb, pixels, col * (FONT_WIDTH + 1) * scale + x,
                               row * (FONT_HEIGHT + 2) * scale + y);

            if ((v != 0) != dot)
                return false;
        }
    }
    return true;
}

static void put_text(const char *s)
{
    for (; *s; s++)
        framebuffer_put(*s);
}

static void check_depth(uint32_t width, uint32_t height, uint8_t bpp, unsigned scale)
{
    struct boot_framebuffer fb;
    uint8_t *pixels = make(&fb, width, height, bpp);

    assert_true(framebuffer_init(&fb, pixels));
    put_text("A~\ng\x80");
    assert_true(shows(&fb, pixels, scale, 0, 0, 'A'));
    assert_true(shows(&fb, pixels, scale, 0, 1, '~'));
    assert_true(shows(&fb, pixels, scale, 0, 2, ' '));
    assert_true(shows(&fb, pixels, scale, 1, 0, 'g'));
    assert_true(shows(&fb, pixels, scale, 1, 1, '?'));
    assert_int_equal(pixels[fb.pitch - 1], 0xee); /* between the lines nothing is written */
    free(pixels);
}

static void depths_and_scales(void **state)
{
    check_depth(640, 400, 32, 1);
    check_depth(800, 600, 24, 1);
    check_depth(1024, 768, 16, 1);
    check_depth(1280, 800, 32, 2);
    check_depth(1920, 1080, 24, 2);
    check_depth(3840, 2160, 16, 5);
}

static void ink_is_grey(void **state)
{
    struct boot_framebuffer fb;
    uint8_t *pixels = make(&fb, 640, 400, 16);

    assert_true(framebuffer_init(&fb, pixels));
    put_text("_");
    assert_int_equal(pixel(&fb, pixels, 0, 6), 0x15 << 11 | 0x2a << 5 | 0x15);
    free(pixels);
}

static void scrolls_and_wraps(void **state)
{
    struct boot_framebuffer fb;
    uint8_t *pixels = make(&fb, 60, 27, 32); /* 10 x 3 characters */

    assert_true(framebuffer_init(&fb, pixels));
    put_text("a\nb\nc\n0123456789x");
    assert_true(shows(&fb, pixels, 1, 0, 0, 'c'));
    assert_true(shows(&fb, pixels, 1, 0, 9, ' '));
    assert_true(shows(&fb, pixels, 1, 1, 9, '9'));
    assert_true(shows(&fb, pixels, 1, 2, 0, 'x'));
    framebuffer_clear();
    put_text("z");
    assert_true(shows(&fb, pixels, 1, 0, 0, 'z'));
    assert_true(shows(&fb, pixels, 1, 1, 9, ' '));
    free(pixels);
}

static void out_of_reach_is_drawn_later(void **state)
{
    struct boot_framebuffer fb;
    uint8_t *pixels = make(&fb, 640, 400, 32);

    assert_true(framebuffer_init(&fb, NULL));
    put_text("hi");
    framebuffer_move(pixels);
    assert_true(shows(&fb, pixels, 1, 0, 1, 'i'));
    framebuffer_move(NULL);
    put_text("!");
    assert_true(shows(&fb, pixels, 1, 0, 2, ' '));
    free(pixels);
}

static void bad_layouts_are_refused(void **state)
{
    struct boot_framebuffer fb;
    uint8_t *pixels = make(&fb, 640, 400, 32), byte = 0;

    fb.bpp = 8;
    assert_false(framebuffer_init(&fb, pixels));
    fb.bpp = 32;
    fb.pitch = 640;
    assert_false(framebuffer_init(&fb, pixels));
    fb.pitch = 640 * 4;
    fb.type = BOOT_FB_TEXT;
    assert_false(framebuffer_init(&fb, pixels));
    fb = (struct boot_framebuffer){.type = BOOT_FB_RGB, .pitch = 1, .bpp = 16};
    assert_false(framebuffer_init(&fb, &byte));
    put_text("nothing happens\n");
    free(pixels);
}

static void odd_colours_do_no_harm(void **state)
{
    struct boot_framebuffer fb;
    uint8_t *pixels = make(&fb, 640, 400, 32);

    fb.red_pos = 255;
    fb.green_size = 255;
    fb.blue_size = 0;
    assert_true(framebuffer_init(&fb, pixels));
    put_text("A");
    assert_true(shows(&fb, pixels, 1, 0, 0, 'A'));
    free(pixels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depths_and_scales),       cmocka_unit_test(ink_is_grey),
        cmocka_unit_test(scrolls_and_wraps),       cmocka_unit_test(out_of_reach_is_drawn_later),
        cmocka_unit_test(bad_layouts_are_refused), cmocka_unit_test(odd_colours_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
