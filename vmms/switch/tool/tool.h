/* SPDX-License-Identifier: MIT */
#ifndef VMMS_SWITCH_TOOL_TOOL_H
#define VMMS_SWITCH_TOOL_TOOL_H

#include <jansson.h>
#include "lib/hosted/verbs.h"
#include "vmms/switch/switch_priv.h"

/* What the verbs of bhswitch share. */

extern const struct verb verb_create, verb_delete, verb_list, verb_show, verb_connect,
    verb_disconnect, verb_set, verb_clean;

/** Where the store is. */
extern const char *tool_folder;

/** Copies a name; false: it is too long to be one. */
bool name_take(char out[SWITCH_NAME_MAX + 1], const char *text);

/* port_options.c: what connect and set have in common */

#define PORT_OPTIONS                                                                               \
    {"mac", "MAC", 'm', "of the guest's card"},                                                    \
        {"address", "IP", 'a', "fixed IPv4 address; none"},                                        \
        {"vlan", "N", 'v', "the VLAN that the guest is in; none"},                                 \
        {"trunk", "LIST", 't', "VLANs that it has with tags: 10,20-29"},                           \
        {"native", "N", 'n', "of a trunk: the VLAN of what has no tag; none"},                     \
        {"max-sent", "RATE", 's', "bits per second from the guest: 10M; none"},                    \
        {"max-received", "RATE", 'r', "bits per second to the guest; none"},                       \
        {"mirror-to", "PORT", 'M', "copy all frames there; none"},                                 \
        {"mirror", "WHICH", 'w', "sent, received or both"},                                        \
        {"isolated", "YES", 'i', "no way to other isolated ports: yes or no"},                     \
    {                                                                                              \
        "allow", "LIST", 'A', "guards to leave off: mac,dhcp,router,address; none"                 \
    }

/** What one of these options says, into `p`. False: it makes no sense. */
bool port_option(struct port_config *p, char letter, const char *text);
/** What must hold of them together: NULL or what is wrong. */
const char *port_options_problem(const struct port_config *p);

/* report.c */

json_t *report_switch(const struct switch_config *s);
json_t *report_port(const struct switch_store *st, const struct port_config *p);
void report_print(json_t *j);

#endif
