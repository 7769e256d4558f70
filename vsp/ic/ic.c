/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_setname_np() */
#include "vsp/ic/ic.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "lib/bits.h"
#include "lib/hosted/thread.h"
#include "vsp/ic/ic_priv.h"

/* The life of a service, its thread, and what the worker asks of it. */

/* A guest that owes an answer for longer is not well: heartbeats come every two seconds. */
#define ALIVE_NS (6 * NS_PER_S)

static const struct ic_service *const services[IC_KINDS] = {
    [IC_HEARTBEAT] = &ic_service_heartbeat,
    [IC_SHUTDOWN] = &ic_service_shutdown,
    [IC_TIME] = &ic_service_time,
    [IC_KVP] = &ic_service_kvp,
    [IC_VSS] = &ic_service_vss,
    [IC_COPY] = &ic_service_copy,
};

static const enum ic_kind kinds[IC_VERBS] = {
    [IC_ASK_POWER_OFF] = IC_SHUTDOWN, [IC_ASK_RESTART] = IC_SHUTDOWN, [IC_ASK_KVP_LIST] = IC_KVP,
    [IC_ASK_KVP_SET] = IC_KVP,        [IC_ASK_KVP_DELETE] = IC_KVP,   [IC_ASK_IP_GET] = IC_KVP,
    [IC_ASK_IP_SET] = IC_KVP,         [IC_ASK_FREEZE] = IC_VSS,       [IC_ASK_THAW] = IC_VSS,
    [IC_ASK_COPY] = IC_COPY,
};

enum ic_kind ic_verb_kind(enum ic_verb verb)
{
    return kinds[verb];
}

const char *ic_name(enum ic_kind kind)
{
    return services[kind]->name;
}

int ic_create(struct ic **out, enum ic_kind kind, const struct ic_host *host)
{
    struct ic *ic = calloc(1, sizeof(*ic));

    if (!ic)
        return -ENOMEM;
    ic->service = services[kind];
    ic->kind = kind;
    ic->host = *host;
    ic->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ic->wake_fd < 0) {
        free(ic);
        return -ENOMEM;
    }
    (void)pthread_mutex_init(&ic->lock, NULL);
    (void)pthread_cond_init(&ic->parked_cond, NULL);
    *out = ic;
    return 0;
}

void ic_destroy(struct ic *ic)
{
    if (!ic)
        return;
    (void)close(ic->wake_fd);
    (void)pthread_cond_destroy(&ic->parked_cond);
    (void)pthread_mutex_destroy(&ic->lock);
    free(ic);
}

void ic_offer(const struct ic *ic, struct vmbus_offer *offer)
{
    *offer = (struct vmbus_offer){
        .type = ic->service->type, .instance = ic->service->instance, .pipe = true};
    offer->user_defined[0] = 4; /* a pipe of messages (VMBUS_PIPE_TYPE_MESSAGE) */
}

static void wake(struct ic *ic)
{
    (void)eventfd_write(ic->wake_fd, 1);
}

/* How long to sleep, in ms as poll wants it. */
static int wait_ms(const struct ic *ic, uint64_t due)
{
    uint64_t now = ic->host.now_ns(ic->host.ctx);

    if (due == IC_NEVER)
        return -1;
    return due <= now ? 0 : (int)min_u64((due - now) / NS_PER_MS + 1, 60000);
}

static void drain(int fd)
{
    eventfd_t count;

    (void)eventfd_read(fd, &count);
}

/* One round: work, deliver, sleep. False: the channel is to be closed. */
static bool round_do(struct ic *ic, int channel_fd)
{
    struct pollfd polls[] = {{ic->wake_fd, POLLIN, 0}, {channel_fd, POLLIN, 0}};
    bool stop;
    uint64_t due;

    (void)pthread_mutex_lock(&ic->lock);
    stop = ic->stop;
    due = stop ? 0 : ic_work(ic);
    ic->parked = ic->pausing;
    if (ic->parked) {
        polls[1].fd = -1;
        (void)pthread_cond_broadcast(&ic->parked_cond);
    }
    (void)pthread_mutex_unlock(&ic->lock);
    ic_deliver(ic);
    if (stop)
        return false;
    (void)poll(polls, ARRAY_SIZE(polls), wait_ms(ic, due));
    if (polls[0].revents)
        drain(ic->wake_fd);
    if (polls[1].revents)
        drain(channel_fd);
    return true;
}

static void *ic_thread(void *arg)
{
    struct ic *ic = arg;
    const int channel_fd = vmbus_channel_fd(ic->channel);

    (void)pthread_setname_np(pthread_self(), ic->service->name);
    while (round_do(ic, channel_fd))
        ;
    return NULL;
}

static int device_open(void *device, struct vmbus_channel *channel, unsigned sub)
{
    struct ic *ic = device;
    int err = -EINVAL;

    (void)pthread_mutex_lock(&ic->lock);
    if (sub == 0 && !ic->channel) {
        ic->channel = channel;
        ic->stop = ic->parked = false;
        if (!ic->loaded || !vmbus_channel_restored(channel))
            ic_begin(ic);
        ic->loaded = false;
        err = thread_start(&ic->thread, ic_thread, ic);
        if (err)
            ic->channel = NULL;
    }
    (void)pthread_mutex_unlock(&ic->lock);
    return err;
}

static void device_close(void *device, struct vmbus_channel *channel, unsigned sub)
{
    struct ic *ic = device;

    (void)pthread_mutex_lock(&ic->lock);
    if (ic->channel != channel) {
        (void)pthread_mutex_unlock(&ic->lock);
        return;
    }
    ic->stop = true;
    (void)pthread_mutex_unlock(&ic->lock);
    wake(ic);
    (void)pthread_join(ic->thread, NULL);
    (void)pthread_mutex_lock(&ic->lock);
    ic->channel = NULL;
    ic_forget(ic, -ENOTCONN);
    ic_begin(ic);
    (void)pthread_cond_broadcast(&ic->parked_cond);
    (void)pthread_mutex_unlock(&ic->lock);
    ic_deliver(ic);
}

const struct vmbus_device_ops ic_device_ops = {device_open, device_close};

static int ask_check(struct ic *ic, const struct ic_request *r)
{
    if (kinds[r->verb] != ic->kind)
        return -EINVAL;
    if (!ic->channel || ic->lost || ic->protocol.state == PROTOCOL_REFUSED)
        return -ENOTCONN;
    if (ic->pausing || ic->waiting_count >= IC_REQUESTS_MAX)
        return -EBUSY;
    return ic->service->check ? ic->service->check(ic, r) : 0;
}

int ic_ask(struct ic *ic, struct ic_request *r)
{
    struct ic_request **end = &ic->waiting;
    int err;

    (void)pthread_mutex_lock(&ic->lock);
    err = ask_check(ic, r);
    if (!err) {
        while (*end)
            end = &(*end)->next;
        r->next = NULL;
        r->status = IC_S_OK;
        r->deadline_ns = ic->host.now_ns(ic->host.ctx) + r->timeout_ms * NS_PER_MS;
        *end = r;
        ic->waiting_count++;
    }
    (void)pthread_mutex_unlock(&ic->lock);
    if (!err)
        wake(ic);
    return err;
}

static enum ic_state state_of(const struct ic *ic)
{
    static const enum ic_state states[PROTOCOL_STATES] = {
        [PROTOCOL_NEW] = IC_NEGOTIATING, [PROTOCOL_NEGOTIATING] = IC_NEGOTIATING,
        [PROTOCOL_READY] = IC_READY,     [PROTOCOL_REFUSED] = IC_REFUSED,
        [PROTOCOL_BROKEN] = IC_BROKEN,
    };

    if (!ic->channel)
        return IC_CLOSED;
    return ic->lost ? IC_BROKEN : states[ic->protocol.state];
}

void ic_info(struct ic *ic, struct ic_info *info)
{
    uint64_t now = ic->host.now_ns(ic->host.ctx);

    (void)pthread_mutex_lock(&ic->lock);
    *info = (struct ic_info){
        .state = state_of(ic),
        .version = {ic->protocol.message.major, ic->protocol.message.minor},
        .framework = {ic->protocol.framework.major, ic->protocol.framework.minor},
        .alive = !ic->protocol.in_flight || ic->unsent || now - ic->sent_ns < ALIVE_NS,
        .quiet_ns = now - ic->heard_ns,
        .frozen = ic->vss.stage == VSS_FROZEN || ic->vss.stage == VSS_THAWING,
        .sent = ic->sent,
        .answered = ic->answered,
        .strays = ic->strays,
        .timeouts = ic->timeouts,
    };
    (void)pthread_mutex_unlock(&ic->lock);
}

void ic_sync(struct ic *ic)
{
    (void)pthread_mutex_lock(&ic->lock);
    ic->sync = true;
    (void)pthread_mutex_unlock(&ic->lock);
    wake(ic);
}

void ic_pause(struct ic *ic)
{
    (void)pthread_mutex_lock(&ic->lock);
    ic->pausing = true;
    wake(ic);
    while (ic->channel && !ic->parked)
        (void)pthread_cond_wait(&ic->parked_cond, &ic->lock);
    (void)pthread_mutex_unlock(&ic->lock);
}

/* While it stood still the guest could not answer. */
void ic_resume(struct ic *ic)
{
    (void)pthread_mutex_lock(&ic->lock);
    ic->pausing = ic->parked = false;
    ic->sent_ns = ic->host.now_ns(ic->host.ctx);
    (void)pthread_mutex_unlock(&ic->lock);
    wake(ic);
}
