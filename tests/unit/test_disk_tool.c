/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "disk/tool/tool.h"

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"512", 512},
        {"1K", 1024},
        {"10G", 10ULL << 30},
        {"1.5T", 3ULL << 39},
        {"0.25M", 256 << 10},
        {"2040G", 2040ULL << 30},
        {"8388607T", 8388607ULL << 40},
    };
    static const char *const bad[] = {"",
                                      "K",
                                      "-1",
                                      "1k",
                                      "1.5",
                                      "1.K",
                                      ".5M",
                                      "1 M",
                                      "1MM",
                                      "1X",
                                      "0x10",
                                      "1.5.5M",
                                      "8388608T",
                                      "9999999999999999999",
                                      "99999999999999999T"};
    uint64_t v;

    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(size_parse(good[i].text, &v));
        assert_true(v == good[i].bytes);
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(size_parse(bad[i], &v));
}

static void test_size_text(void **state)
{
    char text[32];

    size_text(text, 0);
    assert_string_equal(text, "0 bytes");
    size_text(text, 1023);
    assert_string_equal(text, "1023 bytes");
    size_text(text, 3ULL << 29);
    assert_string_equal(text, "1.5 GiB");
    size_text(text, 2ULL << 50);
    assert_string_equal(text, "2048 TiB");
}

static void test_paths(void **state)
{
    static const struct {
        const char *from, *to, *path;
    } rows[] = {
        {"x.vhd", "a/b/base", "a/b/base"},      {"a/x.vhd", "a/b/base", "b/base"},
        {"a/c/x.vhd", "a/b/base", "../b/base"}, {"a/bb/x.vhd", "a/b/base", "../b/base"},
        {"a/b/x.vhd", "a/b/base", "base"},      {"a/b/../c/x.vhd", "a/c/../b/base", "../b/base"},
    };
    char folder[] = "/var/tmp/tool-XXXXXX", before[4096], path[4096], small[4];
    int fd;

    assert_non_null(getcwd(before, sizeof(before)));
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(
        mkdir("a", 0700) | mkdir("a/b", 0700) | mkdir("a/bb", 0700) | mkdir("a/c", 0700), 0);
    fd = open("a/b/base", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(path_relative(path, sizeof(path), rows[i].from, rows[i].to), 0);
        assert_string_equal(path, rows[i].path);
    }
    assert_true(path_relative(path, sizeof(path), "x", "nothing") < 0);
    assert_true(path_relative(path, sizeof(path), "none/x", "a/b/base") < 0);
    assert_true(path_relative(small, sizeof(small), "x", "a/b/base") < 0);
    assert_true(path_relative(small, sizeof(small), "a/c/x", "a/b/base") < 0);
    assert_int_equal(unlink("a/b/base") | rmdir("a/b") | rmdir("a/bb") | rmdir("a/c") | rmdir("a"),
                     0);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_size_text),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
