/* SPDX-License-Identifier: MIT */
#ifndef DEVICES_UART_H
#define DEVICES_UART_H

#include "devices/bus.h"
#include "lib/save.h"

/*
 * A 16550A serial port (PC16550D data sheet). There is no line speed: what is sent arrives at
 * once, unless the host has no room; then bytes wait in the transmitter and the guest sees it.
 */

#define UART_FIFO  16
#define UART_PORTS 8

/** The other end. Both are called under the machine's lock and do not block. */
struct uart_host {
    bool (*send)(void *ctx, uint8_t byte); /* false: no room, uart_poll() when there is */
    int (*receive)(void *ctx);             /* the next byte, -1: none; uart_poll() when there is */
    void *ctx;
};

struct uart {
    /* Saved. */
    uint8_t ier, lcr, mcr, scr, fcr;
    uint8_t errors;    /* LSR bits 1 to 4, until LSR is read */
    uint8_t msr_delta; /* MSR bits 0 to 3, until MSR is read */
    uint16_t divisor;
    bool thre_pending; /* the interrupt of an empty transmitter, until IIR tells it */
    uint8_t rx[UART_FIFO], tx[UART_FIFO];
    uint8_t rx_count, tx_count;
    /* Not saved. */
    struct bus_line line;
    struct uart_host host;
};

void uart_init(struct uart *u, const struct bus_line *line, const struct uart_host *host);
/** Put it at ports `first` .. `first` + 7; errors of bus_add_ports(). */
int uart_attach(struct uart *u, struct bus *bus, uint16_t first);
/** The host has bytes, or room for some. */
void uart_poll(struct uart *u);

void uart_save(const struct uart *u, struct save_writer *w);
/** 0, or -EINVAL with the device untouched. */
int uart_load(struct uart *u, struct save_reader *r);

#endif
