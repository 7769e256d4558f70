/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_CONSOLE_H
#define DEBUG_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>
#include "hypervisor/boot/multiboot.h"
#include "hypervisor/debug/log.h"

/**
 * Choose where text goes: enum cmdline_console bits. Before this call it goes to
 * COM1, the VGA text screen and the debug port.
 */
void console_configure(uint32_t sinks, enum log_level level);

/**
 * The parent takes COM1 and the screen: from now on only what is the
 * hypervisor's alone (COM2, debug port) is written, until a panic.
 */
void console_hand_over(void);

/**
 * The screen as the loader left it, which is VGA text before this call; NULL: there is none.
 * `base` is where a frame buffer is mapped, NULL while it is out of reach.
 */
void console_set_screen(const struct boot_framebuffer *fb, void *base);

/** The frame buffer is mapped somewhere else now, or no more (NULL). */
void console_move_screen(void *base);

/**
 * A panic may write everywhere again, whatever lock another LP holds. It writes to the screen, and
 * to COM1 if there was no console at all, even where the options say otherwise.
 */
void console_panic(void);

/** Write text as it is. */
void console_write(const char *text);

/** I/O port of the UART that stays the hypervisor's, or 0; its line is `*irq`. */
uint16_t console_uart_port(uint8_t *irq);

/** Let the UART interrupt on input; then call console_input() from the handler. */
void console_enable_input(void);

/** The next typed character, or -1. */
int console_input(void);

#endif
