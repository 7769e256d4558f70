/* SPDX-License-Identifier: MIT */
#include "devices/fuzz/stream.h"
#include "devices/uart.h"

static struct uart dev;

STREAM_SAVES(uart, dev)

static unsigned waiting, room;

static bool host_send(void *ctx, uint8_t byte)
{
    return room && room--;
}

static int host_receive(void *ctx)
{
    return waiting ? (int)(waiting-- & 0xFF) : -1;
}

static void host_event(uint8_t a, uint8_t b)
{
    waiting += a;
    room += b;
    uart_poll(&dev);
    need(dev.rx_count <= UART_FIFO && dev.tx_count <= UART_FIFO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stream_device d = {
        host_event, stream_dev_save, stream_dev_load, {0x3F8, 0x3F8}, false};
    const struct uart_host host = {host_send, host_receive, NULL};

    bus = (struct bus){.port_count = 0};
    now_ns = 1000000;
    waiting = room = 0;
    uart_init(&dev, &stream_irq, &host);
    need(uart_attach(&dev, &bus, 0x3F8) == 0);
    return stream_input(&d, data, size);
}
