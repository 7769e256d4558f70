/* SPDX-License-Identifier: MIT */
#include "vmwp/config_priv.h"

/* The section [services]. */

/* A file copy writes anywhere in the guest as its administrator: it is for who asks for it. */
void config_services_begin(struct config *c)
{
    c->services = (struct config_services){
        .heartbeat = true, .shutdown = true, .time = true, .kvp = true, .vss = true};
}

int config_services_heartbeat(const struct config_entry *e)
{
    return config_yes_no(e, &e->config->services.heartbeat, "heartbeat is yes or no");
}

int config_services_shutdown(const struct config_entry *e)
{
    return config_yes_no(e, &e->config->services.shutdown, "shutdown is yes or no");
}

int config_services_time(const struct config_entry *e)
{
    return config_yes_no(e, &e->config->services.time, "time is yes or no");
}

int config_services_kvp(const struct config_entry *e)
{
    return config_yes_no(e, &e->config->services.kvp, "kvp is yes or no");
}

int config_services_vss(const struct config_entry *e)
{
    return config_yes_no(e, &e->config->services.vss, "vss is yes or no");
}

int config_services_copy(const struct config_entry *e)
{
    return config_yes_no(e, &e->config->services.copy, "copy is yes or no");
}
