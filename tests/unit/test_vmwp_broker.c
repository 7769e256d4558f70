/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "vmwp/broker.h"

/* The process that connects for the worker: to what is on the list, and to nothing else. */

static char folder[] = "/tmp/broker-XXXXXX";
static struct config_socket config;
static struct broker *broker;
static int listener;

static int setup(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct problem why;

    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(config.service[0].path, sizeof(config.service[0].path), "%s/there", folder);
    (void)snprintf(config.service[1].path, sizeof(config.service[1].path), "%s/not", folder);
    config.services = 2;
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)strcpy(addr.sun_path, config.service[0].path);
    if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(listener, 1) < 0)
        return -1;
    return broker_start(&broker, &config, &why);
}

static int teardown(void **state)
{
    (void)unlink(config.service[0].path);
    (void)rmdir(folder);
    (void)close(listener);
    return 0;
}

static void test_dial(void **state)
{
    char c = 0;
    int fd, other;

    for (unsigned i = 0; i < 3; i++) {
        fd = broker_dial(broker, 0);
        assert_true(fd >= 0);
        other = accept(listener, NULL, NULL);
        assert_int_equal(write(other, "x", 1), 1);
        assert_int_equal(read(fd, &c, 1), 1);
        assert_int_equal(c, 'x');
        (void)close(other);
        assert_int_equal(read(fd, &c, 1), 0); /* no one else has it open */
        (void)close(fd);
        assert_int_equal(broker_dial(broker, 1), -ENOENT);
        assert_int_equal(broker_dial(broker, 2), -EINVAL);
        assert_int_equal(broker_dial(broker, UINT32_MAX), -EINVAL);
    }
}

/* A service that does not accept is not waited for. */
static void test_busy(void **state)
{
    int fd[16], count = 0, err = 0;

    while (count < 16 && err == 0) {
        fd[count] = broker_dial(broker, 0);
        err = fd[count] < 0 ? fd[count] : 0;
        count += fd[count] >= 0;
    }
    assert_int_equal(err, -EAGAIN);
    while (count > 0)
        (void)close(fd[--count]);
}

static void test_end(void **state)
{
    broker_stop(broker);
    /* How it ends counts for nothing here: sanitizers make calls then that it may not. */
    assert_true(wait(NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dial),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_end),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
