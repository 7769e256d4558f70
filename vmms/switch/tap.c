/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "vmms/switch/switch_priv.h"

/* A worker opens it by its name with the same flags: the kernel wants IFF_MULTI_QUEUE from all or
 * from nobody. */
int tap_open(const char *name, bool one_queue, uint32_t user)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), err;

    if (fd < 0)
        return -errno;
    if (!one_queue)
        r.ifr_flags |= IFF_MULTI_QUEUE;
    (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &r) < 0 || ioctl(fd, TUNSETOWNER, (unsigned long)user) < 0) {
        err = -errno;
        (void)close(fd);
        return err;
    }
    return fd;
}

int tap_keep(int fd)
{
    return ioctl(fd, TUNSETPERSIST, 1ul) < 0 ? -errno : 0;
}
