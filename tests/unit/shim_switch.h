/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_SWITCH_H
#define TESTS_UNIT_SHIM_SWITCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "vmms/switch/switch_priv.h"

/* A store with a NAT switch "n" with ports "a" and "b", and a private one "p" with a port "c". */
static inline void shim_port(struct switch_store *st, const char *name, const char *on, uint32_t at)
{
    struct port_config *p = &st->port[st->ports];

    *p = (struct port_config){.id = st->ports++, .address = at, .mac = plan_mac(on, name, 0)};
    (void)strcpy(p->name, name);
    (void)strcpy(p->on, on);
}

static inline struct switch_store *shim_store(void)
{
    struct switch_store *st = calloc(1, sizeof(*st));

    assert_non_null(st);
    st->switches = 2;
    st->sw[0] = (struct switch_config){.name = "n",
                                       .kind = SWITCH_NAT,
                                       .mac = {{2, 0, 0, 0, 0, 1}},
                                       .dhcp = true,
                                       .subnet = {0xAC1C0000, 24},
                                       .mtu = MTU_DEFAULT};
    st->sw[1] = (struct switch_config){.name = "p",
                                       .kind = SWITCH_PRIVATE,
                                       .id = 1,
                                       .mac = {{2, 0, 0, 0, 0, 2}},
                                       .mtu = MTU_DEFAULT};
    shim_port(st, "a", "n", 0xAC1C0005);
    shim_port(st, "b", "n", 0xAC1C0006);
    shim_port(st, "c", "p", 0);
    return st;
}

#endif
