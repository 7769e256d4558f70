/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/boot/cmdline.h"
#include "hypervisor/debug/log.h"

static struct cmdline o;

static void problem(const char *line, const char *word, const char *reason)
{
    struct cmdline d;

    cmdline_defaults(&d);
    cmdline_parse(line, false, &o);
    assert_int_equal(o.problem_count, 1);
    assert_string_equal(o.problems[0].word, word);
    assert_string_equal(o.problems[0].reason, reason);
    /* What is wrong changes nothing. */
    assert_memory_equal(&o, &d, offsetof(struct cmdline, problem_count));
}

static void test_defaults(void **state)
{
    cmdline_parse("", false, &o);
    assert_int_equal(o.console, CONSOLE_COM1 | CONSOLE_VGA);
    assert_int_equal(o.log, LOG_INFO);
    assert_int_equal(o.npt, NPT_2M);
    assert_int_equal(o.root, ROOT_STOCK);
    assert_int_equal(o.lazy_eoi, true);
    assert_int_equal(o.lp0, LP0_AUTO);
    assert_int_equal(o.help, false);
    assert_true(o.reserve == 0);
    assert_true(o.maxcpus == 4096);
    assert_true(o.delay_us == 0);
    assert_int_equal(o.problem_count, 0);
}

static void test_all(void **state)
{
    cmdline_parse("/boot/bulkhead.elf console=com2,debug  log=debug\tnpt=4k root=stock reserve=96M "
                  "maxcpus=0x4 delay=250 lazyeoi=off lp0=off help -- bogus",
                  true, &o);
    assert_int_equal(o.problem_count, 0);
    assert_int_equal(o.console, CONSOLE_COM2 | CONSOLE_DEBUG);
    assert_int_equal(o.log, LOG_DEBUG);
    assert_int_equal(o.npt, NPT_4K);
    assert_true(o.reserve == 96ULL << 20);
    assert_true(o.maxcpus == 4);
    assert_true(o.delay_us == 250);
    assert_int_equal(o.lazy_eoi, false);
    assert_int_equal(o.lp0, LP0_OFF);
    assert_int_equal(o.help, true);
    cmdline_parse("console=none log=error log=warn", false, &o);
    assert_int_equal(o.console, 0);
    assert_int_equal(o.log, LOG_WARN);
    cmdline_parse("one-word-only", true, &o);
    assert_int_equal(o.problem_count, 0);
}

static void test_problems(void **state)
{
    problem("bogus", "bogus", "no such option");
    problem("log", "log", "needs a value");
    problem("help=1", "help=1", "takes no value");
    problem("log=loud", "log=loud", "no such value");
    problem("log=info,debug", "log=info,debug", "no such value");
    problem("log=", "log=", "no such value");
    problem("console=", "console=", "no such value");
    problem("console=com1,com3", "console=com1,com3", "no such value");
    problem("root=mshv", "root=mshv", "root=mshv is not supported by this version");
    problem("maxcpus=0", "maxcpus=0", "number out of range");
    problem("maxcpus=many", "maxcpus=many", "not a number");
    problem("reserve=1M", "reserve=1M", "number out of range");
    problem("reserve=99999999999999999999", "reserve=99999999999999999999", "number out of range");
    problem("delay=", "delay=", "not a number");
    problem("=", "=", "no such option");
    problem("a-word-that-is-much-longer-than-the-list-of-problems-can-keep-and-so-is-cut",
            "a-word-that-is-much-longer-than-the-list-of-pro", "no such option");
}

static void test_too_many_problems(void **state)
{
    cmdline_parse("a b c d e f g h i j", false, &o);
    assert_int_equal(o.problem_count, CMDLINE_PROBLEMS_MAX);
    assert_int_equal(o.problems_lost, 2);
}

static void test_help(void **state)
{
    char line[160];
    unsigned n = 0;

    for (; cmdline_help_line(n, line, sizeof(line)); n++)
        assert_true(strlen(line) > 8 && strlen(line) < 120);
    assert_int_equal(n, 10);
    assert_true(cmdline_help_line(0, line, sizeof(line)));
    assert_string_equal(line, "console=com1,com2,vga,debug,none  where messages go");
    assert_true(cmdline_help_line(1, line, 8));
    assert_string_equal(line, "log=err");
}

static void test_after_name(void **state)
{
    assert_string_equal(cmdline_after_name("vmlinuz root=/dev/sda1 quiet"), "root=/dev/sda1 quiet");
    assert_string_equal(cmdline_after_name("  /boot/vmlinuz \t quiet "), "quiet ");
    assert_string_equal(cmdline_after_name("vmlinuz"), "");
    assert_string_equal(cmdline_after_name(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_all),
        cmocka_unit_test(test_problems), cmocka_unit_test(test_too_many_problems),
        cmocka_unit_test(test_help),     cmocka_unit_test(test_after_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
