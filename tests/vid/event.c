/* SPDX-License-Identifier: MIT */
#include "tests/vid/event.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "abi/bulkhead.h"

#define CONNECTION         0x10001
#define SOON_MS            5000
#define INVALID_CONNECTION 0x12 /* HV_STATUS_INVALID_CONNECTION_ID */
#define MANY               64

static int event(const struct machine *m, unsigned int connection, int fd, unsigned int flags)
{
    struct bulkhead_event args = {.connection_id = connection, .fd = fd, .flags = flags};

    return ioctl(m->partition, BULKHEAD_EVENT, &args) ? -errno : 0;
}

static const char *expect_signal(struct machine *m, unsigned int connection, int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    unsigned int status = ~0U;
    unsigned long long count;
    const char *problem = machine_signal(m, connection, &status);

    if (problem || status)
        return problem ? problem : explain("status %#x", status);
    if (poll(&wait, 1, SOON_MS) != 1 || read(fd, &count, sizeof(count)) != sizeof(count))
        return "no signal";
    return count == 1 ? NULL : explain("%llu signals", count);
}

/* It comes while it is assigned, and the connection does not exist before and after. */
static const char *test_signal(void)
{
    struct machine m = MACHINE_NONE;
    int fd = eventfd(0, EFD_CLOEXEC), other = eventfd(0, EFD_CLOEXEC), error;
    const char *problem = machine_build(&m);
    unsigned int status = 0;

    if (!problem)
        problem = machine_signal(&m, CONNECTION, &status);
    if (!problem && status != INVALID_CONNECTION)
        problem = explain("status %#x without an event", status);
    if (problem)
        return problem;
    error = event(&m, CONNECTION, fd, 0);
    if (error)
        return explain("assign: %s", strerror(-error));
    if (event(&m, CONNECTION, other, 0) != -EEXIST)
        return "two events for one connection";
    for (int i = 0; i < 3 && !problem; i++)
        problem = expect_signal(&m, CONNECTION, fd);
    if (!problem && event(&m, CONNECTION, other, 1 << BULKHEAD_EVENT_BIT_DEASSIGN) != -ENOENT)
        problem = "deassigned with another eventfd";
    if (!problem && event(&m, CONNECTION, fd, 1 << BULKHEAD_EVENT_BIT_DEASSIGN))
        problem = "not deassigned";
    if (!problem && event(&m, CONNECTION, fd, 1 << BULKHEAD_EVENT_BIT_DEASSIGN) != -ENOENT)
        problem = "deassigned twice";
    if (!problem)
        problem = machine_signal(&m, CONNECTION, &status);
    if (!problem && status != INVALID_CONNECTION)
        problem = explain("status %#x after the event", status);
    machine_close(&m);
    return problem;
}

/* Each has its own eventfd; what is left ends with the partition. */
static const char *test_many(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    int fds[MANY];

    for (unsigned int i = 0; i < MANY && !problem; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC);
        if (event(&m, CONNECTION + i, fds[i], 0))
            problem = explain("event %u: %s", i, strerror(errno));
    }
    for (unsigned int i = 0; i < MANY && !problem; i += 21)
        problem = expect_signal(&m, CONNECTION + i, fds[i]);
    machine_close(&m);
    for (unsigned int i = 0; i < MANY && !problem; i++)
        close(fds[i]);
    return problem;
}

static const char *test_refusals(void)
{
    struct machine m = MACHINE_NONE;
    struct bulkhead_event args = {.fd = eventfd(0, EFD_CLOEXEC), .rsvd = 1};
    const char *problem = machine_build(&m);

    if (problem)
        return problem;
    if (!ioctl(m.partition, BULKHEAD_EVENT, &args) || errno != EINVAL)
        return "reserved";
    if (event(&m, CONNECTION, args.fd, 2) != -EINVAL)
        return "flags";
    if (event(&m, CONNECTION, -1, 0) != -EBADF || event(&m, CONNECTION, m.device, 0) != -EINVAL)
        return "no eventfd";
    if (!ioctl(m.partition, BULKHEAD_EVENT, NULL) || errno != EFAULT)
        return "null";
    if (event(&m, 0x80000000, args.fd, 0) >= 0)
        return "a connection of more than 24 bits";
    if (!ioctl(m.device, BULKHEAD_EVENT, &args) || errno != ENOTTY)
        return "on the device";
    machine_close(&m);
    return NULL;
}

const struct machine_case event_cases[] = {
    {"event: signal", test_signal},
    {"event: many", test_many},
    {"event: refusals", test_refusals},
};
const size_t event_case_count = sizeof(event_cases) / sizeof(event_cases[0]);
