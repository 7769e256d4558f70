/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/netlink.h"

struct found {
    struct learnt *out;
    unsigned n;
};

static void add(struct found *f, int family, const void *address, unsigned by)
{
    size_t size = family == AF_INET ? 4 : 16;

    for (unsigned k = 0; k < f->n; k++)
        if (f->out[k].family == family && memcmp(f->out[k].address, address, size) == 0) {
            f->out[k].by |= by;
            return;
        }
    if (f->n == LEARNT_MAX)
        return;
    f->out[f->n] = (struct learnt){.family = family, .by = by};
    memcpy(f->out[f->n++].address, address, size);
}

static void add_leases(struct found *f, const char *folder, const struct switch_config *s,
                       const struct mac *mac)
{
    struct lease *l = malloc(LEASES_MAX * sizeof(*l));
    char path[4096], *text;

    dnsmasq_path(path, sizeof(path), folder, s, "leases");
    if (l && file_read(&text, NULL, path, LEASE_BYTES_MAX) == 0) {
        unsigned n = lease_parse(l, LEASES_MAX, text);

        for (unsigned k = 0; k < n; k++) {
            uint32_t address = htonl(l[k].address);

            if (mac_same(&l[k].mac, mac))
                add(f, AF_INET, &address, LEARNT_DHCP);
        }
        free(text);
    }
    free(l);
}

static void add_neighbours(struct found *f, const struct switch_config *s, const struct mac *mac)
{
    struct learnt near[LEARNT_MAX];
    char name[IFNAMSIZ];
    struct nl *n;
    int count;

    switch_bridge_name(name, s);
    if (nl_open(&n) < 0)
        return;
    count = address_neighbours(n, (int)if_nametoindex(name), mac, near, LEARNT_MAX);
    nl_close(n);
    for (int k = 0; k < count; k++)
        add(f, near[k].family, near[k].address, LEARNT_NEIGHBOUR);
}

int switch_learnt(const char *folder, const struct switch_store *st, const struct port_config *p,
                  struct learnt out[LEARNT_MAX])
{
    const struct switch_config *s = switch_named(st, p->on);
    struct found f = {.out = out};
    struct seen_list seen;
    uint32_t fixed = htonl(p->address);

    if (p->address)
        add(&f, AF_INET, &fixed, LEARNT_FIXED);
    if (s && s->dhcp)
        add_leases(&f, folder, s, &p->mac);
    if (nft_seen(&seen) == 0) {
        for (unsigned k = 0; k < seen.n; k++)
            if (seen.at[k].port_id == p->id)
                add(&f, seen.at[k].family, seen.at[k].address, LEARNT_SEEN);
        free(seen.at);
    }
    if (s)
        add_neighbours(&f, s, &p->mac);
    return (int)f.n;
}
