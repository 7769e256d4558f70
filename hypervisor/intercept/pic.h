/* SPDX-License-Identifier: MIT */
#ifndef INTERCEPT_PIC_H
#define INTERCEPT_PIC_H

#include <stdbool.h>
#include <stdint.h>

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1

struct vp;

/*
 * The parent owns both 8259s. But from the first to the last word of its initialization a chip has
 * no mask, and its vectors are those of exceptions. The parent does that with interrupts off; a
 * processor with the hypervisor on it takes them all the same. So meanwhile none is let through.
 */

/** Is it a port of a chip? */
bool pic_has(uint16_t port);

/** Carry out the parent's IN or OUT of 1, 2 or 4 bytes that begins at such a port. */
uint64_t pic_in(uint16_t port, unsigned size);
void pic_out(const struct vp *vp, uint16_t port, unsigned size, uint64_t value);

#endif
