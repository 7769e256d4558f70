/* SPDX-License-Identifier: MIT */
/* Which devices a machine has, and how they are wired. */
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "abi/tlfs/management.h"
#include "lib/bits.h"
#include "vmwp/layout.h"
#include "vmwp/log.h"
#include "vmwp/machine_priv.h"

static uint64_t host_now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t machine_now_ns(void *machine)
{
    struct machine *m = machine;

    return (m->stopped_at_ns ? m->stopped_at_ns : host_now_ns()) - m->stood_ns;
}

static void clock_pause(struct machine *m, bool pause)
{
    (void)pthread_mutex_lock(&m->lock);
    if (pause) {
        m->stopped_at_ns = host_now_ns();
    } else {
        m->stood_ns += host_now_ns() - m->stopped_at_ns;
        m->stopped_at_ns = 0;
    }
    (void)pthread_mutex_unlock(&m->lock);
}

int machine_pause(struct machine *m, bool pause, struct problem *why)
{
    int err;

    if (pause == (m->stopped_at_ns != 0))
        return 0;
    err = hv_pause(m->hv, pause, why);
    if (err)
        return err;
    clock_pause(m, pause);
    services_pause(m->services, pause);
    sockets_pause(m->sockets, pause);
    return 0;
}

static void pin_set(void *ctx, unsigned pin, bool high)
{
    struct machine *m = ctx;

    ioapic_set(&m->ioapic, pin, high);
}

/* SMI and ExtINT have nobody who would send them. */
static void interrupt_deliver(void *ctx, const struct ioapic_message *msg)
{
    struct machine *m = ctx;
    const struct hv_interrupt i = {.vector = msg->vector,
                                   .destination = msg->destination,
                                   .type = msg->mode,
                                   .logical = msg->logical,
                                   .level = msg->level};
    int err;

    if (msg->mode == IOAPIC_SMI || msg->mode == IOAPIC_EXTINT)
        return;
    err = hv_interrupt(m->hv, &i);
    if (err < 0) /* a guest may name any destination and vector */
        log_guest("interrupt 0x%02x for APIC %u: %s", i.vector, i.destination, strerror(-err));
}

static void power_off(void *ctx)
{
    machine_stop(ctx, MACHINE_OFF);
}

static void power_reset(void *ctx)
{
    machine_stop(ctx, MACHINE_RESET);
}

static void debug_line(void *ctx, const char *text)
{
    log_guest("guest: %s", text);
}

int machine_devices_init(struct machine *m)
{
    const struct bus_clock clock = {machine_now_ns, m};
    const struct ioapic_host ioapic = {interrupt_deliver, m};
    const struct power_host power = {power_off, power_reset, m};
    const struct debugport_host debug = {debug_line, m};
    const struct uart_host serial = {console_put, console_get, m->console};
    const struct bus_line pit = {pin_set, m, LAYOUT_PIN_PIT}, rtc = {pin_set, m, LAYOUT_PIN_RTC};
    const struct bus_line com1 = {pin_set, m, LAYOUT_PIN_COM1}, sci = {pin_set, m, LAYOUT_PIN_SCI};
    int err;

    m->bus = (struct bus){.port_count = 0};
    ioapic_init(&m->ioapic, 0, &ioapic);
    pic_init(&m->pic);
    pit_init(&m->pit, &pit, &clock);
    rtc_init(&m->rtc, time(NULL), &rtc, &clock);
    uart_init(&m->uart, &com1, &serial);
    power_init(&m->power, &sci, &power, &clock);
    pciconf_init(&m->pciconf);
    debugport_init(&m->debugport, &debug);
    err = ioapic_attach(&m->ioapic, &m->bus, LAYOUT_IOAPIC);
    err = err ? err : pic_attach(&m->pic, &m->bus);
    err = err ? err : pit_attach(&m->pit, &m->bus);
    err = err ? err : rtc_attach(&m->rtc, &m->bus);
    err = err ? err : uart_attach(&m->uart, &m->bus, LAYOUT_COM1);
    err = err ? err : power_attach(&m->power, &m->bus);
    err = err ? err : pciconf_attach(&m->pciconf, &m->bus);
    return err ? err : debugport_attach(&m->debugport, &m->bus);
}

/* A device may now want its timer earlier than the main thread waits. */
static void unlock_and_rearm(struct machine *m)
{
    const uint64_t one = 1;
    bool earlier = bus_deadline(&m->bus) < m->armed_ns;

    (void)pthread_mutex_unlock(&m->lock);
    if (earlier)
        (void)!write(m->wake, &one, sizeof(one));
}

uint32_t machine_port_read(struct machine *m, uint16_t port, unsigned size)
{
    uint32_t value;

    (void)pthread_mutex_lock(&m->lock);
    value = (uint32_t)bus_port_read(&m->bus, port, size);
    unlock_and_rearm(m);
    return value;
}

void machine_port_write(struct machine *m, uint16_t port, unsigned size, uint32_t value)
{
    (void)pthread_mutex_lock(&m->lock);
    bus_port_write(&m->bus, port, size, value);
    unlock_and_rearm(m);
}

static bool device_size(unsigned len)
{
    return len == 1 || len == 2 || len == 4 || len == 8;
}

void machine_memory_read(struct machine *m, uint64_t at, void *buf, unsigned len)
{
    uint64_t value;

    if (memory_read(&m->memory, gpa(at), buf, len) == 0)
        return;
    memset(buf, 0xFF, len);
    if (!device_size(len))
        return;
    (void)pthread_mutex_lock(&m->lock);
    value = bus_memory_read(&m->bus, at, len);
    unlock_and_rearm(m);
    memcpy(buf, &value, len);
}

void machine_memory_write(struct machine *m, uint64_t at, const void *buf, unsigned len)
{
    uint64_t value = 0;

    if (memory_write(&m->memory, gpa(at), buf, len) == 0 || !device_size(len))
        return;
    memcpy(&value, buf, len);
    (void)pthread_mutex_lock(&m->lock);
    bus_memory_write(&m->bus, at, len, value);
    unlock_and_rearm(m);
}

void machine_eoi(struct machine *m, uint8_t vector)
{
    (void)pthread_mutex_lock(&m->lock);
    ioapic_eoi(&m->ioapic, vector);
    (void)pthread_mutex_unlock(&m->lock);
}
