/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/tool/tool.h"

static bool mtu_take(const char *text, uint32_t *out)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);

    if (end == text || *end || v < MTU_MIN || v > MTU_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool nic_take(const char *text, struct switch_config *s)
{
    if (strlen(text) >= sizeof(s->nic))
        return false;
    (void)strcpy(s->nic, text);
    return true;
}

static bool option(struct switch_config *s, char letter, const char *text)
{
    switch (letter) {
    case 'k':
        return kind_parse(text, &s->kind);
    case 'n':
        return nic_take(text, s);
    case 's':
        return subnet_parse(text, &s->subnet);
    case 'M':
        return mtu_take(text, &s->mtu);
    case 'H':
        s->host = true;
        return true;
    default:
        s->dhcp = true;
        return true;
    }
}

static int run(int argc, char **argv)
{
    struct switch_config s = {.kind = SWITCH_NAT};
    struct problem why;

    for (char k; (k = verb_next(&verb_create, argc, argv)) != 0;)
        if (!option(&s, k, optarg))
            return tool_usage(&verb_create, "'%.40s' makes no sense", optarg);
    if (argc - optind != 1 || !name_take(s.name, argv[optind]))
        return tool_usage(&verb_create, "one NAME is wanted");
    return switch_create(tool_folder, &s, &why) < 0 ? tool_fail(&why) : EXIT_DONE;
}

const struct verb verb_create = {
    .name = "create",
    .arguments = "[OPTION...] NAME",
    .purpose = "make a switch",
    .run = run,
    .option = {{"kind", "K", 'k', "nat (if not given), external, internal or private"},
               {"nic", "CARD", 'n', "external: the host's network card"},
               {"host", NULL, 'H', "external: the host is on the switch with its addresses"},
               {"subnet", "NET", 's', "nat, internal: as 10.1.2.0/24; the host has the first"},
               {"dhcp", NULL, 'd', "internal: give addresses of the subnet to guests"},
               {"mtu", "N", 'M', "576 to 9216, else 1500"}},
};
