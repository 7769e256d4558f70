/* SPDX-License-Identifier: MIT */
#include "hypervisor/intercept/pic.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/partition/parent.h"
#include "lib/bits.h"

/* ICW1, and what it says of the words that follow on the data port (8259A data sheet). */
#define ICW1        BIT(4)
#define ICW1_ICW4   BIT(0)
#define ICW1_SINGLE BIT(1)

#define IS_DATA(port)  ((port)&1)
#define IS_SLAVE(port) ((port) >= PIC2_COMMAND)

/* Initialization words to come, of master and slave; only VP 0 of the parent. */
static unsigned words_left[2];

bool pic_has(uint16_t port)
{
    return (port & ~1) == PIC1_COMMAND || (port & ~1) == PIC2_COMMAND;
}

static void note(uint16_t port, uint8_t value)
{
    unsigned *left = &words_left[IS_SLAVE(port)];

    if (!IS_DATA(port) && (value & ICW1))
        *left = 1U + !(value & ICW1_SINGLE) + !!(value & ICW1_ICW4);
    else if (IS_DATA(port) && *left)
        --*left;
}

static void write(const struct vp *vp, uint16_t port, uint8_t value)
{
    bool was_busy = words_left[0] || words_left[1], busy = was_busy;

    if (!vp->index.v) {
        note(port, value);
        busy = words_left[0] || words_left[1];
    }
    if (busy && !was_busy)
        parent_hold_extint(true);
    cpu_out8(port, value);
    if (was_busy && !busy)
        parent_hold_extint(false);
}

uint64_t pic_in(uint16_t port, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)cpu_in8((uint16_t)(port + i)) << 8 * i;
    return value;
}

void pic_out(const struct vp *vp, uint16_t port, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        write(vp, (uint16_t)(port + i), (uint8_t)(value >> 8 * i));
}
