/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "lib/fmt.h"

/* Formats go through a variable, so that the compiler does not judge the odd ones. */
static void check(const char *want, const char *fmt, ...)
{
    char buf[128];
    va_list ap;

    va_start(ap, fmt);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int len = fmt_vsnprintf(buf, sizeof(buf), fmt, ap);
#pragma GCC diagnostic pop
    va_end(ap);
    assert_string_equal(buf, want);
    assert_int_equal(len, strlen(want));
}

static void test_numbers(void **state)
{
    check("0 -1 42 4294967295", "%d %i %u %u", 0, -1, 42u, UINT32_MAX);
    check("-2147483648", "%d", INT32_MIN);
    check("-9223372036854775808", "%ld", INT64_MIN);
    check("18446744073709551615", "%lu", UINT64_MAX);
    check("18446744073709551615", "%llu", (unsigned long long)UINT64_MAX);
    check("ffffffffffffffff FFFF", "%lx %X", UINT64_MAX, 0xffffu);
    check("12 -12", "%zu %zd", (size_t)12, (ssize_t)-12);
    check("0x00000000deadbeef", "%p", (void *)(uintptr_t)0xdeadbeef);
}

static void test_fields(void **state)
{
    check("[   42]", "[%5d]", 42);
    check("[42   ]", "[%-5d]", 42);
    check("[00042]", "[%05d]", 42);
    check("[-0042]", "[%05d]", -42);
    check("[  -42]", "[%5d]", -42);
    check("[42   ]", "[%-05d]", 42);
    check("[0000beef]", "[%08x]", 0xbeefu);
    check("[   7]", "[%*d]", 4, 7);
    check("[7   ]", "[%*d]", -4, 7);
    check("[ab]", "[%.*s]", 2, "abcdef");
    check("[  ab]", "[%4.2s]", "abcdef");
    check("[abc ]", "[%-4s]", "abc");
    check("[ab]", "[%.*s]", -1, "ab");
    check("[   x][x  ]", "[%4c][%-3c]", 'x', 'x');
    check("(null) 100%", "%s 100%%", NULL);
    check("%q 5", "%q %d", 5);
    check("%", "%");
}

static void test_precision_bounds_the_read(void **state)
{
    char *two = malloc(2); /* no NUL: the sanitizer sees a read too far */

    memcpy(two, "ok", 2);
    check("ok", "%.2s", two);
    free(two);
}

static void test_truncation(void **state)
{
    char buf[4] = "zzz";

    assert_int_equal(fmt_snprintf(buf, sizeof(buf), "%s", "abcdef"), 6);
    assert_string_equal(buf, "abc");
    assert_int_equal(fmt_snprintf(buf, 1, "%d", 12345), 5);
    assert_string_equal(buf, "");
    assert_int_equal(fmt_snprintf(NULL, 0, "%d", 12345), 5);
    assert_int_equal(fmt_snprintf(buf, sizeof(buf), "%s", "abc"), 3);
    assert_string_equal(buf, "abc");
}

static void test_huge_width_is_cut(void **state)
{
    volatile int most = INT32_MAX, least = INT32_MIN; /* hidden from format warnings */

    assert_int_equal(fmt_snprintf(NULL, 0, "%*d", most, 1), 4096);
    assert_int_equal(fmt_snprintf(NULL, 0, "%*d", least, 1), 4096);
}

static void test_same_as_libc(void **state)
{
    const long values[] = {0, 1, -1, 9, 10, 4096, -4096, INT64_MAX, INT64_MIN, 0x123456789abcdef};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char a[96], b[96];
        fmt_snprintf(a, sizeof(a), "%ld|%lx|%20ld|%-20lX|%020ld|%lu", values[i],
                     (unsigned long)values[i], values[i], (unsigned long)values[i], values[i],
                     (unsigned long)values[i]);
        snprintf(b, sizeof(b), "%ld|%lx|%20ld|%-20lX|%020ld|%lu", values[i],
                 (unsigned long)values[i], values[i], (unsigned long)values[i], values[i],
                 (unsigned long)values[i]);
        assert_string_equal(a, b);
    }
}

static void parses(const char *s, uint64_t want)
{
    uint64_t v = 1;

    assert_int_equal(fmt_parse_u64(s, &v), 0);
    assert_true(v == want);
}

static void refuses(const char *s, int err)
{
    uint64_t v = 77;

    assert_int_equal(fmt_parse_u64(s, &v), err);
    assert_true(v == 77);
}

static void test_parse(void **state)
{
    parses("0", 0);
    parses("42", 42);
    parses("0x1F", 31);
    parses("0Xff", 255);
    parses("64M", 64ULL << 20);
    parses("4k", 4096);
    parses("0x10g", 16ULL << 30);
    parses("18446744073709551615", UINT64_MAX);
    parses("0xffffffffffffffff", UINT64_MAX);
    refuses("", -EINVAL);
    refuses("0x", -EINVAL);
    refuses("-1", -EINVAL);
    refuses(" 1", -EINVAL);
    refuses("1 ", -EINVAL);
    refuses("1f", -EINVAL);
    refuses("M", -EINVAL);
    refuses("1MM", -EINVAL);
    refuses("18446744073709551616", -ERANGE);
    refuses("0x10000000000000000", -ERANGE);
    refuses("17179869184G", -ERANGE);
    refuses("999999999999999999999999999999", -ERANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_precision_bounds_the_read),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_huge_width_is_cut),
        cmocka_unit_test(test_same_as_libc),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
