/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_setname_np() */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/bits.h"
#include "lib/hosted/thread.h"
#include "vsp/socket/socket_priv.h"

/* A connection while its channel is open: a thread that relays. */

#define ROUNDS_LAST 256U /* after the guest has closed: its whole ring */

void relay_wake(int fd)
{
    (void)eventfd_write(fd, 1);
}

void relay_drain(int fd)
{
    eventfd_t count;

    (void)eventfd_read(fd, &count);
}

/* Who has asked for the guest hears that it has answered. */
static void greet(const struct connection *c)
{
    const uint8_t *e = c->endpoint.bytes;
    char line[32];
    struct iovec part = {line, 0};
    const struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

    part.iov_len =
        (size_t)snprintf(line, sizeof(line), "OK %u\n",
                         e[0] | (unsigned)e[1] << 8 | (unsigned)e[2] << 16 | (unsigned)e[3] << 24);
    (void)sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool stopped(struct connection *c)
{
    bool stop;

    (void)pthread_mutex_lock(&c->relay->lock);
    stop = c->stop;
    (void)pthread_mutex_unlock(&c->relay->lock);
    return stop;
}

/* Sleep until something happens; a socket of which nothing is wanted would not let us. */
static void wait_for(struct connection *c, int channel_fd)
{
    struct stream *s = &c->stream;
    const short events = stream_events(s);
    struct pollfd polls[] = {{c->wake, POLLIN, 0},
                             {channel_fd, POLLIN, 0},
                             {events || !s->hung_up ? s->fd : -1, events, 0}};

    (void)poll(polls, ARRAY_SIZE(polls), -1);
    if (polls[0].revents)
        relay_drain(c->wake);
    if (polls[1].revents)
        relay_drain(channel_fd);
    if (polls[2].revents & (POLLHUP | POLLERR | POLLNVAL))
        s->hung_up = true;
}

static void *connection_thread(void *arg)
{
    struct connection *c = arg;
    const int channel_fd = vmbus_channel_fd(c->stream.channel);
    unsigned last = 0;
    int more;

    (void)pthread_setname_np(pthread_self(), "hvsocket");
    if (c->from_host)
        greet(c);
    while ((more = stream_work(&c->stream)) >= 0) {
        /* What the guest has sent before it closed is still taken. */
        if (stopped(c) && (more == 0 || ++last == ROUNDS_LAST))
            break;
        if (more == 0)
            wait_for(c, channel_fd);
    }
    (void)pthread_mutex_lock(&c->relay->lock);
    if (c->state == CONNECTION_OPEN)
        c->state = CONNECTION_ENDED;
    (void)pthread_mutex_unlock(&c->relay->lock);
    relay_wake(c->relay->wake);
    return NULL;
}

static int device_open(void *device, struct vmbus_channel *channel, unsigned sub)
{
    struct connection *c = device;
    int err = -ENOENT;

    (void)pthread_mutex_lock(&c->relay->lock);
    if (sub == 0 && c->state == CONNECTION_OFFERED) {
        c->stop = false;
        c->state = CONNECTION_OPEN;
        stream_init(&c->stream, channel, c->fd);
        err = thread_start(&c->thread, connection_thread, c);
        if (err)
            c->state = CONNECTION_ENDED;
    }
    (void)pthread_mutex_unlock(&c->relay->lock);
    return err;
}

/* A channel is opened once: a connection that was closed does not come back. */
static void device_close(void *device, struct vmbus_channel *channel, unsigned sub)
{
    struct connection *c = device;

    (void)pthread_mutex_lock(&c->relay->lock);
    c->stop = true;
    (void)pthread_mutex_unlock(&c->relay->lock);
    relay_wake(c->wake);
    (void)pthread_join(c->thread, NULL);
    (void)pthread_mutex_lock(&c->relay->lock);
    if (c->state ==
        CONNECTION_OPEN) /* else the thread has said so, and it may be taken back by now */
        c->state = CONNECTION_ENDED;
    c->relay->info.bytes_from_guest += c->stream.bytes_from_guest;
    c->relay->info.bytes_from_host += c->stream.bytes_from_host;
    (void)pthread_mutex_unlock(&c->relay->lock);
    relay_wake(c->relay->wake);
}

const struct vmbus_device_ops connection_ops = {device_open, device_close};
