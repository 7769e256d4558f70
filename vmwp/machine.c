/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vmwp/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include "lib/bits.h"
#include "vmwp/acpi.h"
#include "vmwp/layout.h"
#include "vmwp/linux.h"
#include "vmwp/log.h"
#include "vmwp/machine_priv.h"

#define NS_PER_S        1000000000ULL
#define KICK_PERIOD_NS  10000000L
#define FRACTION(given) ((uint32_t)((uint64_t)(given)*HV_FRACTION_ONE / 100))

static int file_open(const char *path, int *fd, const char *what, struct problem *why)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    return *fd < 0 ? problem_set(why, -errno, "%s: %s: %m", what, path) : 0;
}

int machine_files_open(struct machine_files *files, const struct config *config,
                       struct problem *why)
{
    int err;

    *files = (struct machine_files){-1, -1, -1};
    err = file_open(config->kernel, &files->kernel, "kernel", why);
    if (!err && config->initrd[0])
        err = file_open(config->initrd, &files->initrd, "initrd", why);
    if (err)
        machine_files_close(files);
    return err;
}

void machine_files_close(struct machine_files *files)
{
    if (files->kernel >= 0)
        (void)close(files->kernel);
    if (files->initrd >= 0)
        (void)close(files->initrd);
    if (files->listener >= 0)
        (void)close(files->listener);
    *files = (struct machine_files){-1, -1, -1};
}

/* SIGUSR1 has nothing to do but to interrupt. */
static void kicked(int sig)
{
}

/* Everything else that may end us comes through a descriptor, so that it finds us at rest. */
static int signals_open(struct problem *why)
{
    const struct sigaction kick = {.sa_handler = kicked};
    sigset_t set;
    int fd;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigaction(VP_KICK_SIGNAL, &kick, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGQUIT);
    (void)sigaddset(&set, SIGUSR2);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? problem_set(why, -errno, "signals: %m") : fd;
}

int machine_create(struct machine **out, const struct config *config,
                   const struct machine_files *files, struct console *console,
                   struct control *control, struct problem *why)
{
    struct machine *m = calloc(1, sizeof(*m));
    struct problem unused;
    int err;

    if (!m)
        return problem_set(why, -ENOMEM, "out of memory");
    err = memory_check(config->memory, config->memory_pinned, why);
    m->config = config;
    m->files = files;
    m->console = console;
    m->control = control;
    m->signals = -1;
    (void)pthread_mutex_init(&m->lock, NULL);
    m->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!err && m->wake < 0)
        err = problem_set(why, -errno, "eventfd: %m");
    if (!err) {
        console_wake_fd(console, m->wake);
        m->signals = signals_open(why);
        err = m->signals < 0 ? m->signals : hv_open(&m->hv, why);
    }
    if (!err)
        err = disks_open(&m->disks, config, why);
    if (!err)
        err = services_open(&m->services, config, m->hv, control, why);
    if (!err)
        err = sockets_open(&m->sockets, config, files->listener, why);
    if (!err)
        err = networks_open(&m->networks, config, why);
    if (err) {
        (void)machine_destroy(m, &unused);
        return err;
    }
    control_handle(control, machine_control, m);
    *out = m;
    return 0;
}

int machine_destroy(struct machine *m, struct problem *why)
{
    int err;

    if (!m)
        return 0;
    control_close(m->control);
    machine_vmbus_clear(m);
    services_close(m->services);
    sockets_close(m->sockets);
    err = disks_close(m->disks, why);
    networks_close(m->networks);
    hv_close(m->hv);
    memory_destroy(&m->memory);
    if (m->wake >= 0)
        (void)close(m->wake);
    if (m->signals >= 0)
        (void)close(m->signals);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
    return err;
}

void machine_stop(struct machine *m, enum machine_outcome outcome)
{
    int runs = MACHINE_RUNS;
    const uint64_t one = 1;

    if (atomic_compare_exchange_strong_explicit(&m->outcome, &runs, (int)outcome,
                                                memory_order_acq_rel, memory_order_acquire))
        (void)!write(m->wake, &one, sizeof(one));
}

void machine_fail(struct machine *m, const char *fmt, ...)
{
    struct problem p;
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(p.text, sizeof(p.text), fmt, args);
    va_end(args);
    (void)pthread_mutex_lock(&m->lock);
    if (atomic_load_explicit(&m->outcome, memory_order_acquire) == MACHINE_RUNS)
        m->failure = p;
    machine_stop(m, MACHINE_FAILED);
    (void)pthread_mutex_unlock(&m->lock);
}

static int ram_map(struct machine *m, struct problem *why)
{
    int err = 0;

    for (unsigned i = 0; i < m->memory.count && !err; i++) {
        const struct memory_region *r = &m->memory.region[i];
        err = hv_map(m->hv, r->start, r->host, r->size, why);
    }
    return err;
}

static int processors_create(struct machine *m, const struct linux_plan *plan, struct problem *why)
{
    struct hv_register_assoc regs[LINUX_REGISTERS];
    int err = 0;

    for (m->vp_count = 0; m->vp_count < m->config->processors && !err;) {
        struct vp *vp = &m->vps[m->vp_count];
        *vp = (struct vp){.machine = m, .index = m->vp_count};
        err = hv_vp_create(m->hv, vp->index, &vp->hv, why);
        m->vp_count += !err;
    }
    if (err)
        return err;
    linux_registers(plan, regs);
    return hv_vp_set(m->vps[0].hv, regs, LINUX_REGISTERS, why);
}

static void machine_clear(struct machine *m)
{
    machine_vmbus_clear(m);
    hv_destroy(m->hv);
    m->vp_count = 0;
    memory_destroy(&m->memory);
}

int machine_build(struct machine *m, struct problem *why)
{
    const struct config *c = m->config;
    const struct hv_share share = {c->weight, FRACTION(c->reserve), FRACTION(c->cap)};
    const struct linux_boot boot = {m->files->kernel, m->files->initrd, c->cmdline, LAYOUT_ACPI};
    struct linux_plan plan;
    int err;

    atomic_store_explicit(&m->outcome, MACHINE_RUNS, memory_order_release);
    err = disks_start(m->disks, why);
    if (!err)
        err = memory_create(&m->memory, c->memory, c->memory_pinned, why);
    if (!err && acpi_build(&m->memory, c->processors) < 0)
        err = problem_set(why, -ENOSPC, "processors: no room for their ACPI tables");
    if (!err)
        err = linux_load(&boot, &m->memory, &plan, why);
    if (!err)
        err = hv_create(m->hv, &share, why);
    if (!err)
        err = ram_map(m, why);
    if (!err)
        err = machine_vmbus_build(m, why);
    if (!err)
        err = processors_create(m, &plan, why);
    if (!err && machine_devices_init(m) < 0)
        err = problem_set(why, -EINVAL, "devices: two of them claim the same place");
    /* Reset by what a VP had begun when the machine was paused. */
    if (!err && m->stopped_at_ns)
        err = hv_pause(m->hv, true, why);
    if (err)
        machine_clear(m);
    return err;
}

/* SIGUSR2 presses the power button, everything else ends the machine. */
static void signals_take(struct machine *m)
{
    struct signalfd_siginfo info;

    while (read(m->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGUSR2) {
            machine_stop(m, MACHINE_QUIT);
            continue;
        }
        (void)pthread_mutex_lock(&m->lock);
        power_button(&m->power);
        (void)pthread_mutex_unlock(&m->lock);
    }
}

/* How long the main thread may sleep; NULL: for ever. */
static struct timespec *sleep_time(struct machine *m, struct timespec *t)
{
    uint64_t now, deadline, ns;

    (void)pthread_mutex_lock(&m->lock);
    now = machine_now_ns(m);
    deadline = m->armed_ns = bus_deadline(&m->bus);
    (void)pthread_mutex_unlock(&m->lock);
    if (deadline == BUS_NEVER || m->stopped_at_ns)
        return NULL;
    ns = deadline > now ? deadline - now : 0;
    *t = (struct timespec){(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    return t;
}

/* The main thread: console, signals, timers of devices, the control socket, ejected media. */
static void main_loop(struct machine *m)
{
    enum {
        WAKE,
        SIGNALS,
        DISKS,
        SERVICES,
        CONSOLE,
        CONTROL = CONSOLE + CONSOLE_POLLS,
        COUNT = CONTROL + CONTROL_POLLS
    };

    while (atomic_load_explicit(&m->outcome, memory_order_acquire) == MACHINE_RUNS) {
        struct pollfd polls[COUNT] = {{.fd = m->wake, .events = POLLIN},
                                      {.fd = m->signals, .events = POLLIN},
                                      {.fd = disks_fd(m->disks), .events = POLLIN},
                                      {.fd = services_fd(m->services), .events = POLLIN}};
        struct timespec t;
        uint64_t count;

        console_poll(m->console, &polls[CONSOLE]);
        control_poll(m->control, &polls[CONTROL]);
        if (ppoll(polls, COUNT, sleep_time(m, &t), NULL) < 0)
            continue; /* interrupted */
        if (polls[WAKE].revents)
            (void)!read(m->wake, &count, sizeof(count));
        if (polls[SIGNALS].revents)
            signals_take(m);
        if (polls[DISKS].revents)
            disks_serve(m->disks);
        if (polls[SERVICES].revents)
            services_serve(m->services);
        control_serve(m->control, &polls[CONTROL]);
        if (!console_serve(m->console, &polls[CONSOLE]))
            machine_stop(m, MACHINE_QUIT);
        (void)pthread_mutex_lock(&m->lock);
        uart_poll(&m->uart);
        bus_expire(&m->bus, machine_now_ns(m));
        (void)pthread_mutex_unlock(&m->lock);
    }
}

/* A kick that comes before its thread enters the kernel is lost, so it is repeated. */
static void vps_join(struct machine *m, uint32_t started)
{
    for (uint32_t i = 0; i < started; i++) {
        for (;;) {
            struct timespec t;
            (void)pthread_kill(m->vps[i].thread, VP_KICK_SIGNAL);
            (void)clock_gettime(CLOCK_REALTIME, &t);
            t.tv_nsec += KICK_PERIOD_NS;
            t.tv_sec += t.tv_nsec / (long)NS_PER_S;
            t.tv_nsec %= (long)NS_PER_S;
            if (pthread_timedjoin_np(m->vps[i].thread, NULL, &t) == 0)
                break;
        }
    }
}

enum machine_outcome machine_run(struct machine *m, struct problem *why)
{
    uint32_t started = 0;
    int err = 0;

    while (started < m->vp_count && !err) {
        err = pthread_create(&m->vps[started].thread, NULL, vp_thread, &m->vps[started]);
        started += !err;
    }
    if (err)
        machine_fail(m, "processors: no thread for VP %u: %s", started, strerror(err));
    main_loop(m);
    vps_join(m, started);
    console_flush(m->console);
    machine_clear(m);
    services_serve(m->services); /* what was asked ends with the guest, and who asked is told */
    *why = m->failure;
    return (enum machine_outcome)atomic_load_explicit(&m->outcome, memory_order_acquire);
}
