/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_setname_np() */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "vsp/storage/storage_priv.h"
#include "lib/hosted/thread.h"

/*
 * A channel and its thread: packets are taken in batches, the disks are told once for a batch, and
 * so is the guest of the answers.
 */

#define NS_PER_MS 1000000ULL
/* With so many requests in flight the next answer is near, and new requests are looked for then:
 * the guest need not signal them. If no answer comes they are looked for after this time. */
#define POLL_DEPTH     8U
#define POLL_PERIOD_NS 4000000L

static void tally(atomic_uint_fast64_t *counter, uint64_t n)
{
    /* Only this thread writes it. */
    uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

static bool broken(const struct channel *c)
{
    return c->protocol.state == PROTOCOL_BROKEN;
}

/* The ring makes no sense, or its packets do not: nothing more is heard or said until the guest
 * closes the channel. */
static void channel_break(struct channel *c)
{
    c->protocol.state = PROTOCOL_BROKEN;
    atomic_store_explicit(&c->broken, true, memory_order_relaxed);
}

/* Put an answer into the ring. False: there is no room now. */
static bool answer_send(struct channel *c, struct request *r)
{
    int err = vmbus_channel_send(c->vmbus, VMBUS_PACKET_COMPLETION, r->transaction, false,
                                 &r->reply, r->reply_length);

    if (err == -EAGAIN)
        return false;
    if (err < 0)
        channel_break(c);
    c->signal = true;
    request_drop(r);
    return true;
}

void channel_answer(struct channel *c, struct request *r)
{
    if (broken(c) || atomic_load_explicit(&c->stop, memory_order_relaxed)) {
        request_drop(r);
        return;
    }
    /* What has waited goes first. */
    if (c->unsent.head || !answer_send(c, r)) {
        tally(&c->ring_full, 1);
        list_append(&c->unsent, r);
    }
}

/* Whether any has gone: it has freed a request, which the ring may have waited for. */
static bool unsent_send(struct channel *c)
{
    struct request *first = c->unsent.head, *r = first;

    while (r) {
        struct request *next = r->next;
        if (broken(c))
            request_drop(r);
        else if (!answer_send(c, r))
            break;
        r = next;
    }
    c->unsent.head = r;
    if (!r)
        list_init(&c->unsent);
    return r != first;
}

static struct request *request_take(struct channel *c)
{
    struct request *r = c->free;

    c->free = r->next;
    r->next = NULL;
    return r;
}

/* One packet. False: there is none, or the channel is broken. */
static bool receive(struct channel *c)
{
    struct vmbus_packet packet;
    int got = vmbus_channel_receive(c->vmbus, &packet, c->packet, STORAGE_PACKET);

    if (got == 0)
        return false;
    c->signal = true;
    if (got < 0 || packet.type == VMBUS_PACKET_TRANSFER) {
        channel_break(c);
        return false;
    }
    /* Completions answer what nobody has asked; and what wants no answer cannot have one. */
    if (packet.type == VMBUS_PACKET_COMPLETION || !packet.completion_wanted)
        return true;
    request_packet(request_take(c), &packet);
    return !broken(c);
}

static void timer_set(struct channel *c, long period_ns)
{
    const struct timespec period = {0, period_ns};
    const struct itimerspec t = {period, period};

    (void)timerfd_settime(c->timer_fd, 0, &t, NULL);
}

/* The timer goes on for a period after it was needed last. */
static void poll_decide(struct channel *c)
{
    bool poll = disk_queue_busy(c->queue) >= POLL_DEPTH;

    vmbus_channel_poll(c->vmbus, poll);
    c->polled |= poll;
    if (poll && !c->timer_runs) {
        timer_set(c, POLL_PERIOD_NS);
        c->timer_runs = true;
    }
}

static void timer_fired(struct channel *c)
{
    uint64_t count;

    if (read(c->timer_fd, &count, sizeof(count)) < 0)
        return;
    if (!c->polled) {
        timer_set(c, 0);
        c->timer_runs = false;
    }
    c->polled = false;
}

/* Whether there was something. When no request is free the ring has to wait: an answer frees one.
 */
static bool receive_batch(struct channel *c)
{
    unsigned n = 0;

    poll_decide(c);
    while (n < STORAGE_BATCH && c->free && !broken(c) && receive(c))
        n++;
    if (n == 0)
        return false;
    tally(&c->packets, n);
    tally(&c->batches, 1);
    return true;
}

/* Ask the guest to look for units. A guest that is not ready yet will look anyway. */
static void announce(struct channel *c)
{
    struct storage *s = c->storage;
    struct vstor_packet packet;
    uint32_t length;

    if (c->sub != 0 || !atomic_load_explicit(&s->enumerate, memory_order_relaxed))
        return;
    atomic_store(&s->enumerate, false);
    if (c->protocol.state != PROTOCOL_READY)
        return;
    length = protocol_enumerate(&c->protocol, &packet);
    if (vmbus_channel_send(c->vmbus, VMBUS_PACKET_INBAND, 0, false, &packet, length) == -EAGAIN)
        atomic_store(&s->enumerate, true);
    c->signal = true;
}

/* Others have changed something that those that wait depend on, or the time of one has come. */
static bool waiting_check(struct channel *c)
{
    unsigned scan;

    if (!c->waiting.head)
        return false;
    scan = atomic_load(&c->storage->scan);
    if (scan == c->scan_seen && request_next_start(c) > storage_now_ns())
        return false;
    c->scan_seen = scan;
    return request_start_waiting(c, false);
}

/* How long to sleep, in ms as epoll wants it; -1: until something happens. */
static int wait_ms(const struct channel *c)
{
    uint64_t first = request_next_start(c), now;

    if (first == UINT64_MAX)
        return -1;
    now = storage_now_ns();
    return first <= now ? 0 : (int)((first - now) / NS_PER_MS % 60000) + 1;
}

/* Sleep. If polling for a while first is found to be worth it, this is the place. The descriptors
 * are edge-triggered, so that nobody has to read them: what is signalled after the last look wakes.
 * The timer is read all the same, to see whether it has fired since it was set. */
static void channel_wait(struct channel *c)
{
    struct epoll_event events[4]; /* all that there can be, or the next sleep would be cut short */
    int n;

    tally(&c->waits, 1);
    n = epoll_wait(c->poll_fd, events, 4, wait_ms(c));
    for (int i = 0; i < n; i++)
        if (events[i].data.fd == c->timer_fd)
            timer_fired(c);
}

/* Finish all that is in flight; what limits hold back goes ahead now. */
static void quiesce(struct channel *c)
{
    (void)request_start_waiting(c, true);
    while (disk_queue_busy(c->queue) > 0)
        (void)disk_queue_wait(c->queue, -1);
    (void)unsent_send(c);
    if (c->signal)
        vmbus_channel_signal(c->vmbus);
    c->signal = false;
}

/* Stand still until the controller goes on, or the channel is closed. */
static void park(struct channel *c)
{
    struct storage *s = c->storage;

    quiesce(c);
    (void)pthread_mutex_lock(&s->lock);
    c->parked = true;
    (void)pthread_cond_broadcast(&s->parked);
    while (atomic_load(&s->pausing) && !atomic_load(&c->stop))
        (void)pthread_cond_wait(&s->parked, &s->lock);
    c->parked = false;
    (void)pthread_mutex_unlock(&s->lock);
}

static void work(struct channel *c)
{
    bool worked = receive_batch(c);

    disk_queue_flush(c->queue);
    worked |= disk_queue_reap(c->queue) > 0;
    worked |= waiting_check(c);
    announce(c);
    worked |= unsent_send(c);
    if (c->signal)
        vmbus_channel_signal(c->vmbus);
    c->signal = false;
    if (!worked)
        channel_wait(c);
}

/* Until the channel is closed. */
static void serve(struct channel *c)
{
    while (!atomic_load_explicit(&c->stop, memory_order_relaxed)) {
        if (atomic_load_explicit(&c->storage->pausing, memory_order_relaxed))
            park(c);
        else
            work(c);
    }
    /* The guest's memory goes away with the channel. */
    while (c->waiting.head) {
        struct request *r = c->waiting.head;
        c->waiting.head = r->next;
        request_drop(r);
    }
    while (disk_queue_busy(c->queue) > 0)
        (void)disk_queue_wait(c->queue, -1);
}

static int poll_add(int poll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};

    return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int descriptors_open(struct channel *c)
{
    int err;

    c->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (c->poll_fd < 0)
        return -errno;
    c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (c->timer_fd < 0)
        return -errno;
    err = poll_add(c->poll_fd, c->wake_fd);
    if (!err)
        err = poll_add(c->poll_fd, c->timer_fd);
    if (!err)
        err = poll_add(c->poll_fd, disk_queue_fd(c->queue));
    return err ? err : poll_add(c->poll_fd, vmbus_channel_fd(c->vmbus));
}

/* A queue belongs to the thread that makes it. */
static void *channel_thread(void *arg)
{
    struct channel *c = arg;
    int err = disk_queue_create(&c->queue, STORAGE_DEPTH);

    (void)pthread_setname_np(pthread_self(), "storage");
    if (!err)
        err = descriptors_open(c);
    c->start_error = err;
    (void)sem_post(&c->started);
    if (!err)
        serve(c);
    disk_queue_destroy(c->queue);
    return NULL;
}

static void channel_free(struct channel *c)
{
    if (c->wake_fd >= 0)
        (void)close(c->wake_fd);
    if (c->poll_fd >= 0)
        (void)close(c->poll_fd);
    if (c->timer_fd >= 0)
        (void)close(c->timer_fd);
    (void)sem_destroy(&c->started);
    free(c->packet);
    free(c->vectors);
    free(c->requests);
    free(c);
}

static int memory_get(struct channel *c)
{
    c->requests = calloc(STORAGE_DEPTH, sizeof(*c->requests));
    c->vectors = calloc((size_t)STORAGE_DEPTH * STORAGE_VECTORS, sizeof(*c->vectors));
    c->packet = malloc(STORAGE_PACKET);
    if (!c->requests || !c->vectors || !c->packet)
        return -ENOMEM;
    /* The first is taken first: what is not used is never touched. */
    for (unsigned i = STORAGE_DEPTH; i-- > 0;) {
        struct request *r = &c->requests[i];
        r->channel = c;
        r->iov = &c->vectors[(size_t)i * STORAGE_VECTORS];
        r->next = c->free;
        c->free = r;
    }
    list_init(&c->waiting);
    list_init(&c->unsent);
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return c->wake_fd < 0 ? -errno : 0;
}

/* Go on where a saved channel was. */
static void restore(struct channel *c, const struct saved_channel *saved)
{
    c->protocol.state = saved->state;
    c->protocol.version = saved->version;
    for (unsigned i = 0; i < saved->count; i++) {
        struct request *r = request_take(c);
        r->transaction = saved->answer[i].transaction;
        r->reply = saved->answer[i].packet;
        r->reply_length = saved->answer[i].length;
        list_append(&c->unsent, r);
    }
}

/* Returns when the thread has all it needs, or has ended for want of it. */
static int channel_start(struct channel *c)
{
    int err = thread_start(&c->thread, channel_thread, c);

    if (err)
        return err;
    while (sem_wait(&c->started) < 0)
        ;
    if (c->start_error)
        (void)pthread_join(c->thread, NULL);
    return c->start_error;
}

int channel_create(struct channel **out, struct storage *s, struct vmbus_channel *vmbus,
                   unsigned sub, struct saved_channel *saved)
{
    struct channel *c = calloc(1, sizeof(*c));
    int err;

    if (!c)
        return -ENOMEM;
    *c = (struct channel){
        .storage = s, .vmbus = vmbus, .sub = sub, .wake_fd = -1, .timer_fd = -1, .poll_fd = -1};
    (void)sem_init(&c->started, 0, 0);
    protocol_open(&c->protocol, sub == 0, s->version, s->sub_channel_max, STORAGE_TRANSFER_MAX);
    err = memory_get(c);
    if (!err) {
        if (saved)
            restore(c, saved);
        atomic_store(&c->version, c->protocol.version);
        atomic_store(&c->broken, broken(c));
        err = channel_start(c);
    }
    if (err) {
        channel_free(c);
        return err;
    }
    *out = c;
    return 0;
}

void channel_kick(struct channel *c)
{
    (void)eventfd_write(c->wake_fd, 1);
}

void channel_destroy(struct channel *c)
{
    struct storage *s = c->storage;

    (void)pthread_mutex_lock(&s->lock);
    atomic_store(&c->stop, true);
    (void)pthread_cond_broadcast(&s->parked);
    (void)pthread_mutex_unlock(&s->lock);
    channel_kick(c);
    (void)pthread_join(c->thread, NULL);
    channel_free(c);
}
