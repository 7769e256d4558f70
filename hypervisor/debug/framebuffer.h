/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_FRAMEBUFFER_H
#define DEBUG_FRAMEBUFFER_H

#include <stdbool.h>
#include <stdint.h>
#include "hypervisor/boot/multiboot.h"

/*
 * Text on a linear RGB frame buffer of 16, 24 or 32 bits per pixel. Only writes to it: reading
 * video memory is slow, so what stands where is kept here. The caller serializes all calls.
 */

/**
 * Use this screen. `base` is where it is mapped, or NULL as long as it is out of reach: then text
 * is only kept. Returns false for a layout that is not understood; then the other calls do nothing.
 */
bool framebuffer_init(const struct boot_framebuffer *fb, void *base);

/** Bytes of the frame buffer from boot_framebuffer.addr on. */
uint64_t framebuffer_bytes(const struct boot_framebuffer *fb);

/** The screen is mapped somewhere else, or no more (NULL); what was out of reach is drawn now. */
void framebuffer_move(void *base);

/** One character at the end of the text; '\n' ends a line, others outside of ASCII show as '?'. */
void framebuffer_put(char c);

/** An empty screen, whoever drew on it. */
void framebuffer_clear(void);

#endif
