/* SPDX-License-Identifier: MIT */
/*
 * Instruction bytes from a guest: first byte picks the mode, the rest is code. Whatever decodes
 * is executed against a page of memory.
 */
#include <stdlib.h>
#include <string.h>
#include "hypervisor/intercept/decode.h"
#include "hypervisor/intercept/emulate.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/errno.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t page[PAGE_SIZE];

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            abort();                                                                               \
    } while (0)

static int page_read(void *ctx, uint64_t offset, unsigned size, uint64_t *val)
{
    CHECK(size <= 8 && offset <= PAGE_SIZE - size);
    memcpy(val, page + offset, size);
    return 0;
}

static int page_write(void *ctx, uint64_t offset, unsigned size, uint64_t val)
{
    CHECK(size <= 8 && offset <= PAGE_SIZE - size);
    memcpy(page + offset, &val, size);
    return 0;
}

static void check_insn(const struct insn *in, const uint8_t *code, size_t count,
                       enum insn_mode mode)
{
    static const struct mmio_ops ops = {page_read, page_write};
    struct vp_regs regs = {.rip = 1};
    struct insn again;

    CHECK(in->length >= 1 && in->length <= INSN_MAX && in->length <= count);
    CHECK(in->size == 1 || in->size == 2 || in->size == 4 || in->size == 8);
    CHECK(in->reg_size >= in->size && in->reg_size <= 8);
    CHECK(in->reg < GPR_COUNT && (!in->reg_high || (in->reg < 4 && in->reg_size == 1)));
    CHECK(mode == INSN_MODE_64 || (in->reg < R8 && in->reg_size < 8 && in->addr.size < 8));
    CHECK(in->addr.base < GPR_COUNT || in->addr.base >= INSN_REG_RIP);
    CHECK(in->addr.index < GPR_COUNT || in->addr.index == INSN_NO_REG);
    CHECK(in->addr.seg <= INSN_GS);
    CHECK(decode_insn(code, in->length, mode, &again) == 0 && again.length == in->length);
    CHECK(decode_insn(code, in->length - 1U, mode, &again) == -ENODATA);
    for (unsigned i = 0; i < GPR_COUNT; i++)
        regs.gpr[i] = i * 0x0101010101010101ULL;
    CHECK(emulate_mmio(&regs, in, &ops, NULL, 0) == 0);
    CHECK(emulate_mmio(&regs, in, &ops, NULL, PAGE_SIZE - in->size) == 0);
    CHECK(regs.rip == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct insn in;

    if (size < 1)
        return 0;
    for (unsigned kind = 0; kind < INSN_SIMPLE_COUNT; kind++) {
        int n = decode_length_simple(data + 1, size - 1, (enum insn_simple)kind);
        CHECK(n == -EINVAL || n == -ENODATA || (n > 0 && n <= INSN_MAX && (size_t)n < size));
    }
    enum insn_mode mode = (enum insn_mode)(data[0] % 3);
    if (decode_insn(data + 1, size - 1, mode, &in) == 0)
        check_insn(&in, data + 1, size - 1, mode);
    return 0;
}
