/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

/* Words of dnsmasq(8). */

#define LEASE_TIME "1h"

void dnsmasq_path(char *out, size_t size, const char *folder, const struct switch_config *s,
                  const char *end)
{
    (void)snprintf(out, size, "%s/bhs%u.%s", folder, s->id, end);
}

static void range_lines(FILE *f, const struct switch_config *s)
{
    uint32_t first, last, mask = subnet_mask(&s->subnet);
    char a[16], b[16], m[16];

    subnet_dynamic(&s->subnet, &first, &last);
    address_text(a, first);
    address_text(b, last);
    address_text(m, mask);
    (void)fprintf(f, "dhcp-range=%s,%s,%s," LEASE_TIME "\n", a, b, m);
    if (s->mtu != MTU_DEFAULT)
        (void)fprintf(f, "dhcp-option=option:mtu,%" PRIu32 "\n", s->mtu);
    /* The host forwards nothing for it, and asks nobody for its guests. */
    if (s->kind != SWITCH_NAT)
        (void)fputs("dhcp-option=option:router\nno-resolv\n", f);
}

char *dnsmasq_config(const char *folder, const struct switch_config *s, const char *user)
{
    char *text = NULL, path[4096];
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    (void)fprintf(f,
                  "# Made by Bulkhead for the switch %s.\n"
                  "interface=bhs%u\nexcept-interface=lo\nbind-interfaces\n"
                  "no-hosts\ndomain-needed\nbogus-priv\nstop-dns-rebind\n"
                  "dhcp-authoritative\nquiet-dhcp\nuser=%s\n",
                  s->name, s->id, user);
    range_lines(f, s);
    dnsmasq_path(path, sizeof(path), folder, s, "leases");
    (void)fprintf(f, "dhcp-leasefile=%s\n", path);
    dnsmasq_path(path, sizeof(path), folder, s, "hosts");
    (void)fprintf(f, "dhcp-hostsfile=%s\n", path);
    dnsmasq_path(path, sizeof(path), folder, s, "pid");
    (void)fprintf(f, "pid-file=%s\n", path);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* A name that DNS takes: letters, digits, hyphens; what else a name may hold becomes a hyphen. */
static void host_name(char out[SWITCH_NAME_MAX + 1], const char *name)
{
    size_t n = strlen(name);

    for (size_t k = 0; k <= n; k++)
        out[k] = name[k] == '.' || name[k] == '_' ? '-' : name[k];
    while (n && out[n - 1] == '-')
        out[--n] = 0;
}

char *dnsmasq_hosts(const struct switch_store *st, const struct switch_config *s)
{
    char *text = NULL, mac[18], address[16], name[SWITCH_NAME_MAX + 1];
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    for (unsigned k = 0; k < st->ports; k++) {
        const struct port_config *p = &st->port[k];

        if (strcmp(p->on, s->name) != 0 || !p->address)
            continue;
        mac_text(mac, &p->mac);
        address_text(address, p->address);
        host_name(name, p->name);
        (void)fprintf(f, "%s,%s,%s\n", mac, address, name);
    }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

bool dnsmasq_is(const char *cmdline, size_t length, const char *config_path)
{
    const char *second = memchr(cmdline, 0, length), *name;
    char want[4200];
    size_t left;

    if (!second || ++second >= cmdline + length)
        return false;
    name = strrchr(cmdline, '/');
    if (strcmp(name ? name + 1 : cmdline, "dnsmasq") != 0)
        return false;
    (void)snprintf(want, sizeof(want), "--conf-file=%s", config_path);
    left = (size_t)(cmdline + length - second);
    return strnlen(second, left) == strlen(want) && memcmp(second, want, strlen(want)) == 0;
}
