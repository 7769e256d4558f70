/* SPDX-License-Identifier: MIT */
#ifndef VMWP_CONFIG_H
#define VMWP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/hosted/problem.h"
#include "vsp/socket/socket.h"

/* The configuration file of one machine; docs/vmwp.md and vmwp.8 describe every key. */

#define CONFIG_FILE_MAX    65536U
#define CONFIG_PATH_MAX    1024U
#define CONFIG_LINE_MAX    4096U
#define CONFIG_CMDLINE_MAX 2048U /* with the NUL */
#define CONFIG_NAME_MAX    64U
#define CONFIG_SOCKET_MAX  108U /* sun_path */

#define CONFIG_CONTROLLERS    4U     /* synthetic SCSI controllers */
#define CONFIG_LUNS           64U    /* of each */
#define CONFIG_BANDWIDTH_MIN  65536U /* bytes in a second: what the VSP can keep to */
#define CONFIG_DISKS_MAX      64U    /* in the file */
#define CONFIG_NETWORKS_MAX   8U
#define CONFIG_QUEUES_MAX     64U /* of a network adapter */
#define CONFIG_MTU            1500U
#define CONFIG_MTU_MIN        576U
#define CONFIG_MTU_MAX        9000U
#define CONFIG_PROCESSORS_MAX 64U
#define CONFIG_MEMORY_MIN     (16ULL << 20)
#define CONFIG_MEMORY_MAX     (1ULL << 40)
#define CONFIG_MEMORY_UNIT    (2ULL << 20)

enum config_serial {
    CONFIG_SERIAL_NONE,
    CONFIG_SERIAL_TERMINAL,
    CONFIG_SERIAL_FILE,
    CONFIG_SERIAL_UNIX
};
enum config_crash { CONFIG_CRASH_POWEROFF, CONFIG_CRASH_RESET };

/** One [disk] of the file. */
struct config_disk {
    bool dvd;
    bool read_only;
    bool cached;
    const char *format; /* of config_format(); NULL: not given */
    uint32_t controller;
    uint32_t lun;
    uint32_t iops;              /* 0: no limit */
    uint64_t bandwidth;         /* bytes in a second; 0: no limit */
    char path[CONFIG_PATH_MAX]; /* empty: a DVD drive without a medium */
    unsigned line;              /* of its section */
};

/** [services]: what is offered to the guest. */
struct config_services {
    bool heartbeat, shutdown, time, kvp, vss, copy;
};

/** [hvsocket]: what the guest may reach on the host, and by which socket the host reaches it. */
struct config_service {
    struct vmbus_guid name;
    char path[CONFIG_SOCKET_MAX];
};

struct config_socket {
    char path[CONFIG_SOCKET_MAX]; /* empty: none */
    struct config_service service[RELAY_SERVICES_MAX];
    unsigned services;
};

/** One [network] of the file. */
struct config_network {
    char tap[16]; /* the network device, as long as its name may be */
    bool mac_given;
    uint8_t mac[6];
    bool mac_change; /* the guest may take another address */
    bool spoofing;   /* and send with any other */
    uint32_t mtu;
    uint32_t queues; /* 0: not given */
    unsigned line;   /* of its section */
};

struct config {
    char name[CONFIG_NAME_MAX];
    uint64_t memory; /* bytes */
    bool memory_pinned;
    uint32_t processors;
    enum config_crash on_crash;
    uint32_t weight;  /* 1 to 10000; 0: not given */
    uint32_t reserve; /* percent of a processor for each VP; 0: none */
    uint32_t cap;     /* the same; 0: none */
    char kernel[CONFIG_PATH_MAX];
    char initrd[CONFIG_PATH_MAX]; /* empty: none */
    char cmdline[CONFIG_CMDLINE_MAX];
    enum config_serial serial;
    char serial_path[CONFIG_PATH_MAX];
    char control[CONFIG_SOCKET_MAX]; /* the control socket; empty: none */
    bool user_given;
    uint32_t uid, gid;
    struct config_disk disk[CONFIG_DISKS_MAX];
    unsigned disks;
    struct config_services services;
    struct config_socket socket;
    struct config_network network[CONFIG_NETWORKS_MAX];
    unsigned networks;
    unsigned kernel_line, initrd_line; /* where they stand in the file */
};

/** "raw", "vhd", "vhdx", "iso" as a string that stays; NULL for any other. */
const char *config_format(const char *name);
/** A drive takes discs, a disk everything else. */
bool config_disk_fits(const struct config_disk *disk);

/** Six pairs of hexadecimal digits with colons between. False: they are not, or of a group. */
bool config_mac(const char *text, uint8_t mac[6]);

/** Parse the text of a file. 0, or -EINVAL with "line N: ..." in *why and *out untouched. */
int config_parse(struct config *out, const char *text, size_t len, struct problem *why);

/**
 * Read and parse a file, and see that the files it names can be read. 0, or -errno with *why
 * starting with the path.
 */
int config_load(struct config *out, const char *path, struct problem *why);

#endif
