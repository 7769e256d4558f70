/* SPDX-License-Identifier: MIT */
#include "hypervisor/debug/console.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/boot/cmdline.h"
#include "hypervisor/debug/framebuffer.h"
#include "hypervisor/mm/direct.h"
#include "lib/fmt.h"
#include "lib/spinlock.h"
#include "lib/string.h"

#define COM1_PORT 0x3f8
#define COM2_PORT 0x2f8
#define COM2_IRQ  3
#define DEBUGCON  0xe9

/* 16550 registers and bits. */
#define UART_DATA     0
#define UART_IER      1
#define UART_FCR      2
#define UART_LCR      3
#define UART_MCR      4
#define UART_LSR      5
#define UART_SCRATCH  7
#define LSR_DATA      0x01
#define LSR_THR_EMPTY 0x20
#define LCR_8N1       0x03
#define LCR_DLAB      0x80
#define UART_SPINS    100000 /* a UART that is stuck must not stop the machine */

#define VGA_TEXT 0xb8000ULL
#define VGA_COLS 80
#define VGA_ROWS 25
#define VGA_ATTR 0x07

static uint32_t sinks = CONSOLE_COM1 | CONSOLE_VGA | CONSOLE_DEBUG;
static enum log_level max_level = LOG_INFO;
static bool handed_over, panicking;
static uint32_t uart_ready; /* CONSOLE_COM* bits of UARTs that answered */
static struct spinlock lock = SPINLOCK_INIT;
static enum boot_fb_type screen = BOOT_FB_TEXT;
static unsigned vga_row, vga_col;
static bool vga_used;

static bool uart_init(uint16_t port)
{
    cpu_out8(port + UART_SCRATCH, 0x5a);
    if (cpu_in8(port + UART_SCRATCH) != 0x5a)
        return false;
    cpu_out8(port + UART_IER, 0);
    cpu_out8(port + UART_LCR, LCR_DLAB | LCR_8N1);
    cpu_out8(port + UART_DATA, 1); /* 115200 baud */
    cpu_out8(port + UART_IER, 0);
    cpu_out8(port + UART_LCR, LCR_8N1);
    cpu_out8(port + UART_FCR, 0x07);
    cpu_out8(port + UART_MCR, 0x0b);
    return true;
}

static void uart_put(uint32_t which, uint16_t port, char c)
{
    if (!(uart_ready & which)) {
        if (!uart_init(port)) {
            sinks &= ~which;
            return;
        }
        uart_ready |= which;
    }
    for (unsigned i = 0; i < UART_SPINS && !(cpu_in8(port + UART_LSR) & LSR_THR_EMPTY); i++)
        cpu_relax();
    cpu_out8(port + UART_DATA, (uint8_t)c);
}

static void vga_clear_row(unsigned row)
{
    uint16_t *text = hpa_to_virt(hpa(VGA_TEXT));

    for (unsigned i = 0; i < VGA_COLS; i++)
        text[row * VGA_COLS + i] = VGA_ATTR << 8 | ' ';
}

/* What others wrote must not be read as ours. */
static void vga_clear(void)
{
    for (unsigned row = 0; row < VGA_ROWS; row++)
        vga_clear_row(row);
    vga_row = vga_col = 0;
    vga_used = true;
}

static void vga_put(char c)
{
    uint16_t *text = hpa_to_virt(hpa(VGA_TEXT));

    if (!vga_used)
        vga_clear();
    if (c == '\n' || vga_col >= VGA_COLS) {
        vga_col = 0;
        vga_row++;
    }
    if (vga_row >= VGA_ROWS) {
        memmove(text, text + VGA_COLS, (VGA_ROWS - 1) * VGA_COLS * sizeof(*text));
        vga_row = VGA_ROWS - 1;
        vga_clear_row(vga_row);
    }
    if (c >= ' ')
        text[vga_row * VGA_COLS + vga_col++] = (uint16_t)(VGA_ATTR << 8 | (uint8_t)c);
}

static void screen_put(char c)
{
    if (screen == BOOT_FB_TEXT)
        vga_put(c);
    else if (screen == BOOT_FB_RGB)
        framebuffer_put(c);
}

static void put(uint32_t to, char c)
{
    if (to & CONSOLE_COM1) {
        if (c == '\n')
            uart_put(CONSOLE_COM1, COM1_PORT, '\r');
        uart_put(CONSOLE_COM1, COM1_PORT, c);
    }
    if (to & CONSOLE_COM2) {
        if (c == '\n')
            uart_put(CONSOLE_COM2, COM2_PORT, '\r');
        uart_put(CONSOLE_COM2, COM2_PORT, c);
    }
    if (to & CONSOLE_VGA)
        screen_put(c);
    if (to & CONSOLE_DEBUG)
        cpu_out8(DEBUGCON, (uint8_t)c);
}

void console_write(const char *text)
{
    uint32_t to = sinks;

    if (handed_over && !panicking)
        to &= ~(uint32_t)(CONSOLE_COM1 | CONSOLE_VGA);
    if (!panicking)
        spin_lock(&lock);
    for (; *text; text++)
        put(to, *text);
    if (!panicking)
        spin_unlock(&lock);
}

void console_configure(uint32_t new_sinks, enum log_level level)
{
    sinks = new_sinks;
    max_level = level;
}

void console_hand_over(void)
{
    handed_over = true;
}

void console_set_screen(const struct boot_framebuffer *fb, void *base)
{
    screen = fb ? fb->type : BOOT_FB_NONE;
    if (screen == BOOT_FB_RGB && !framebuffer_init(fb, base))
        screen = BOOT_FB_NONE;
}

void console_move_screen(void *base)
{
    framebuffer_move(base);
}

void console_panic(void)
{
    if (panicking)
        return;
    panicking = true;
    /* Nobody who sits in front of the machine may be left without a word. */
    sinks |= sinks ? CONSOLE_VGA : CONSOLE_VGA | CONSOLE_COM1;
    if (handed_over && screen == BOOT_FB_RGB)
        framebuffer_clear();
    vga_used = vga_used && !handed_over;
}

uint16_t console_uart_port(uint8_t *irq)
{
    *irq = COM2_IRQ;
    return (sinks & CONSOLE_COM2) && (uart_ready & CONSOLE_COM2) ? COM2_PORT : 0;
}

void console_enable_input(void)
{
    cpu_out8(COM2_PORT + UART_IER, 1);
}

int console_input(void)
{
    return cpu_in8(COM2_PORT + UART_LSR) & LSR_DATA ? cpu_in8(COM2_PORT + UART_DATA) : -1;
}

void log_print(enum log_level level, const char *fmt, ...)
{
    static const char *const prefix[] = {"error: ", "warning: ", "", "debug: "};
    char line[256];
    va_list ap;
    int n;

    if (level > max_level)
        return;
    n = fmt_snprintf(line, sizeof(line) - 1, "bulkhead: %s", prefix[level]);
    va_start(ap, fmt);
    n += fmt_vsnprintf(line + n, sizeof(line) - 1 - (size_t)n, fmt, ap);
    va_end(ap);
    if (n > (int)sizeof(line) - 2)
        n = (int)sizeof(line) - 2;
    line[n] = '\n';
    line[n + 1] = 0;
    console_write(line);
}
