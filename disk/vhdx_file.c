/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/* What the other files need of the image's file. */

int vhdx_read(struct image *i, void *buf, size_t length, uint64_t offset)
{
    uint64_t there;
    int err = 0;

    if (offset > i->overlay.size || length > i->overlay.size - offset)
        return -EIO;
    /* A log that was played into memory only may have made the file longer. */
    there = offset < i->file_bytes ? min_u64(length, i->file_bytes - offset) : 0;
    if (there > 0)
        err = file_read(i->file, buf, (size_t)there, offset);
    if (err)
        return err;
    memset((uint8_t *)buf + there, 0, length - (size_t)there);
    vhdx_overlay_get(&i->overlay, offset, length, buf);
    return 0;
}

/* Once a flush has failed the host may have forgotten what it could not write, and the next one
 * may succeed all the same. */
int vhdx_sync(struct image *i)
{
    int err = i->failed ? i->failed : file_flush(i->file);

    if (err) {
        i->failed = err;
        atomic_store_explicit(&i->dirty, true, memory_order_release); /* no flush may succeed now */
        return err;
    }
    i->durable_bytes = i->file_bytes;
    i->flush_first = false;
    return 0;
}

int vhdx_set_size(struct image *i, uint64_t size)
{
    uint64_t units = size / VHDX_MIB + (size % VHDX_MIB != 0);
    int err = vhdx_space_room(&i->space, units);

    if (!err)
        err = file_set_size(i->file, size);
    if (err)
        return err;
    i->space.units = units;
    i->file_bytes = i->overlay.size = size;
    i->durable_bytes = min_u64(i->durable_bytes, size);
    return 0;
}

int vhdx_zero(struct disk_file *file, uint64_t offset, uint64_t length)
{
    static const uint8_t zeros[65536];
    int err = file_punch(file, offset, length);

    if (err != -ENOTSUP)
        return err;
    err = 0;
    for (uint64_t n; length > 0 && !err; offset += n, length -= n) {
        n = min_u64(length, sizeof(zeros));
        err = file_write(file, zeros, (size_t)n, offset);
    }
    return err;
}

/* RFC 4122, 4.4: a random one. The version stands in the high byte of the third group, which is
 * little-endian here. */
int vhdx_guid_new(uint8_t guid[16])
{
    if (getrandom(guid, 16, 0) != 16)
        return -EIO;
    guid[7] = (uint8_t)((guid[7] & 0x0F) | 0x40);
    guid[8] = (uint8_t)((guid[8] & 0x3F) | 0x80);
    return 0;
}

bool vhdx_guid_is(const uint8_t guid[16], const uint8_t other[16])
{
    return memcmp(guid, other, 16) == 0;
}

bool vhdx_guid_none(const uint8_t guid[16])
{
    static const uint8_t none[16];

    return memcmp(guid, none, sizeof(none)) == 0;
}
