/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* accept4(), pthread_setname_np() */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "lib/bits.h"
#include "vsp/socket/socket_priv.h"

/*
 * The relay's thread: connections that begin and end. It alone offers channels and takes them
 * back, without the lock: the server may be asking us for it.
 */

#define NS_PER_MS 1000000ULL

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void deadline_set(struct connection *c)
{
    c->deadline_ns = now_ns() + c->relay->config.timeout_ms * NS_PER_MS;
}

/* It is nobody's from here on. */
static void release(struct connection *c, bool refused)
{
    int fd;

    (void)pthread_mutex_lock(&c->relay->lock);
    fd = c->fd;
    c->fd = -1;
    c->state = CONNECTION_FREE;
    c->relay->info.connections--;
    c->relay->info.refused += refused;
    (void)pthread_mutex_unlock(&c->relay->lock);
    if (fd >= 0)
        (void)close(fd);
}

/* The channel's names: see abi/vsp/socket. */
static int offer(struct connection *c)
{
    const struct relay_host *h = &c->relay->config.host;
    struct vmbus_offer o = {
        .type = c->service, .instance = c->endpoint, .flags = HVSOCKET_OFFER_FLAGS, .pipe = true};
    int err;

    o.user_defined[HVSOCKET_FROM_HOST] = c->from_host;
    (void)pthread_mutex_lock(&c->relay->lock);
    c->state = CONNECTION_OFFERED; /* the guest may be quick */
    deadline_set(c);
    (void)pthread_mutex_unlock(&c->relay->lock);
    err = h->offer(h->ctx, &o, &connection_ops, c, &c->handle);
    return err;
}

static void dial(struct connection *c)
{
    const struct relay_host *h = &c->relay->config.host;

    c->fd = h->dial(h->ctx, c->number);
    if (c->fd >= 0 && offer(c) == 0)
        return;
    h->refuse(h->ctx, &c->endpoint, &c->service);
    release(c, true);
}

static void take_back(struct connection *c)
{
    const struct relay_host *h = &c->relay->config.host;

    h->withdraw(h->ctx, c->handle);
    release(c, false);
}

/* Ports of the host's side only have to differ from each other. */
static void endpoint_choose(struct connection *c)
{
    (void)pthread_mutex_lock(&c->relay->lock);
    name_of_port(c->relay->next_port++, &c->endpoint);
    (void)pthread_mutex_unlock(&c->relay->lock);
}

/* Read up to the end of the line and no byte further: what follows is for the guest. 1: it is
 * there; 0: not yet; or -errno. */
static int greeting_read(struct connection *c)
{
    while (c->greeting_length < GREETING_MAX) {
        char *at = &c->greeting[c->greeting_length];
        struct iovec part = {at, 1};
        struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
        ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT);

        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
            return -EPIPE;
        if (*at == '\n') {
            *at = 0;
            return 1;
        }
        c->greeting_length++;
    }
    return -EMSGSIZE;
}

static void greeting(struct connection *c)
{
    int got = greeting_read(c);

    if (got == 0)
        return;
    if (got > 0 && greeting_parse(c->greeting, &c->service) == 0) {
        endpoint_choose(c);
        if (offer(c) == 0)
            return;
    }
    release(c, true);
}

static struct connection *find_free(struct relay *r)
{
    for (unsigned i = 0; i < RELAY_CONNECTIONS_MAX; i++)
        if (r->connection[i].state == CONNECTION_FREE)
            return &r->connection[i];
    return NULL;
}

static void accept_one(struct relay *r)
{
    int fd = accept4(r->config.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *c;

    if (fd < 0)
        return;
    (void)pthread_mutex_lock(&r->lock);
    c = find_free(r);
    if (c) {
        c->state = CONNECTION_GREETING;
        c->from_host = true;
        c->fd = fd;
        c->greeting_length = 0;
        deadline_set(c);
        r->info.connections++;
        r->info.from_host++;
    }
    (void)pthread_mutex_unlock(&r->lock);
    if (!c)
        (void)close(fd);
}

bool relay_connect(void *relay, const struct vmbus_guid *endpoint, const struct vmbus_guid *service)
{
    struct relay *r = relay;
    struct connection *c = NULL;
    unsigned number = 0;

    while (number < r->config.service_count &&
           memcmp(&r->config.service[number], service, sizeof(*service)) != 0)
        number++;
    (void)pthread_mutex_lock(&r->lock);
    if (number < r->config.service_count && !r->stop)
        c = find_free(r);
    if (c) {
        c->state = CONNECTION_ASKED;
        c->from_host = false;
        c->service = *service;
        c->endpoint = *endpoint;
        c->number = number;
        c->fd = -1;
        r->info.connections++;
    }
    r->info.from_guest++;
    r->info.refused += !c;
    (void)pthread_mutex_unlock(&r->lock);
    if (c)
        relay_wake(r->wake);
    return c != NULL;
}

/* What is to be done with it now; a channel that is opened too late is not. */
static enum connection_state state_next(struct connection *c, bool stop)
{
    enum connection_state state;

    (void)pthread_mutex_lock(&c->relay->lock);
    state = c->state;
    if (state == CONNECTION_OFFERED && !c->relay->paused && now_ns() >= c->deadline_ns)
        state = c->state = CONNECTION_ENDED;
    if (stop && (state == CONNECTION_OFFERED || state == CONNECTION_OPEN))
        state = c->state = CONNECTION_ENDED;
    (void)pthread_mutex_unlock(&c->relay->lock);
    return state;
}

static void serve(struct connection *c, bool stop)
{
    switch (state_next(c, stop)) {
    case CONNECTION_GREETING:
        if (stop || now_ns() >= c->deadline_ns)
            release(c, true);
        else
            greeting(c);
        break;
    case CONNECTION_ASKED:
        if (stop)
            release(c, true);
        else
            dial(c);
        break;
    case CONNECTION_ENDED:
        take_back(c);
        break;
    default:
        break;
    }
}

/* Fills polls[] and says how long they may take, in ms. */
static int wait_prepare(struct relay *r, struct pollfd *polls)
{
    uint64_t now = now_ns(), first = UINT64_MAX;
    bool room = false;

    (void)pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < RELAY_CONNECTIONS_MAX; i++) {
        const struct connection *c = &r->connection[i];
        bool greets = c->state == CONNECTION_GREETING;

        polls[i] = (struct pollfd){greets ? c->fd : -1, POLLIN, 0};
        room |= c->state == CONNECTION_FREE;
        if ((greets || (c->state == CONNECTION_OFFERED && !r->paused)) && c->deadline_ns < first)
            first = c->deadline_ns;
    }
    (void)pthread_mutex_unlock(&r->lock);
    polls[RELAY_CONNECTIONS_MAX] = (struct pollfd){r->wake, POLLIN, 0};
    polls[RELAY_CONNECTIONS_MAX + 1] = (struct pollfd){room ? r->config.listener : -1, POLLIN, 0};
    if (first == UINT64_MAX)
        return -1;
    return first <= now ? 0 : (int)((first - now) / NS_PER_MS + 1);
}

/* False: all has been ended. */
static bool round_do(struct relay *r)
{
    struct pollfd polls[RELAY_CONNECTIONS_MAX + 2];
    bool stop;

    (void)poll(polls, ARRAY_SIZE(polls), wait_prepare(r, polls));
    if (polls[RELAY_CONNECTIONS_MAX].revents)
        relay_drain(r->wake);
    (void)pthread_mutex_lock(&r->lock);
    stop = r->stop;
    (void)pthread_mutex_unlock(&r->lock);
    if (polls[RELAY_CONNECTIONS_MAX + 1].revents && !stop)
        accept_one(r);
    for (unsigned i = 0; i < RELAY_CONNECTIONS_MAX; i++)
        serve(&r->connection[i], stop);
    return !stop;
}

void *manager_thread(void *relay)
{
    (void)pthread_setname_np(pthread_self(), "hvsocket-relay");
    while (round_do(relay))
        ;
    return NULL;
}

void relay_pause(struct relay *r, bool pause)
{
    if (!r)
        return;
    (void)pthread_mutex_lock(&r->lock);
    r->paused = pause;
    for (unsigned i = 0; i < RELAY_CONNECTIONS_MAX && !pause; i++)
        deadline_set(&r->connection[i]);
    (void)pthread_mutex_unlock(&r->lock);
    relay_wake(r->wake);
}
