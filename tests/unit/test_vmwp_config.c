/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "vmwp/config.h"

#define LEAST "[machine]\nmemory = 64M\n[boot]\nkernel = /k\n"

static struct config c;
static struct problem why;

static int parse(const char *text)
{
    memset(&c, 0x5A, sizeof(c));
    return config_parse(&c, text, strlen(text), &why);
}

static void fails(const char *text, const char *expected)
{
    assert_int_equal(parse(text), -EINVAL);
    assert_string_equal(why.text, expected);
    assert_int_equal(c.name[0], 0x5A); /* untouched */
}

static void test_least(void **state)
{
    assert_int_equal(parse(LEAST), 0);
    assert_string_equal(c.name, "machine");
    assert_true(c.memory == 64ULL << 20);
    assert_false(c.memory_pinned);
    assert_int_equal(c.processors, 1);
    assert_int_equal(c.on_crash, CONFIG_CRASH_POWEROFF);
    assert_int_equal(c.weight + c.reserve + c.cap, 0);
    assert_string_equal(c.kernel, "/k");
    assert_int_equal(c.kernel_line, 4);
    assert_string_equal(c.initrd, "");
    assert_string_equal(c.cmdline, "");
    assert_int_equal(c.serial, CONFIG_SERIAL_TERMINAL);
    assert_false(c.user_given);
}

#define DISK "[disk]\npath = /d\n"

static void test_disks(void **state)
{
    assert_int_equal(parse(LEAST), 0);
    assert_int_equal(c.disks, 0);
    assert_int_equal(parse(LEAST DISK
                           "[disk]\npath = /b.vhdx\nlun = 5\ncontroller = 3\n"
                           "read_only = yes\ncache = host\niops = 500\nbandwidth = 20M\n" DISK
                           "[disk]\ntype = dvd\n"),
                     0);
    assert_int_equal(c.disks, 4);
    assert_string_equal(c.disk[0].path, "/d");
    assert_int_equal(c.disk[0].line, 5);
    assert_false(c.disk[0].dvd || c.disk[0].read_only || c.disk[0].cached);
    assert_int_equal(c.disk[0].lun + c.disk[0].controller + c.disk[0].iops, 0);
    assert_int_equal(c.disk[1].lun, 5);
    assert_int_equal(c.disk[1].controller, 3);
    assert_true(c.disk[1].read_only && c.disk[1].cached);
    assert_int_equal(c.disk[1].iops, 500);
    assert_true(c.disk[1].bandwidth == 20U << 20);
    assert_int_equal(c.disk[2].lun, 1);
    assert_int_equal(c.disk[3].lun, 2);
    assert_true(c.disk[3].dvd);
    assert_string_equal(c.disk[3].path, "");
}

#define HVSOCKET LEAST "[hvsocket]\n"

static void test_socket(void **state)
{
    static const uint8_t port[16] = {0x88, 0x13, 0,    0, 0xCB, 0xFA, 0xE6, 0x11,
                                     0xBD, 0x58, 0x64, 0, 0x6A, 0x79, 0x86, 0xD3};
    char many[2000] = HVSOCKET "services =";

    assert_int_equal(parse(LEAST), 0);
    assert_int_equal(c.socket.services, 0);
    assert_string_equal(c.socket.path, "");
    assert_int_equal(parse(HVSOCKET "path = /run/x\nservices = 5000:/run/a  "
                                    "01020304-0506-0708-090a-0b0c0d0e0f10:/run/b:c\n"),
                     0);
    assert_string_equal(c.socket.path, "/run/x");
    assert_int_equal(c.socket.services, 2);
    assert_memory_equal(c.socket.service[0].name.bytes, port, 16);
    assert_string_equal(c.socket.service[0].path, "/run/a");
    assert_string_equal(c.socket.service[1].path, "/run/b:c");
    fails(HVSOCKET "services = 5000\n", "line 6: a service is PORT:PATH or GUID:PATH, not '5000'");
    fails(HVSOCKET "services = http:/run/a\n",
          "line 6: a service is PORT:PATH or GUID:PATH, not 'http'");
    fails(HVSOCKET "services = 1:a\n", "line 6: a service wants an absolute path, not 'a'");
    fails(HVSOCKET "services = 1:/a 2:/b 00000001-facb-11e6-bd58-64006a7986d3:/c\n",
          "line 6: service 00000001-facb-11e6-bd58-64006a7986d3 is given twice");
    fails(HVSOCKET "path = x\n", "line 6: path wants an absolute path, not 'x'");
    for (unsigned i = 0; i <= RELAY_SERVICES_MAX; i++)
        (void)snprintf(many + strlen(many), sizeof(many) - strlen(many), " %u:/s", i);
    fails(many, "line 6: more than 16 services");
}

static void test_formats(void **state)
{
    assert_int_equal(parse(LEAST DISK DISK "format = raw\n" DISK "format = vhd\n" DISK
                                           "format = vhdx\n" DISK "type = dvd\nformat = iso\n"),
                     0);
    assert_null(c.disk[0].format);
    assert_string_equal(c.disk[1].format, "raw");
    assert_string_equal(c.disk[2].format, "vhd");
    assert_string_equal(c.disk[3].format, "vhdx");
    assert_string_equal(c.disk[4].format, "iso");
    fails(LEAST DISK "format = qcow2\n", "line 7: format is raw, vhd, vhdx or iso, not 'qcow2'");
    fails(LEAST DISK "format = RAW\n", "line 7: format is raw, vhd, vhdx or iso, not 'RAW'");
    fails(LEAST DISK "format = raw\nformat = vhd\n", "line 8: 'format' is given twice");
    fails(LEAST DISK "format = iso\n", "line 5: format iso goes with type dvd, others do not");
    fails(LEAST "[disk]\nformat = raw\ntype = dvd\n",
          "line 5: format iso goes with type dvd, others do not");
}

static void test_bad_disks(void **state)
{
    fails(LEAST "[disk]\n", "line 5: 'path' in [disk] is missing");
    fails(LEAST "[disk]\n[cpu]\n", "line 5: 'path' in [disk] is missing");
    fails(LEAST DISK "lun = 0\n" DISK "lun = 0\n",
          "line 8: lun 0 of controller 0 is taken by line 5");
    fails(LEAST DISK "lun = 64\n", "line 7: lun is a number from 0 to 63, not '64'");
    fails(LEAST DISK "path = /e\n", "line 7: 'path' is given twice");
    fails(LEAST DISK "bandwidth = 20\n",
          "line 7: bandwidth is bytes in a second with K, M or G, at least 64K, not '20'");
    fails(LEAST DISK "bandwidth = 63K\n",
          "line 7: bandwidth is bytes in a second with K, M or G, at least 64K, not '63K'");
    fails(LEAST DISK "type = tape\n", "line 7: type is disk or dvd, not 'tape'");
    fails(LEAST DISK "cache = all\n", "line 7: cache is none or host, not 'all'");
}

#define NETWORK "[network]\ntap = t0\n"

static void test_networks(void **state)
{
    static const uint8_t mac[6] = {0x02, 0xAB, 0xcd, 0, 0, 1};

    assert_int_equal(parse(LEAST NETWORK "mac = 02:AB:cd:00:00:01\nmtu = 9000\nqueues = 4\n"
                                         "mac_change = yes\nmac_spoofing = yes\n"
                                         "[network]\ntap = t1\n"),
                     0);
    assert_int_equal(c.networks, 2);
    assert_string_equal(c.network[0].tap, "t0");
    assert_memory_equal(c.network[0].mac, mac, 6);
    assert_true(c.network[0].mac_given && c.network[0].mac_change && c.network[0].spoofing);
    assert_int_equal(c.network[0].mtu, 9000);
    assert_int_equal(c.network[0].queues, 4);
    assert_false(c.network[1].mac_given || c.network[1].mac_change || c.network[1].spoofing);
    assert_int_equal(c.network[1].mtu, 1500);
    fails(LEAST "[network]\n", "line 5: 'tap' in [network] is missing");
    fails(LEAST NETWORK NETWORK, "line 7: tap t0 is taken by line 5");
    fails(LEAST "[network]\ntap = a/b\n", "line 6: tap is the name of a network device, not 'a/b'");
    fails(LEAST "[network]\ntap = 0123456789abcdef\n",
          "line 6: tap is the name of a network device, not '0123456789abcdef'");
    fails(LEAST NETWORK "mac = 01:00:00:00:00:00\n",
          "line 7: mac is XX:XX:XX:XX:XX:XX, and no group's, not '01:00:00:00:00:00'");
    fails(LEAST NETWORK "mac = 02:00:00:00:00\n",
          "line 7: mac is XX:XX:XX:XX:XX:XX, and no group's, not '02:00:00:00:00'");
    fails(LEAST NETWORK "mtu = 9001\n", "line 7: mtu is a number from 576 to 9000, not '9001'");
    fails(LEAST NETWORK "mtu = 1500\nmtu = 1500\n", "line 8: 'mtu' is given twice");
}

static void test_everything(void **state)
{
    assert_int_equal(parse("# all\n\n  [machine]\nname=vm-1\n\tmemory =  4G \nprocessors = 64\n"
                           "memory_pinned = yes\non_crash = reset\n[cpu]\nweight = 10000\nreserve "
                           "= 25%\ncap = 50%\n"
                           "[boot]\nkernel = /boot/vm linuz\ninitrd = /boot/i\n"
                           "cmdline = root=/dev/sda quiet # not a comment\n"
                           "[serial]\nconsole = unix:/run/x.sock\n[process]\nuser = 1000:100"),
                     0);
    assert_string_equal(c.name, "vm-1");
    assert_true(c.memory == 4ULL << 30);
    assert_true(c.memory_pinned);
    assert_int_equal(c.processors, 64);
    assert_int_equal(c.on_crash, CONFIG_CRASH_RESET);
    assert_int_equal(c.weight, 10000);
    assert_int_equal(c.reserve, 25);
    assert_int_equal(c.cap, 50);
    assert_string_equal(c.kernel, "/boot/vm linuz");
    assert_string_equal(c.cmdline, "root=/dev/sda quiet # not a comment");
    assert_int_equal(c.serial, CONFIG_SERIAL_UNIX);
    assert_string_equal(c.serial_path, "/run/x.sock");
    assert_int_equal(c.uid, 1000);
    assert_int_equal(c.gid, 100);
    assert_int_equal(parse(LEAST "[serial]\nconsole = file:/tmp/log\n"), 0);
    assert_int_equal(c.serial, CONFIG_SERIAL_FILE);
    assert_int_equal(parse(LEAST "[serial]\nconsole = none\n"), 0);
    assert_int_equal(c.serial, CONFIG_SERIAL_NONE);
}

static void test_form(void **state)
{
    fails("memory = 1G\n", "line 1: 'memory' stands before the first [section]");
    fails("[machine\n", "line 1: ']' is missing");
    fails("[tape]\n", "line 1: unknown section [tape]");
    fails("[machine]\nmemory\n", "line 2: 'key = value' expected, not 'memory'");
    fails("[machine]\ncolor = red\n", "line 2: unknown key 'color' in [machine]");
    fails("[machine]\nkernel = /k\n", "line 2: unknown key 'kernel' in [machine]");
    fails("[machine]\nmemory = 64M\nmemory = 64M\n", "line 3: 'memory' is given twice");
    fails("[machine]\nmemory =\n", "line 2: 'memory' has no value");
    fails("[machine]\nmemory = 64M\a\n", "line 2: a control character");
    fails("[machine]\nmemory = 64M\n", "line 2: 'kernel' in [boot] is missing");
    fails("", "line 0: 'memory' in [machine] is missing");
}

static void test_values(void **state)
{
    static const char memory[] = "line 2: memory is a number with M or G, 16M to 1024G, a multiple "
                                 "of 2M, not '";
    static const char *const bad[] = {"64",    "M",    "65M",  "14M",  "1025G",
                                      "2048T", "-64M", "64 M", "0x4M", "99999999999999999999M"};
    char text[128], expected[256];

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(text, sizeof(text), "[machine]\nmemory = %s\n", bad[i]);
        (void)snprintf(expected, sizeof(expected), "%s%s'", memory, bad[i]);
        fails(text, expected);
    }
    fails("[machine]\nmemory_pinned = true\n", "line 2: memory_pinned is yes or no, not 'true'");
    fails("[machine]\nprocessors = 0\n", "line 2: processors is a number from 1 to 64, not '0'");
    fails("[machine]\nprocessors = 65\n", "line 2: processors is a number from 1 to 64, not '65'");
    fails("[machine]\nname = a/b\n", "line 2: name is made of printable characters without spaces "
                                     "and slashes, not 'a/b'");
    fails("[machine]\non_crash = x\n", "line 2: on_crash is poweroff or reset, not 'x'");
    fails("[cpu]\nweight = 0\n", "line 2: weight is a number from 1 to 10000, not '0'");
    fails("[cpu]\nreserve = 101%\n", "line 2: reserve is 0% to 100%, not '101%'");
    fails("[cpu]\ncap = 50\n", "line 2: cap is 1% to 100%, not '50'");
    fails(LEAST "[cpu]\nreserve = 60%\ncap = 50%\n", "line 7: reserve 60% is more than cap 50%");
    fails("[boot]\nkernel = k\n", "line 2: kernel wants an absolute path, not 'k'");
    fails("[serial]\nconsole = tty\n",
          "line 2: console is none, terminal, file:PATH or unix:PATH, not 'tty'");
    fails("[serial]\nconsole = file:log\n",
          "line 2: console file: wants an absolute path, not 'log'");
    fails("[process]\nuser = root\n",
          "line 2: user is UID:GID, two numbers from 1 to 4294967294, not 'root'");
    fails("[process]\nuser = 0:0\n",
          "line 2: user is UID:GID, two numbers from 1 to 4294967294, not '0:0'");
}

static void test_lengths(void **state)
{
    char text[8192];

    memset(text, 'x', sizeof(text));
    memcpy(text, "[boot]\ncmdline = ", 17);
    text[17 + CONFIG_CMDLINE_MAX] = 0;
    fails(text, "line 2: cmdline is longer than 2047 bytes");
    text[17 + CONFIG_CMDLINE_MAX] = 'x';
    text[sizeof(text) - 1] = 0;
    fails(text, "line 2: longer than 4095 bytes");
    memcpy(text, "[serial]\nconsole = unix:/", 25);
    text[25 + 107] = 0;
    fails(text, "line 2: console unix: is longer than 107 bytes");
}

static void test_services(void **state)
{
    assert_int_equal(parse(LEAST), 0);
    assert_true(c.services.heartbeat && c.services.shutdown && c.services.time);
    assert_true(c.services.kvp && c.services.vss && !c.services.copy);
    assert_int_equal(parse(LEAST "[services]\nheartbeat = no\nshutdown = no\ntime = no\nkvp = no\n"
                                 "vss = no\ncopy = yes\n"),
                     0);
    assert_false(c.services.heartbeat || c.services.shutdown || c.services.time);
    assert_true(!c.services.kvp && !c.services.vss && c.services.copy);
    fails(LEAST "[services]\ncopy = 1\n", "line 6: copy is yes or no, not '1'");
    fails(LEAST "[services]\nvss = no\nvss = no\n", "line 7: 'vss' is given twice");
}

static void test_load(void **state)
{
    char path[] = "/tmp/vmwp-config-XXXXXX", expected[256];
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, LEAST, sizeof(LEAST) - 1), sizeof(LEAST) - 1);
    assert_int_equal(config_load(&c, path, &why), -ENOENT);
    (void)snprintf(expected, sizeof(expected), "%s: line 4: kernel: /k: No such file or directory",
                   path);
    assert_string_equal(why.text, expected);
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(config_load(&c, path, &why), -ENOENT);
    (void)snprintf(expected, sizeof(expected), "%s: No such file or directory", path);
    assert_string_equal(why.text, expected);
    assert_int_equal(config_load(&c, "/dev/zero", &why), -EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least),    cmocka_unit_test(test_everything),
        cmocka_unit_test(test_disks),    cmocka_unit_test(test_bad_disks),
        cmocka_unit_test(test_form),     cmocka_unit_test(test_values),
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_load),
        cmocka_unit_test(test_socket),   cmocka_unit_test(test_formats),
        cmocka_unit_test(test_services), cmocka_unit_test(test_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
