/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "disk/vhdx_crc.h"
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

static const uint64_t places[2] = {VHDX_HEADER1, VHDX_HEADER2};

int vhdx_probe(struct disk_file *file)
{
    char signature[8];
    uint64_t size;
    int err = file_size(file, &size);

    if (err < 0 || size < sizeof(signature))
        return err;
    err = file_read(file, signature, sizeof(signature), 0);
    return err ? err : memcmp(signature, VHDX_IDENTIFIER, sizeof(signature)) == 0;
}

static bool valid(const struct vhdx_header *h)
{
    return le32toh(h->signature) == VHDX_HEADER_SIGNATURE &&
           le32toh(h->checksum) == vhdx_crc_struct(h, sizeof(*h));
}

/* 2.2.2: the valid one with the greater number. Some writers leave both with the same, which is no
 * harm if they are the same in all. */
static int choose(struct image *i, const struct vhdx_header h[2], struct problem *why)
{
    bool good[2] = {valid(&h[0]), valid(&h[1])};
    uint64_t sequence[2] = {le64toh(h[0].sequence), le64toh(h[1].sequence)};

    if (!good[0] && !good[1])
        return problem_set(why, -EINVAL, "both headers are damaged");
    if (good[0] && good[1] && sequence[0] == sequence[1] && memcmp(&h[0], &h[1], sizeof(h[0])) != 0)
        return problem_set(why, -EINVAL, "two headers have the sequence number %llu",
                           (unsigned long long)sequence[0]);
    i->header_slot = !good[0] || (good[1] && sequence[1] > sequence[0]);
    i->header_damaged = !good[0] || !good[1];
    i->header = h[i->header_slot];
    return 0;
}

static int check_log(struct image *i, struct problem *why)
{
    uint64_t offset = le64toh(i->header.log_offset);
    uint32_t length = le32toh(i->header.log_length);

    if (le16toh(i->header.log_version) != 0 && !vhdx_guid_none(i->header.log_guid))
        return problem_set(why, -EINVAL, "version %u of the log is not known",
                           le16toh(i->header.log_version));
    if (offset % VHDX_MIB || length % VHDX_MIB || length == 0 || offset < VHDX_SECTION)
        return problem_set(why, -EINVAL, "the header puts the log at 0x%llx, 0x%x bytes",
                           (unsigned long long)offset, length);
    if (offset > i->file_bytes || length > i->file_bytes - offset)
        return problem_set(why, -EINVAL, "cut: the log at 0x%llx is not in the file",
                           (unsigned long long)offset);
    i->log_offset = offset;
    i->log_length = length;
    i->log.sectors = length / VHDX_LOG_SECTOR;
    i->page_limit = (unsigned)min_u64(VHDX_PAGES_MAX, i->log.sectors / 3 - 4);
    return 0;
}

int vhdx_header_load(struct image *i, struct problem *why)
{
    struct vhdx_header h[2];
    char signature[8];
    int err;

    if (i->file_bytes < VHDX_SECTION)
        return problem_set(why, -EINVAL, "too short for a VHDX");
    err = file_read(i->file, signature, sizeof(signature), 0);
    for (unsigned k = 0; k < 2 && !err; k++)
        err = file_read(i->file, &h[k], sizeof(h[k]), places[k]);
    if (err)
        return problem_set(why, err, "the headers cannot be read: %s", strerror(-err));
    if (memcmp(signature, VHDX_IDENTIFIER, sizeof(signature)) != 0)
        return problem_set(why, -EINVAL, "it does not begin with \"vhdxfile\"");
    err = choose(i, h, why);
    if (err)
        return err;
    if (le16toh(i->header.version) != 1)
        return problem_set(why, -EINVAL, "version %u of VHDX is not known",
                           le16toh(i->header.version));
    if (!i->read_only && le64toh(i->header.sequence) > UINT64_MAX / 2)
        return problem_set(why, -EINVAL, "the sequence number of the header cannot grow");
    return check_log(i, why);
}

/* 2.2.2.1 */
int vhdx_header_write(struct image *i, const struct vhdx_header *wanted)
{
    struct vhdx_header h = *wanted;
    int err = 0;

    for (unsigned n = 0; n < 2 && !err; n++) {
        unsigned slot = !i->header_slot;

        h.sequence = htole64(le64toh(i->header.sequence) + 1);
        h.checksum = htole32(vhdx_crc_struct(&h, sizeof(h)));
        err = file_write(i->file, &h, sizeof(h), places[slot]);
        if (!err)
            err = vhdx_sync(i);
        if (!err) {
            i->header = h;
            i->header_slot = slot;
        }
    }
    i->header_damaged &= err != 0;
    return err;
}

int vhdx_session(struct image *i, bool data)
{
    struct vhdx_header h = i->header;
    uint64_t whole = align_up(i->file_bytes, VHDX_MIB);
    int err = i->read_only ? -EROFS : i->failed;

    if (err || (i->file_guid_new && (i->data_guid_new || !data)))
        return err;
    if (!i->file_guid_new)
        err = vhdx_guid_new(h.file_write_guid);
    if (!err && data)
        err = vhdx_guid_new(h.data_write_guid);
    if (!err)
        err = vhdx_header_write(i, &h);
    /* Other writers may have cut the last block where the disk ends. */
    whole = max_u64(whole, vhdx_space_end(&i->space));
    if (!err && i->file_bytes != whole) {
        err = vhdx_set_size(i, whole);
        if (!err)
            err = vhdx_sync(i);
    }
    if (err)
        return err;
    i->file_guid_new = true;
    i->data_guid_new |= data;
    return 0;
}
