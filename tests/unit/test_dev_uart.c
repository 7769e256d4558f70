/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_device.h"
#include "devices/uart.h"

#define COM 0x3F8
enum { DATA = COM, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static struct uart u;
static uint8_t out[256];
static unsigned out_len, out_room;
static const char *in;

static bool host_send(void *ctx, uint8_t byte)
{
    if (out_len == out_room)
        return false;
    out[out_len++] = byte;
    return true;
}

static int host_receive(void *ctx)
{
    return *in ? *in++ : -1;
}

static const struct uart_host host = {host_send, host_receive, NULL};

static int reset(void **state)
{
    shim_reset();
    out_len = 0;
    out_room = sizeof(out);
    in = "";
    uart_init(&u, &shim_irq, &host);
    return uart_attach(&u, &bus, COM);
}

static void type(const char *text)
{
    in = text;
    uart_poll(&u);
}

static void test_registers(void **state)
{
    assert_int_equal(inb(LSR), 0x60);
    assert_int_equal(inb(IIR), 0x01);
    assert_int_equal(inb(MSR), 0xB0);
    outb(SCR, 0xA5);
    assert_int_equal(inb(SCR), 0xA5);
    outb(IER, 0xFF);
    assert_int_equal(inb(IER), 0x0F);
    outb(LCR, 0x83);
    outb(DATA, 0x01);
    outb(IER, 0x02);
    assert_int_equal(inb(DATA), 0x01);
    assert_int_equal(inb(IER), 0x02);
    assert_int_equal(out_len, 0);
    outb(LCR, 0x03);
    assert_int_equal(inb(IER), 0x0F);
    outb(MCR, 0xFF);
    assert_int_equal(inb(MCR), 0x1F);
}

static void test_sends(void **state)
{
    outb(DATA, 'a');
    outb(DATA, 'b');
    assert_int_equal(out_len, 2);
    assert_memory_equal(out, "ab", 2);
    assert_int_equal(inb(LSR), 0x60);
}

static void test_transmitter_fills_up(void **state)
{
    outb(IIR, 0x01);
    outb(MCR, 0x08);
    outb(IER, 0x02);
    assert_true(line_high);
    assert_int_equal(inb(IIR), 0xC2); /* and that clears it */
    assert_false(line_high);
    out_room = 1;
    for (unsigned i = 0; i < 1 + UART_FIFO + 3; i++)
        outb(DATA, (uint8_t)('a' + i));
    assert_int_equal(out_len, 1);
    assert_int_equal(inb(LSR), 0x00);
    assert_int_equal(inb(IIR), 0xC1);
    out_room = 5;
    uart_poll(&u);
    assert_int_equal(out_len, 5);
    assert_int_equal(inb(LSR), 0x00);
    out_room = sizeof(out);
    uart_poll(&u);
    assert_memory_equal(out, "abcdefghijklmnopq", 17); /* three were lost */
    assert_int_equal(out_len, 17);
    assert_int_equal(inb(LSR), 0x60);
    assert_true(line_high);
    assert_int_equal(inb(IIR), 0xC2);
}

static void test_receives_with_trigger(void **state)
{
    outb(IIR, 0x41); /* trigger at 4 */
    outb(MCR, 0x08);
    outb(IER, 0x01);
    type("abc");
    assert_true(line_high);
    assert_int_equal(inb(IIR), 0xCC); /* timeout */
    type("d");
    assert_int_equal(inb(IIR), 0xC4);
    assert_int_equal(inb(LSR), 0x61);
    assert_int_equal(inb(DATA), 'a');
    assert_int_equal(inb(IIR), 0xCC);
    assert_int_equal(inb(DATA), 'b');
    assert_int_equal(inb(DATA), 'c');
    assert_int_equal(inb(DATA), 'd');
    assert_false(line_high);
    assert_int_equal(inb(LSR), 0x60);
    assert_int_equal(inb(DATA), 0);
}

static void test_takes_only_what_fits(void **state)
{
    type("ab"); /* no FIFO: the second one waits outside */
    assert_string_equal(in, "b");
    assert_int_equal(inb(DATA), 'a');
    assert_string_equal(in, "");
    assert_int_equal(inb(DATA), 'b');
    outb(IIR, 0x01);
    type("0123456789abcdefghij");
    assert_string_equal(in, "ghij");
    assert_int_equal(inb(DATA), '0');
    assert_string_equal(in, "hij");
    outb(IIR, 0x03); /* reset: what waited outside comes in */
    assert_int_equal(inb(DATA), 'h');
}

static void test_out2_gates_the_line(void **state)
{
    outb(IER, 0x01);
    type("a");
    assert_false(line_high);
    outb(MCR, 0x08);
    assert_true(line_high);
    outb(MCR, 0x18);
    assert_false(line_high);
}

static void test_loopback(void **state)
{
    outb(MCR, 0x10);
    assert_int_equal(inb(MSR), 0x0B); /* lines fall: CTS, DSR, DCD have changed */
    outb(MCR, 0x1A);                  /* as Linux looks for a UART */
    assert_int_equal(inb(MSR) & 0xF0, 0x90);
    outb(MCR, 0x14);
    (void)inb(MSR);
    outb(MCR, 0x10);
    assert_int_equal(inb(MSR), 0x04); /* the end of a ring */
    outb(DATA, 'x');
    assert_int_equal(out_len, 0);
    assert_int_equal(inb(LSR), 0x61);
    outb(DATA, 'y');
    assert_int_equal(inb(LSR), 0x63); /* overrun */
    assert_int_equal(inb(LSR), 0x61);
    assert_int_equal(inb(DATA), 'y');
}

static void test_priorities(void **state)
{
    outb(MCR, 0x10);
    outb(DATA, 'x');
    outb(DATA, 'y');
    outb(IER, 0x0F);
    assert_int_equal(inb(IIR), 0x06);
    (void)inb(LSR);
    assert_int_equal(inb(IIR), 0x04);
    (void)inb(DATA);
    assert_int_equal(inb(IIR), 0x02);
    assert_int_equal(inb(IIR), 0x00);
    (void)inb(MSR);
    assert_int_equal(inb(IIR), 0x01);
}

/* Linux' serial8250_do_startup(): enabling it again interrupts again. */
static void test_thre_comes_again(void **state)
{
    outb(IER, 0x02);
    assert_int_equal(inb(IIR), 0x02);
    assert_int_equal(inb(IIR), 0x01);
    outb(IER, 0x00);
    outb(IER, 0x02);
    assert_int_equal(inb(IIR), 0x02);
}

static void test_save(void **state)
{
    struct uart other;

    outb(IIR, 0x81);
    outb(MCR, 0x0B);
    outb(IER, 0x03);
    type("hello");
    out_room = 0;
    outb(DATA, 'q');
    uart_init(&other, &shim_irq, &host);
    CHECK_SAVE(uart, &u, &other);
    assert_memory_equal(&other.rx, "hello", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_registers, reset),
        cmocka_unit_test_setup(test_sends, reset),
        cmocka_unit_test_setup(test_transmitter_fills_up, reset),
        cmocka_unit_test_setup(test_receives_with_trigger, reset),
        cmocka_unit_test_setup(test_takes_only_what_fits, reset),
        cmocka_unit_test_setup(test_out2_gates_the_line, reset),
        cmocka_unit_test_setup(test_loopback, reset),
        cmocka_unit_test_setup(test_priorities, reset),
        cmocka_unit_test_setup(test_thre_comes_again, reset),
        cmocka_unit_test_setup(test_save, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
