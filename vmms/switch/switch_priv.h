/* SPDX-License-Identifier: MIT */
#ifndef VMMS_SWITCH_SWITCH_PRIV_H
#define VMMS_SWITCH_SWITCH_PRIV_H

#include <stdio.h>
#include "vmms/switch/switch.h"

/* What the files of the switch share. */

#define SWITCH_FOLDER   "/var/lib/bulkhead/switch"
#define STORE_BYTES_MAX (4u << 20)
#define LEASES_MAX      4096
#define LEASE_BYTES_MAX (1u << 20)
#define ROUTES_MAX      4096
#define SEEN_PER_PORT   32 /* addresses of each family that are kept for a port */
#define SEEN_S          1800

/* ---- text.c: numbers and words as people write them; false: it is none ---- */

bool mac_parse(const char *text, struct mac *out);
void mac_text(char out[18], const struct mac *m);
bool mac_same(const struct mac *a, const struct mac *b);
bool mac_none(const struct mac *m);
/** One that a single station may have. */
bool mac_usable(const struct mac *m);
bool address_parse(const char *text, uint32_t *out);
void address_text(char out[16], uint32_t address);
/** "10.1.2.0/24": the address must be that of a network, the prefix 8 to 29. */
bool subnet_parse(const char *text, struct subnet *out);
void subnet_text(char out[20], const struct subnet *s);
/** "10M", "1G", "64000": bits per second, K, M, G of 1000; "0" and "none": no limit. */
bool rate_parse(const char *text, uint64_t *out);
/** "10,20-29" */
bool vlans_parse(const char *text, struct vlan_set *out);
bool vlan_parse(const char *text, uint16_t *out);
/** Cut at `size`. */
void vlans_text(char *out, size_t size, const struct vlan_set *v);
bool vlan_has(const struct vlan_set *v, unsigned id);
void vlan_add(struct vlan_set *v, unsigned id);
const char *kind_text(enum switch_kind k);
bool kind_parse(const char *text, enum switch_kind *out);
bool name_good(const char *name);

/* ---- plan.c: who has which IPv4 address ---- */

uint32_t subnet_mask(const struct subnet *s);
bool subnet_has(const struct subnet *s, uint32_t address);
bool subnets_overlap(const struct subnet *a, const struct subnet *b);
uint32_t subnet_host(const struct subnet *s);
/** Those that DHCP gives to whom it does not know; below them are the ports'. */
void subnet_dynamic(const struct subnet *s, uint32_t *first, uint32_t *last);
/** The first of 172.28.0.0/24 to 172.28.255.0/24 that overlaps none of `taken`: 0 or -ENOSPC. */
int plan_subnet(struct subnet *out, const struct subnet *taken, unsigned n);
/** A free address for a port, by its MAC, so that it is the same the next time: 0 or -ENOSPC. */
int plan_address(uint32_t *out, const struct switch_store *st, const struct switch_config *s,
                 const struct mac *m);
/** From two names; the same ones give the same. Bit 1 of the first byte says: not a maker's. */
struct mac plan_mac(const char *a, const char *b, unsigned again);

/* ---- check.c: whether something fits the store; nothing is changed ---- */

int check_switch(const struct switch_store *st, const struct switch_config *s, struct problem *why);
/** `st` may hold a port of that name already: it is not compared with itself. */
int check_port(const struct switch_store *st, const struct port_config *p, struct problem *why);

/* ---- store.c, store_text.c ---- */

struct store_lock {
    int fd;
};

int store_lock(struct store_lock *l, const char *folder, struct problem *why);
void store_unlock(struct store_lock *l);
/** A store that is not there is empty. */
int store_load(struct switch_store *st, const char *folder, struct problem *why);
/** Written aside, flushed, renamed. */
int store_save(const struct switch_store *st, const char *folder, struct problem *why);
/** Whole file into memory with a 0 behind it; free() it. `length` may be NULL. -EFBIG beyond `max`.
 */
int file_read(char **out, size_t *length, const char *path, size_t max);
int file_write(const char *path, const char *text, struct problem *why);
/** The text that store_save() writes; free() it; NULL: no memory. */
char *store_format(const struct switch_store *st);
int store_parse(struct switch_store *st, const char *text, size_t length, struct problem *why);
struct switch_config *store_switch(struct switch_store *st, const char *name);
struct port_config *store_port(struct switch_store *st, const char *name);
bool store_mac_used(const struct switch_store *st, const struct mac *m);
void store_remove_switch(struct switch_store *st, const char *name);
void store_remove_port(struct switch_store *st, const char *name);

/* ---- rules.c: all rules of nftables as text; a function of the store and what was learnt ---- */

/** An address that the kernel saw a port use. */
struct seen {
    unsigned port_id;
    int family;
    uint8_t address[16];
    unsigned expires_s;
};

struct seen_list {
    unsigned n;
    struct seen *at; /* free() it */
};

/** What replaces the tables of ours, in one transaction. free() it; NULL: no memory. */
char *rules_format(const struct switch_store *st, const struct seen_list *seen);
/** What takes the tables away. */
extern const char rules_none[];

/* ---- seen.c: what nft -j says of the sets in these tables ---- */

int seen_parse(struct seen_list *out, const char *text, size_t length);

/* ---- lease.c ---- */

struct lease {
    struct mac mac;
    uint32_t address;
};

/** dnsmasq's file of leases; lines that are none are skipped. Returns how many of `max` came. */
unsigned lease_parse(struct lease *out, unsigned max, const char *text);
/** The file without leases of addresses that the store has given to others: free() it. NULL: there
 * are none, or no memory. */
char *lease_filter(const char *text, const struct switch_store *st, const struct switch_config *s);

/* ---- dnsmasq.c ---- */

char *dnsmasq_config(const char *folder, const struct switch_config *s, const char *user);
char *dnsmasq_hosts(const struct switch_store *st, const struct switch_config *s);
void dnsmasq_path(char *out, size_t size, const char *folder, const struct switch_config *s,
                  const char *end);
/** Whether a command line of /proc is that of the dnsmasq with this configuration. */
bool dnsmasq_is(const char *cmdline, size_t length, const char *config_path);

/* ---- dnsmasq_run.c ---- */

/** Running with what the store says: started, or told to read its hosts again. */
int dnsmasq_ensure(const char *folder, const struct switch_store *st, const struct switch_config *s,
                   struct problem *why);
void dnsmasq_stop(const char *folder, const struct switch_config *s);
/** Those of this folder that belong to no switch of the store. */
void dnsmasq_stop_strays(const char *folder, const struct switch_store *st);

/* ---- process.c ---- */

/** When a process began: 0 or -ESRCH. */
int process_start(pid_t pid, uint64_t *ticks);
bool owner_gone(const struct port_config *p);
/** "PID (any) words) S 1 2 …" as in /proc/PID/stat. */
bool process_start_parse(const char *text, uint64_t *ticks);

/* ---- kernel.c: the store's things as links of the kernel ---- */

int kernel_make_switch(const struct switch_config *s, struct problem *why);
/** Addresses go back to the card, if there is one. */
void kernel_remove_switch(const struct switch_config *s);
/** The tap, without rules and not on its switch yet. */
int kernel_make_port(const struct switch_config *s, const struct port_config *p,
                     struct problem *why);
/** On its switch with VLANs and limits, and up. Also after a change. */
int kernel_join_port(const struct switch_store *st, const struct port_config *p,
                     struct problem *why);
void kernel_remove_port(const struct port_config *p);
/** The card of an external switch carries the VLANs of all ports. */
int kernel_card_vlans(const struct switch_store *st, const struct switch_config *s);
bool kernel_has(const char *link);
/** Whether the bridge is there and was made to the end. */
bool kernel_has_switch(const struct switch_config *s);
/** Removes links with our mark that are not the store's; counts them. */
int kernel_remove_strays(const struct switch_store *st, unsigned *removed);
/** Turns IPv4 forwarding on if a switch needs it, and off again if we turned it on. */
int kernel_forwarding(struct switch_store *st, struct problem *why);

/* ---- tap.c ---- */

/** A tap with the headers that offloads need, as a descriptor: it goes with that. */
int tap_open(const char *name, bool one_queue, uint32_t user);
/** From now on it stays. */
int tap_keep(int fd);

/* ---- nft.c ---- */

int nft_apply(const char *text, struct problem *why);
/** What the sets hold now; none if there is no table. */
int nft_seen(struct seen_list *out);

/* ---- settle.c: what all calls that change something begin and end with ---- */

/** Locks, loads, forgets ports that are gone, makes switches that are missing. Ends with
 * settle_end() if it is 0. */
struct settled {
    const char *folder;
    struct store_lock lock;
    struct switch_store *st;
    struct clean_report done;
};

int settle_begin(struct settled *s, const char *folder, struct problem *why);
void settle_end(struct settled *s);
/** All rules as the store wants them. */
int settle_rules(const struct switch_store *st, struct problem *why);
/** dnsmasq of one switch, if it has one. */
int settle_dhcp(const struct settled *s, const struct switch_config *sw, struct problem *why);

#endif
