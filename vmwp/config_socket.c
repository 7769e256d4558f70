/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "lib/errno.h"
#include "vmwp/config_priv.h"

/* The section [hvsocket]. */

int config_socket_path(const struct config_entry *e)
{
    return config_absolute(e, e->value, e->config->socket.path, CONFIG_SOCKET_MAX, "path");
}

static bool known(const struct config_socket *s, const struct vmbus_guid *service)
{
    for (unsigned i = 0; i < s->services; i++)
        if (memcmp(&s->service[i].name, service, sizeof(*service)) == 0)
            return true;
    return false;
}

/* "ID:PATH", which is the caller's to change. */
static int service(const struct config_entry *e, char *text)
{
    struct config_socket *s = &e->config->socket;
    struct config_service *new = &s->service[s->services];
    char *colon = strchr(text, ':');
    int err;

    if (s->services == RELAY_SERVICES_MAX)
        return problem_set(e->why, -EINVAL, "line %u: more than %u services", e->line,
                           RELAY_SERVICES_MAX);
    if (colon)
        *colon = 0;
    if (!colon || relay_service_parse(text, &new->name) < 0)
        return problem_set(e->why, -EINVAL,
                           "line %u: a service is PORT:PATH or GUID:PATH, not '%.80s'", e->line,
                           text);
    if (known(s, &new->name))
        return problem_set(e->why, -EINVAL, "line %u: service %.40s is given twice", e->line, text);
    err = config_absolute(e, colon + 1, new->path, sizeof(new->path), "a service");
    s->services += !err;
    return err;
}

int config_socket_services(const struct config_entry *e)
{
    char copy[CONFIG_LINE_MAX], *rest = copy, *word;
    size_t length = strlen(e->value);
    int err = 0;

    if (length >= sizeof(copy))
        return config_bad(e, "services is a shorter list");
    memcpy(copy, e->value, length + 1);
    while (!err && (word = strtok_r(rest, " \t", &rest)))
        err = service(e, word);
    return err;
}
