/* SPDX-License-Identifier: MIT */
/*
 * Plays a virtual machine on a port of a switch: opens the port's tap as a worker does, makes
 * another tap in a network namespace, and carries frames between both, with their headers of
 * offloads. The namespace is then the guest.
 *
 *   taprelay TAP NAMESPACE NAME MAC      says "ready" and runs until it is killed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FRAME_MAX (65536 + 64)
#define BATCH     64

static void need(int ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "taprelay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_tap(const char *name, short more)
{
    struct ifreq r = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | more)};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    need(fd >= 0, "/dev/net/tun");
    (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    need(ioctl(fd, TUNSETIFF, &r) == 0, name);
    need(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == 0, "offloads");
    return fd;
}

static void set_mac(int fd, const char *text)
{
    struct ifreq r = {0};
    unsigned b[6];

    need(sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) == 6, text);
    r.ifr_hwaddr.sa_family = 1; /* Ethernet */
    for (unsigned k = 0; k < 6; k++)
        r.ifr_hwaddr.sa_data[k] = (char)b[k];
    need(ioctl(fd, SIOCSIFHWADDR, &r) == 0, "its MAC");
}

/* A frame that the other side has no room for is lost, as on a wire. */
static void carry(int from, int to)
{
    static char frame[FRAME_MAX];

    for (unsigned k = 0; k < BATCH; k++) {
        ssize_t n = read(from, frame, sizeof(frame));

        if (n < 0 && errno != EAGAIN && errno != EIO)
            exit(0); /* the tap is gone */
        if (n <= 0)
            return;
        (void)!write(to, frame, (size_t)n);
    }
}

int main(int argc, char **argv)
{
    struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
    int space;

    if (argc != 5) {
        (void)fputs("usage: taprelay TAP NAMESPACE NAME MAC\n", stderr);
        return 2;
    }
    p[0].fd = open_tap(argv[1], IFF_MULTI_QUEUE);
    space = open(argv[2], O_RDONLY | O_CLOEXEC);
    need(space >= 0 && setns(space, CLONE_NEWNET) == 0, argv[2]);
    p[1].fd = open_tap(argv[3], 0);
    set_mac(p[1].fd, argv[4]);
    (void)puts("ready");
    (void)fflush(stdout);
    for (;;) {
        need(poll(p, 2, -1) >= 0, "poll");
        if (p[0].revents & POLLERR || p[1].revents & POLLERR)
            return 0;
        carry(p[0].fd, p[1].fd);
        carry(p[1].fd, p[0].fd);
    }
}
