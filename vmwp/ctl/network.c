/* SPDX-License-Identifier: MIT */
/* The verbs of vmwpctl about network adapters. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/hosted/problem.h"
#include "vmwp/ctl/ctl.h"
#include "vmwp/tap.h"

#define OPTIONS_NETWORK (OPTION_MAC | OPTION_MTU | OPTION_QUEUES)

/* A device that is not there yet is made, and goes with the machine's adapter. */
static int make_add(const struct ctl_arguments *a, struct ctl_request *r)
{
    json_int_t mtu = a->given & OPTION_MTU ? a->mtu : 1500;
    json_int_t queues = a->given & OPTION_QUEUES ? a->queues : 1;
    struct problem why;

    if (!tap_name_good(a->value))
        return ctl_fail("TAP is the name of a network device");
    if (tap_open(a->value, (unsigned)queues, (unsigned)mtu, r->file, &why) < 0)
        return ctl_fail(why.text);
    r->files = (unsigned)queues;
    r->object = json_pack("{s:s, s:s, s:I}", "do", "network-add", "tap", a->value, "mtu", mtu);
    if (a->mac)
        (void)json_object_set_new(r->object, "mac", json_string(a->mac));
    return 0;
}

static int number(const char *text)
{
    return strlen(text) <= 4 && strspn(text, "0123456789") == strlen(text) ? atoi(text) : -1;
}

static int make_remove(const struct ctl_arguments *a, struct ctl_request *r)
{
    r->object = json_pack("{s:s, s:i}", "do", "network-remove", "network", number(a->value));
    return 0;
}

static int make_link(const struct ctl_arguments *a, struct ctl_request *r)
{
    bool up = strcmp(a->word[1], "up") == 0;

    if (!up && strcmp(a->word[1], "down") != 0)
        return ctl_fail("a link is up or down");
    r->object = json_pack("{s:s, s:i, s:b}", "do", "network-link", "network", number(a->value),
                          "up", (int)up);
    return 0;
}

const struct ctl_verb ctl_network_verbs[] = {
    {"network-add", "TAP", "add a network adapter; print its number", OPTIONS_NETWORK, false, 1,
     make_add, 0, NULL},
    {"network-remove", "N", "take a network adapter away", 0, false, 1, make_remove, 0, NULL},
    {"link", "N up|down", "plug a network adapter's cable in or out", 0, false, 2, make_link, 0,
     NULL},
    {0},
};
