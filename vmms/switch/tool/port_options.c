/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include "lib/bits.h"
#include "vmms/switch/tool/tool.h"

static bool none(const char *text)
{
    return strcmp(text, "none") == 0;
}

static bool vlan_option(struct port_config *p, const char *text)
{
    p->trunk = (struct vlan_set){{0}};
    p->vlan = 0;
    p->vlan_mode = none(text) ? VLAN_UNTAGGED : VLAN_ACCESS;
    return none(text) || vlan_parse(text, &p->vlan);
}

/* A trunk that was an access port has no native VLAN from that. */
static bool trunk_option(struct port_config *p, const char *text)
{
    if (p->vlan_mode != VLAN_TRUNK)
        p->vlan = 0;
    p->vlan_mode = VLAN_TRUNK;
    return vlans_parse(text, &p->trunk);
}

static bool native_option(struct port_config *p, const char *text)
{
    p->vlan_mode = VLAN_TRUNK;
    p->vlan = 0;
    return none(text) || vlan_parse(text, &p->vlan);
}

static bool mirror_option(struct port_config *p, const char *text)
{
    static const char *const words[] = {"sent", "received", "both"};

    for (unsigned k = 0; k < ARRAY_SIZE(words); k++)
        if (strcmp(text, words[k]) == 0) {
            p->mirror = (enum mirror)(k + 1);
            return true;
        }
    return false;
}

static bool mirror_to_option(struct port_config *p, const char *text)
{
    if (none(text)) {
        p->mirror_to[0] = 0;
        p->mirror = 0;
        return true;
    }
    if (!p->mirror)
        p->mirror = MIRROR_BOTH;
    return name_take(p->mirror_to, text);
}

static bool isolated_option(struct port_config *p, const char *text)
{
    p->isolated = strcmp(text, "yes") == 0;
    return p->isolated || strcmp(text, "no") == 0;
}

static bool allow_option(struct port_config *p, const char *text)
{
    bool *const flag[] = {&p->may_spoof_mac, &p->may_serve_dhcp, &p->may_route,
                          &p->may_spoof_address};
    static const char *const words[] = {"mac", "dhcp", "router", "address"};

    for (unsigned k = 0; k < ARRAY_SIZE(flag); k++)
        *flag[k] = false;
    if (none(text))
        return true;
    for (;;) {
        size_t n = strcspn(text, ",");
        bool known = false;

        for (unsigned k = 0; k < ARRAY_SIZE(words); k++)
            if (strlen(words[k]) == n && memcmp(words[k], text, n) == 0)
                *flag[k] = known = true;
        if (!known || !text[n])
            return known;
        text += n + 1;
    }
}

static bool address_option(struct port_config *p, const char *text)
{
    p->address = 0;
    return none(text) || (address_parse(text, &p->address) && p->address);
}

bool port_option(struct port_config *p, char letter, const char *text)
{
    switch (letter) {
    case 'm':
        return mac_parse(text, &p->mac);
    case 'a':
        return address_option(p, text);
    case 'v':
        return vlan_option(p, text);
    case 't':
        return trunk_option(p, text);
    case 'n':
        return native_option(p, text);
    case 's':
        return rate_parse(text, &p->sent_max_bps);
    case 'r':
        return rate_parse(text, &p->received_max_bps);
    case 'M':
        return mirror_to_option(p, text);
    case 'w':
        return mirror_option(p, text);
    case 'i':
        return isolated_option(p, text);
    case 'A':
        return allow_option(p, text);
    default:
        return false;
    }
}

const char *port_options_problem(const struct port_config *p)
{
    static const struct vlan_set empty;

    if (p->mirror && !p->mirror_to[0])
        return "--mirror wants --mirror-to";
    if (p->vlan_mode == VLAN_TRUNK && memcmp(&p->trunk, &empty, sizeof(empty)) == 0)
        return "--native wants --trunk";
    return NULL;
}
