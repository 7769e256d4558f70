/* SPDX-License-Identifier: MIT */
#include "devices/uart.h"
#include "lib/bits.h"

/* Registers by offset; the first two are the divisor while LCR.DLAB is set. */
enum { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_RX     BIT(0)
#define IER_THRE   BIT(1)
#define IER_STATUS BIT(2)
#define IER_MODEM  BIT(3)
#define IER_MASK   0x0FU

#define IIR_NONE    0x01U
#define IIR_MODEM   0x00U
#define IIR_THRE    0x02U
#define IIR_RX      0x04U
#define IIR_STATUS  0x06U
#define IIR_TIMEOUT 0x0CU
#define IIR_FIFO    0xC0U

#define FCR_ENABLE   BIT(0)
#define FCR_RX_RESET BIT(1)
#define FCR_TX_RESET BIT(2)
#define FCR_KEPT     0xC9U /* enable, DMA mode, trigger level */

#define LCR_DLAB BIT(7)

#define MCR_DTR  BIT(0)
#define MCR_RTS  BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3) /* on a PC: lets interrupts out */
#define MCR_LOOP BIT(4)
#define MCR_MASK 0x1FU

#define LSR_DATA    BIT(0)
#define LSR_OVERRUN BIT(1)
#define LSR_ERRORS  0x1EU
#define LSR_THRE    BIT(5)
#define LSR_TEMT    BIT(6)

#define MSR_CTS     BIT(4)
#define MSR_DSR     BIT(5)
#define MSR_RI      BIT(6)
#define MSR_DCD     BIT(7)
#define MSR_TERI    BIT(2) /* only the end of a ring counts */
#define MSR_DELTAS  0x0FU
#define MSR_PRESENT (MSR_CTS | MSR_DSR | MSR_DCD)

#define UART_TAG     0x54524155U /* "UART" */
#define UART_VERSION 1U

static unsigned fifo_depth(const struct uart *u)
{
    return u->fcr & FCR_ENABLE ? UART_FIFO : 1;
}

static unsigned rx_trigger(const struct uart *u)
{
    static const uint8_t levels[] = {1, 4, 8, 14};

    return u->fcr & FCR_ENABLE ? levels[u->fcr >> 6] : 1;
}

/* The interrupt of the highest priority, table "Interrupt Control Functions". */
static uint8_t interrupt_id(const struct uart *u)
{
    if (u->ier & IER_STATUS && u->errors)
        return IIR_STATUS;
    if (u->ier & IER_RX && u->rx_count >= rx_trigger(u))
        return IIR_RX;
    /* The line is infinitely fast: what is below the trigger has waited long enough. */
    if (u->ier & IER_RX && u->rx_count > 0)
        return IIR_TIMEOUT;
    if (u->ier & IER_THRE && u->thre_pending)
        return IIR_THRE;
    if (u->ier & IER_MODEM && u->msr_delta)
        return IIR_MODEM;
    return IIR_NONE;
}

static void line_update(struct uart *u)
{
    bool out = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

    bus_line_set(&u->line, out && interrupt_id(u) != IIR_NONE);
}

/* The modem's lines; in loopback they are the outputs of MCR. */
static uint8_t modem_lines(uint8_t mcr)
{
    if (!(mcr & MCR_LOOP))
        return MSR_PRESENT;
    return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
                     (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void rx_push(struct uart *u, uint8_t byte)
{
    if (u->rx_count == fifo_depth(u)) {
        u->errors |= LSR_OVERRUN;
        if (u->fcr & FCR_ENABLE)
            return; /* the FIFO keeps what it has, the holding register does not */
        u->rx_count = 0;
    }
    u->rx[u->rx_count++] = byte;
}

static uint8_t rx_pop(struct uart *u)
{
    uint8_t byte = u->rx[0];

    if (u->rx_count == 0)
        return 0;
    u->rx_count--;
    memmove(u->rx, u->rx + 1, u->rx_count);
    return byte;
}

/* Take from the host what there is room for; in loopback the line is cut. */
static void rx_fill(struct uart *u)
{
    while (!(u->mcr & MCR_LOOP) && u->rx_count < fifo_depth(u)) {
        int byte = u->host.receive ? u->host.receive(u->host.ctx) : -1;
        if (byte < 0)
            break;
        rx_push(u, (uint8_t)byte);
    }
}

static bool host_send(struct uart *u, uint8_t byte)
{
    return !u->host.send || u->host.send(u->host.ctx, byte);
}

static void tx_drain(struct uart *u)
{
    unsigned sent = 0;

    while (sent < u->tx_count && host_send(u, u->tx[sent]))
        sent++;
    if (!sent)
        return;
    u->tx_count = (uint8_t)(u->tx_count - sent);
    memmove(u->tx, u->tx + sent, u->tx_count);
    u->thre_pending |= u->tx_count == 0;
}

static void data_write(struct uart *u, uint8_t byte)
{
    u->thre_pending = false;
    if (u->mcr & MCR_LOOP) {
        rx_push(u, byte);
        u->thre_pending = true;
    } else if (u->tx_count == 0 && host_send(u, byte)) {
        u->thre_pending = true;
    } else if (u->tx_count < fifo_depth(u)) {
        u->tx[u->tx_count++] = byte;
    } /* else: the guest overran its transmitter, and the byte is lost */
}

static void ier_write(struct uart *u, uint8_t v)
{
    /* Enabling it while the transmitter is empty interrupts at once. */
    if (v & ~u->ier & IER_THRE && u->tx_count == 0)
        u->thre_pending = true;
    u->ier = v & IER_MASK;
}

static void fcr_write(struct uart *u, uint8_t v)
{
    bool toggled = (v ^ u->fcr) & FCR_ENABLE;

    if (toggled || (v & FCR_ENABLE && v & FCR_RX_RESET))
        u->rx_count = 0;
    if (toggled || (v & FCR_ENABLE && v & FCR_TX_RESET)) {
        u->thre_pending |= u->tx_count > 0;
        u->tx_count = 0;
    }
    u->fcr = v & FCR_ENABLE ? v & FCR_KEPT : 0;
    rx_fill(u);
}

static void mcr_write(struct uart *u, uint8_t v)
{
    uint8_t before = modem_lines(u->mcr), after;

    u->mcr = v & MCR_MASK;
    after = modem_lines(u->mcr);
    u->msr_delta |= (uint8_t)((before ^ after) >> 4 & (MSR_DELTAS & ~MSR_TERI));
    if (before & ~after & MSR_RI)
        u->msr_delta |= MSR_TERI;
    rx_fill(u);
}

static uint8_t iir_read(struct uart *u)
{
    uint8_t id = interrupt_id(u);

    if (id == IIR_THRE)
        u->thre_pending = false;
    return id | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t lsr_read(struct uart *u)
{
    uint8_t v = u->errors;

    v |= u->rx_count ? LSR_DATA : 0;
    v |= u->tx_count ? 0 : LSR_THRE | LSR_TEMT;
    u->errors = 0;
    return v;
}

static uint8_t msr_read(struct uart *u)
{
    uint8_t v = modem_lines(u->mcr) | u->msr_delta;

    u->msr_delta = 0;
    return v;
}

static uint8_t data_read(struct uart *u)
{
    uint8_t v = rx_pop(u);

    rx_fill(u);
    return v;
}

static uint8_t register_read(struct uart *u, unsigned offset)
{
    bool dlab = u->lcr & LCR_DLAB;

    switch (offset) {
    case DATA:
        return dlab ? (uint8_t)u->divisor : data_read(u);
    case IER:
        return dlab ? (uint8_t)(u->divisor >> 8) : u->ier;
    case IIR_FCR:
        return iir_read(u);
    case LCR:
        return u->lcr;
    case MCR:
        return u->mcr;
    case LSR:
        return lsr_read(u);
    case MSR:
        return msr_read(u);
    default:
        return u->scr;
    }
}

static void register_write(struct uart *u, unsigned offset, uint8_t v)
{
    bool dlab = u->lcr & LCR_DLAB;

    if (offset == DATA && dlab)
        u->divisor = (uint16_t)((u->divisor & 0xFF00) | v);
    else if (offset == DATA)
        data_write(u, v);
    else if (offset == IER && dlab)
        u->divisor = (uint16_t)((u->divisor & 0x00FF) | v << 8);
    else if (offset == IER)
        ier_write(u, v);
    else if (offset == IIR_FCR)
        fcr_write(u, v);
    else if (offset == LCR)
        u->lcr = v;
    else if (offset == MCR)
        mcr_write(u, v);
    else if (offset == SCR)
        u->scr = v;
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
    struct uart *u = dev;
    uint8_t v = register_read(u, (unsigned)offset);

    line_update(u);
    return v;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct uart *u = dev;

    register_write(u, (unsigned)offset, (uint8_t)value);
    line_update(u);
}

void uart_init(struct uart *u, const struct bus_line *line, const struct uart_host *host)
{
    *u = (struct uart){.divisor = 12, .line = *line, .host = *host};
}

int uart_attach(struct uart *u, struct bus *bus, uint16_t first)
{
    static const struct bus_ops ops = {port_read, port_write};

    return bus_add_ports(bus, first, UART_PORTS, 1, &ops, u);
}

void uart_poll(struct uart *u)
{
    tx_drain(u);
    rx_fill(u);
    line_update(u);
}

void uart_save(const struct uart *u, struct save_writer *w)
{
    size_t begin = save_begin(w, UART_TAG, UART_VERSION);

    save_u8(w, u->ier);
    save_u8(w, u->lcr);
    save_u8(w, u->mcr);
    save_u8(w, u->scr);
    save_u8(w, u->fcr);
    save_u8(w, u->errors);
    save_u8(w, u->msr_delta);
    save_u16(w, u->divisor);
    save_u8(w, u->thre_pending);
    save_u8(w, u->rx_count);
    save_bytes(w, u->rx, u->rx_count);
    save_u8(w, u->tx_count);
    save_bytes(w, u->tx, u->tx_count);
    save_end(w, begin);
}

int uart_load(struct uart *u, struct save_reader *r)
{
    struct uart n = {.line = u->line, .host = u->host};

    (void)load_begin(r, UART_TAG, UART_VERSION);
    n.ier = (uint8_t)load_max(r, 1, IER_MASK);
    n.lcr = load_u8(r);
    n.mcr = (uint8_t)load_max(r, 1, MCR_MASK);
    n.scr = load_u8(r);
    n.fcr = load_u8(r) & FCR_KEPT;
    n.errors = load_u8(r) & LSR_ERRORS;
    n.msr_delta = load_u8(r) & MSR_DELTAS;
    n.divisor = load_u16(r);
    n.thre_pending = load_max(r, 1, 1);
    n.rx_count = (uint8_t)load_max(r, 1, fifo_depth(&n));
    load_bytes(r, n.rx, n.rx_count);
    n.tx_count = (uint8_t)load_max(r, 1, fifo_depth(&n));
    load_bytes(r, n.tx, n.tx_count);
    if (load_end(r) < 0)
        return r->err;
    *u = n;
    line_update(u);
    return 0;
}
