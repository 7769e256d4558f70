/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "vsp/socket/socket_priv.h"
#include "lib/hosted/thread.h"

/* The life of a relay. */

#define PORT_FIRST 1024U

static void relay_free(struct relay *r)
{
    for (unsigned i = 0; i < RELAY_CONNECTIONS_MAX; i++)
        if (r->connection[i].wake >= 0)
            (void)close(r->connection[i].wake);
    if (r->wake >= 0)
        (void)close(r->wake);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
}

static int event(int *fd)
{
    *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *fd < 0 ? -errno : 0;
}

int relay_start(struct relay **out, const struct relay_config *config)
{
    struct relay *r = calloc(1, sizeof(*r));
    int err;

    if (!r)
        return -ENOMEM;
    r->config = *config;
    r->next_port = PORT_FIRST;
    (void)pthread_mutex_init(&r->lock, NULL);
    err = event(&r->wake);
    for (unsigned i = 0; i < RELAY_CONNECTIONS_MAX; i++) {
        r->connection[i].relay = r;
        r->connection[i].fd = r->connection[i].wake = -1;
        if (!err)
            err = event(&r->connection[i].wake);
    }
    if (!err)
        err = thread_start(&r->thread, manager_thread, r);
    if (err)
        relay_free(r);
    else
        *out = r;
    return err;
}

void relay_stop(struct relay *r)
{
    if (!r)
        return;
    (void)pthread_mutex_lock(&r->lock);
    r->stop = true;
    (void)pthread_mutex_unlock(&r->lock);
    relay_wake(r->wake);
    (void)pthread_join(r->thread, NULL);
    relay_free(r);
}

void relay_info(struct relay *r, struct relay_info *info)
{
    (void)pthread_mutex_lock(&r->lock);
    *info = r->info;
    (void)pthread_mutex_unlock(&r->lock);
}
