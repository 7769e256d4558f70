/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/* Discards and zeros. No transfer is in flight and no map() is used while these run. */

#define ZEROS_BYTES 65536U

/* A whole block: what it had is free when the table in the file says so. */
static void drop(struct image *i, uint32_t block, uint64_t entry, bool zero)
{
    uint32_t index = vhdx_block_entry(i, block);
    enum vhdx_state state = vhdx_state(entry);

    if (state == VHDX_PRESENT || state == VHDX_PARTIAL) {
        vhdx_bits_clear(i, block);
        vhdx_space_free(i, vhdx_place(entry), i->block_size / VHDX_MIB);
        vhdx_bat_set(i, index, zero ? VHDX_ZERO : VHDX_UNMAPPED);
    } else if (zero && state != VHDX_ZERO && (i->has_parent || state != VHDX_NOT_PRESENT)) {
        /* Where this is not read as zeros, or others need not read it so. */
        vhdx_bat_set(i, index, VHDX_ZERO);
    }
}

static int zero_place(struct image *i, uint64_t place, uint64_t length, bool zero)
{
    int err = zero ? vhdx_zero(i->file, place, length) : file_punch(i->file, place, length);

    return err == -ENOTSUP ? 0 : err;
}

/* Zeros over what is in the parent are written like any data. */
static int write_zeros(struct image *i, uint64_t offset, uint64_t length)
{
    static uint8_t zeros[ZEROS_BYTES];
    int err = 0;

    for (uint64_t n; length > 0 && !err; offset += n, length -= n) {
        struct iovec iov = {zeros, (size_t)min_u64(length, sizeof(zeros))};

        n = iov.iov_len;
        err = vhdx_write(i, offset, n, &iov, 1);
    }
    return err;
}

/* Part of a block, by extents: the block may become present on the way. */
static int discard_part(struct image *i, uint64_t offset, uint64_t length, bool zero)
{
    struct extent e;
    int err = 0;

    for (; length > 0 && !err; offset += e.length, length -= e.length) {
        vhdx_map(i, offset, length, false, &e);
        if (e.kind == EXTENT_DATA)
            err = zero_place(i, e.file_offset, e.length, zero);
        else if (e.kind == EXTENT_PARENT && zero)
            err = write_zeros(i, offset, e.length);
    }
    return err;
}

int vhdx_discard(struct image *i, uint64_t offset, uint64_t length, bool zero)
{
    int err = vhdx_session(i, true);

    for (uint64_t n; length > 0 && !err; offset += n, length -= n) {
        uint32_t block = (uint32_t)(offset >> i->block_shift);
        uint64_t in_block = offset & (i->block_size - 1);

        n = min_u64(length, i->block_size - in_block);
        err = vhdx_room(i);
        if (!err && n == vhdx_block_bytes(i, block) && !i->leave_allocated)
            drop(i, block, vhdx_entry(i, vhdx_block_entry(i, block)), zero);
        else if (!err)
            err = discard_part(i, offset, n, zero);
    }
    return err;
}
