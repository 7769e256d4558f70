/* SPDX-License-Identifier: MIT */
#ifndef VMWP_CONFIG_PRIV_H
#define VMWP_CONFIG_PRIV_H

#include "vmwp/config.h"

/* Of config.c, config_disk.c and config_network.c. */

/** What a parser of a value is given. */
struct config_entry {
    struct config *config;
    const char *value;
    unsigned line;
    struct problem *why;
};

/** "line N: WHAT, not 'VALUE'"; -EINVAL. */
int config_bad(const struct config_entry *e, const char *what);

/** A decimal number of at most 12 digits; the first byte after it in *rest. False: none there. */
bool config_number(const char *s, uint64_t *out, const char **rest);

/** A number from `low` to `high` followed by `suffix`. 0, or config_bad(). */
int config_number_in(const struct config_entry *e, uint64_t low, uint64_t high, const char *suffix,
                     uint32_t *out, const char *what);

int config_yes_no(const struct config_entry *e, bool *out, const char *what);

/** An absolute path of less than `size` bytes. 0, or -EINVAL with a sentence about `what`. */
int config_absolute(const struct config_entry *e, const char *path, char *out, size_t size,
                    const char *what);

/** A [disk] begins in this line; it is the last of the configuration. 0, or -EINVAL: too many. */
int config_disk_begin(struct config *c, unsigned line, struct problem *why);
/** The last [disk] is complete: defaults are filled in. 0, or -EINVAL with its line in *why. */
int config_disk_end(struct config *c, struct problem *why);

/* The keys of [disk], about the last one. */
int config_disk_path(const struct config_entry *e);
int config_disk_type(const struct config_entry *e);
int config_disk_controller(const struct config_entry *e);
int config_disk_lun(const struct config_entry *e);
int config_disk_read_only(const struct config_entry *e);
int config_disk_format(const struct config_entry *e);
int config_disk_cache(const struct config_entry *e);
int config_disk_iops(const struct config_entry *e);
int config_disk_bandwidth(const struct config_entry *e);

/* config_socket.c: the keys of [hvsocket]. */
int config_socket_path(const struct config_entry *e);
int config_socket_services(const struct config_entry *e);

/* config_services.c: what there is without a word about it, and the keys. */
void config_services_begin(struct config *c);
int config_services_heartbeat(const struct config_entry *e);
int config_services_shutdown(const struct config_entry *e);
int config_services_time(const struct config_entry *e);
int config_services_kvp(const struct config_entry *e);
int config_services_vss(const struct config_entry *e);
int config_services_copy(const struct config_entry *e);
/** As with [disk]. */
int config_network_begin(struct config *c, unsigned line, struct problem *why);
int config_network_end(struct config *c, struct problem *why);

/* The keys of [network], about the last one. */
int config_network_tap(const struct config_entry *e);
int config_network_mac(const struct config_entry *e);
int config_network_mac_change(const struct config_entry *e);
int config_network_spoofing(const struct config_entry *e);
int config_network_mtu(const struct config_entry *e);
int config_network_queues(const struct config_entry *e);

#endif
