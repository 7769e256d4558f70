/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "lib/bits.h"
#include "vmwp/config_priv.h"
#include "vmwp/tap.h"

/* The [network] sections of the configuration file. */

static struct config_network *last(struct config *c)
{
    return &c->network[c->networks - 1];
}

int config_network_begin(struct config *c, unsigned line, struct problem *why)
{
    if (c->networks == CONFIG_NETWORKS_MAX)
        return problem_set(why, -EINVAL, "line %u: more than %u [network] sections", line,
                           CONFIG_NETWORKS_MAX);
    c->network[c->networks++] = (struct config_network){.mtu = CONFIG_MTU, .line = line};
    return 0;
}

int config_network_end(struct config *c, struct problem *why)
{
    struct config_network *n;

    if (!c->networks)
        return 0;
    n = last(c);
    if (!n->tap[0])
        return problem_set(why, -EINVAL, "line %u: 'tap' in [network] is missing", n->line);
    for (unsigned i = 0; i + 1 < c->networks; i++)
        if (strcmp(c->network[i].tap, n->tap) == 0)
            return problem_set(why, -EINVAL, "line %u: tap %s is taken by line %u", n->line, n->tap,
                               c->network[i].line);
    return 0;
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;

    return at ? (int)(at - digits) : -1;
}

bool config_mac(const char *text, uint8_t mac[6])
{
    uint8_t out[6];

    for (unsigned i = 0; i < 6; i++, text += 3) {
        int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
        if (low < 0 || text[2] != (i < 5 ? ':' : 0))
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    if (out[0] & 1)
        return false;
    memcpy(mac, out, sizeof(out));
    return true;
}

int config_network_tap(const struct config_entry *e)
{
    if (!tap_name_good(e->value))
        return config_bad(e, "tap is the name of a network device");
    memcpy(last(e->config)->tap, e->value, strlen(e->value) + 1);
    return 0;
}

int config_network_mac(const struct config_entry *e)
{
    struct config_network *n = last(e->config);

    n->mac_given = config_mac(e->value, n->mac);
    return n->mac_given ? 0 : config_bad(e, "mac is XX:XX:XX:XX:XX:XX, and no group's");
}

int config_network_mtu(const struct config_entry *e)
{
    return config_number_in(e, CONFIG_MTU_MIN, CONFIG_MTU_MAX, "", &last(e->config)->mtu,
                            "mtu is a number from 576 to 9000");
}

int config_network_queues(const struct config_entry *e)
{
    return config_number_in(e, 1, CONFIG_QUEUES_MAX, "", &last(e->config)->queues,
                            "queues is a number from 1 to 64");
}

int config_network_mac_change(const struct config_entry *e)
{
    return config_yes_no(e, &last(e->config)->mac_change, "mac_change is yes or no");
}

int config_network_spoofing(const struct config_entry *e)
{
    return config_yes_no(e, &last(e->config)->spoofing, "mac_spoofing is yes or no");
}
