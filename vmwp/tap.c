/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vmwp/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
/* Frames that a queue without a switch may have in it, and more. */
#define STALE_MAX 4096U

_Static_assert(TAP_NAME_MAX == IFNAMSIZ, "names are those of interfaces");

bool tap_name_good(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length >= TAP_NAME_MAX || name[0] == '.')
        return false;
    for (const char *s = name; *s; s++)
        if (*s <= ' ' || *s > '~' || *s == '/' || *s == ':' || *s == '%')
            return false;
    return true;
}

static void request_make(struct ifreq *r, const char *name)
{
    memset(r, 0, sizeof(*r));
    memcpy(r->ifr_name, name, strnlen(name, IFNAMSIZ - 1));
}

/* A device that somebody has made with one queue will not have another. */
static int interface_take(int fd, const char *name, bool one)
{
    const int size = sizeof(struct virtio_net_hdr);
    struct ifreq r;

    request_make(&r, name);
    r.ifr_flags = (short)(TAP_FLAGS | IFF_MULTI_QUEUE);
    if (ioctl(fd, TUNSETIFF, &r) < 0) {
        if (errno != EINVAL || !one)
            return -errno;
        request_make(&r, name);
        r.ifr_flags = (short)TAP_FLAGS;
        if (ioctl(fd, TUNSETIFF, &r) < 0)
            return -errno;
    }
    return ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 ? -errno : 0;
}

static int queue_open(const char *name, bool one, int *out, struct problem *why)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    int err;

    if (fd < 0)
        return problem_set(why, -errno, "/dev/net/tun: %m");
    err = interface_take(fd, name, one);
    if (err < 0) {
        (void)close(fd);
        return problem_set(why, err, "tap %s: %s", name, strerror(-err));
    }
    *out = fd;
    return 0;
}

/* Who may use a device need not be allowed to change it: then it is as somebody else has left it.
 */
static int interface_set_up(const char *name, unsigned mtu, struct problem *why)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r;
    int err = 0;

    if (fd < 0)
        return problem_set(why, -errno, "tap %s: %m", name);
    request_make(&r, name);
    r.ifr_mtu = (int)mtu;
    if (ioctl(fd, SIOCSIFMTU, &r) < 0 && errno != EPERM)
        err = problem_set(why, -errno, "tap %s: an MTU of %u: %m", name, mtu);
    request_make(&r, name);
    if (!err && ioctl(fd, SIOCGIFFLAGS, &r) < 0)
        err = problem_set(why, -errno, "tap %s: %m", name);
    r.ifr_flags = (short)(r.ifr_flags | IFF_UP);
    if (!err && ioctl(fd, SIOCSIFFLAGS, &r) < 0 && errno != EPERM)
        err = problem_set(why, -errno, "tap %s: cannot be switched on: %m", name);
    (void)close(fd);
    return err;
}

int tap_open(const char *name, unsigned queues, unsigned mtu, int *fd, struct problem *why)
{
    unsigned open = 0;
    int err = 0;

    while (open < queues && !err) {
        err = queue_open(name, queues == 1, &fd[open], why);
        open += !err;
    }
    if (!err)
        err = interface_set_up(name, mtu, why);
    while (err && open > 0)
        (void)close(fd[--open]);
    return err;
}

int tap_check(int fd, bool *many, struct problem *why)
{
    struct ifreq r = {.ifr_flags = 0};
    int flags = fcntl(fd, F_GETFL);

    if (ioctl(fd, TUNGETIFF, &r) < 0)
        return problem_set(why, -EINVAL, "a queue of a TAP is wanted");
    if ((r.ifr_flags & TAP_FLAGS) != TAP_FLAGS)
        return problem_set(why, -EINVAL, "the TAP has no offload headers");
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return problem_set(why, -errno, "tap: %m");
    *many = r.ifr_flags & IFF_MULTI_QUEUE;
    return 0;
}

/* An only queue is always there: what has come while nobody listened is thrown away. */
static void stale_drop(int fd)
{
    char byte;

    for (unsigned i = 0; i < STALE_MAX && read(fd, &byte, 1) >= 0; i++)
        ;
}

int tap_attach(int fd, bool many, bool on)
{
    struct ifreq r = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

    if (many)
        return ioctl(fd, TUNSETQUEUE, &r) < 0 ? -errno : 0;
    if (on)
        stale_drop(fd);
    return 0;
}

int tap_coalesce(int fd, bool ip4, bool ip6)
{
    unsigned long offload = TUN_F_CSUM;

    if (ip4)
        offload |= TUN_F_TSO4 | TUN_F_TSO_ECN;
    if (ip6)
        offload |= TUN_F_TSO6 | TUN_F_TSO_ECN;
    return ioctl(fd, TUNSETOFFLOAD, offload) < 0 ? -errno : 0;
}
