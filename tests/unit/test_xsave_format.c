/* SPDX-License-Identifier: MIT */
/* XSAVE areas from standard to compacted form and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "hypervisor/arch/x86/xsave_format.h"
#include "lib/bits.h"
#include "lib/errno.h"

#define MXCSR_VALID 0xffffU

/* AVX, an aligned component after an odd one, and a hole in the standard form. */
static const struct xsave_layout layout = {
    .components = BIT64(0) | BIT64(1) | BIT64(2) | BIT64(9) | BIT64(17),
    .part = {[2] = {576, 256, false}, [9] = {2688, 8, false}, [17] = {2752, 64, true}},
};

#define AREA_SIZE (2752U + 64U)

static uint8_t area[AREA_SIZE], packed[AREA_SIZE], back[AREA_SIZE];

static void put64(uint8_t *at, uint64_t v)
{
    memcpy(at, &v, sizeof(v));
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static int setup(void **state)
{
    const uint32_t mxcsr = 0x1f80;

    memset(area, 0, sizeof(area));
    memset(packed, 0xee, sizeof(packed));
    memset(back, 0x77, sizeof(back));
    for (unsigned i = 0; i < 416; i++)
        area[i] = (uint8_t)(i + 1);
    memcpy(area + 24, &mxcsr, sizeof(mxcsr));
    put64(area + XSAVE_XSTATE_BV, layout.components);
    memset(area + 576, 0x22, 256);
    memset(area + 2688, 0x99, 8);
    memset(area + 2752, 0x17, 64);
    return 0;
}

static void all_there_and_back(void **state)
{
    size_t len = xsave_compact(&layout, area, true, ~0ULL, packed, sizeof(packed));

    assert_int_equal(len, 576 + 256 + 64 + 64); /* 8 bytes, then aligned again */
    assert_int_equal(get64(packed + XSAVE_XSTATE_BV), layout.components);
    assert_int_equal(get64(packed + XSAVE_XCOMP_BV), layout.components | XSAVE_COMPACTED);
    assert_int_equal(packed[576 + 256], 0x99);
    assert_int_equal(packed[576 + 256 + 8], 0);
    assert_int_equal(packed[576 + 256 + 64], 0x17);
    memset(back, 0, sizeof(back)); /* the holes */
    memcpy(back + 28, area + 28, 4);
    assert_int_equal(xsave_expand(&layout, packed, len, MXCSR_VALID, back, true), 0);
    memset(area + 416, 0, 96);
    assert_memory_equal(back, area, AREA_SIZE);
}

static void chosen_components(void **state)
{
    size_t len =
        xsave_compact(&layout, area, true, BIT64(0) | BIT64(9) | BIT64(40), packed, sizeof(packed));

    assert_int_equal(len, 576 + 8);
    assert_int_equal(get64(packed + XSAVE_XCOMP_BV), XSAVE_COMPACTED | BIT64(0) | BIT64(9));
    assert_int_equal(xsave_expand(&layout, packed, len, MXCSR_VALID, back, true), 0);
    assert_int_equal(get64(back + XSAVE_XSTATE_BV), BIT64(0) | BIT64(9));
    assert_int_equal(back[0], 1);
    assert_int_equal(back[160], 0);   /* SSE is initial */
    assert_int_equal(back[24], 0x80); /* and MXCSR */
    assert_int_equal(back[576], 0);
    assert_int_equal(back[2688], 0x99);
    assert_int_equal(xsave_compact(&layout, area, true, BIT64(9), packed, 583), 0);
}

static void standard_form_is_taken_too(void **state)
{
    assert_int_equal(xsave_expand(&layout, area, AREA_SIZE, MXCSR_VALID, back, true), 0);
    assert_memory_equal(back + 576, area + 576, 256);
    assert_memory_equal(back + 2752, area + 2752, 64);
    assert_int_equal(xsave_expand(&layout, area, AREA_SIZE - 1, MXCSR_VALID, back, true), -EINVAL);
    put64(area + XSAVE_XSTATE_BV, 3);
    assert_int_equal(xsave_expand(&layout, area, 576, MXCSR_VALID, back, true), 0);
    assert_int_equal(back[576], 0);
}

static void malformed(void **state)
{
    static const struct {
        unsigned at;
        uint64_t v;
    } bad[] = {
        {XSAVE_XSTATE_BV, BIT64(3)},                  /* unknown */
        {XSAVE_XSTATE_BV, BIT64(63)},                 /* reserved */
        {XSAVE_XCOMP_BV, 1},                          /* not compacted, but not zero */
        {XSAVE_XCOMP_BV, XSAVE_COMPACTED | BIT64(5)}, /* unknown */
        {XSAVE_XCOMP_BV, XSAVE_COMPACTED | BIT64(0)}, /* in use without a place */
        {XSAVE_XCOMP_BV + 8, 1},
        {568, BIT64(56)},
        {24, BIT64(16)}, /* MXCSR */
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        setup(NULL);
        put64(area + bad[i].at, bad[i].v);
        assert_int_equal(xsave_expand(&layout, area, AREA_SIZE, MXCSR_VALID, back, true), -EINVAL);
        for (unsigned n = 0; n < AREA_SIZE; n++)
            assert_int_equal(back[n], 0x77);
    }
    assert_int_equal(xsave_expand(&layout, area, 575, MXCSR_VALID, back, true), -EINVAL);
}

static void processors_without_xsave(void **state)
{
    static const struct xsave_layout legacy = {.components = 3};
    size_t len = xsave_compact(&legacy, area, false, ~0ULL, packed, sizeof(packed));

    assert_int_equal(len, 576);
    assert_int_equal(get64(packed + XSAVE_XSTATE_BV), 3);
    assert_int_equal(xsave_expand(&legacy, packed, len, MXCSR_VALID, back, false), 0);
    assert_int_equal(back[200], area[200]);
    assert_int_equal(back[512], 0x77); /* an FXSAVE area ends here */
}

static void what_xcr0_may_hold(void **state)
{
    static const uint64_t good[] = {1, 3, 7, 0x1f, 0xe7, 0x207, 0x60003, 1 | BIT64(62)};
    static const uint64_t bad[] = {0, 2, 5, 9, 0x27, 0xe3, 0x20003};

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(xsave_xcr0_valid(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(xsave_xcr0_valid(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_there_and_back, setup),
        cmocka_unit_test_setup(chosen_components, setup),
        cmocka_unit_test_setup(standard_form_is_taken_too, setup),
        cmocka_unit_test_setup(malformed, setup),
        cmocka_unit_test_setup(processors_without_xsave, setup),
        cmocka_unit_test_setup(what_xcr0_may_hold, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
