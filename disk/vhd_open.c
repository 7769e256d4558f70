/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhd_priv.h"
#include "lib/bits.h"

uint32_t vhd_checksum(const void *data, size_t length, size_t field)
{
    const uint8_t *p = data;
    uint32_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum += i >= field && i < field + 4 ? 0 : p[i];
    return ~sum;
}

bool vhd_footer_valid(const struct vhd_footer *f)
{
    uint32_t type = be32toh(f->type);

    return memcmp(f->cookie, VHD_COOKIE, sizeof(f->cookie)) == 0 &&
           be32toh(f->checksum) ==
               vhd_checksum(f, sizeof(*f), offsetof(struct vhd_footer, checksum)) &&
           be32toh(f->version) >> 16 == VHD_VERSION >> 16 && type >= VHD_FIXED &&
           type <= VHD_DIFFERENCING;
}

int vhd_footer_read(struct disk_file *file, uint64_t size, struct vhd_footer *f)
{
    /* Early writers left the last byte away. */
    uint64_t at = size % VHD_SECTOR == VHD_SECTOR - 1 ? size - (VHD_SECTOR - 1) : size - VHD_SECTOR;
    int err;

    memset(f, 0, sizeof(*f));
    if (size < VHD_SECTOR - 1)
        return 0;
    err = file_read(file, f, size - at, at);
    return err ? err : memcmp(f->cookie, VHD_COOKIE, sizeof(f->cookie)) == 0;
}

/* Virtual PC, and QEMU until it called itself qem2, made disks as large as their geometry says;
 * all others as large as current_size says. */
uint64_t vhd_footer_size(const struct vhd_footer *f)
{
    uint64_t size = align_down(be64toh(f->current_size), VHD_SECTOR);
    uint64_t chs = (uint64_t)be16toh(f->cylinders) * f->heads * f->track_sectors;
    bool by_chs = memcmp(f->creator, "vpc ", 4) == 0 || memcmp(f->creator, "qemu", 4) == 0;

    if (!by_chs || chs == 0 || chs >= (uint64_t)VHD_CYLINDERS * VHD_HEADS * VHD_TRACK)
        return size;
    return min_u64(size, chs * VHD_SECTOR);
}

int vhd_probe(struct disk_file *file)
{
    struct vhd_footer f;
    uint64_t size;
    int err = file_size(file, &size);

    if (err < 0 || size < VHD_SECTOR)
        return err;
    err = vhd_footer_read(file, size, &f);
    if (err)
        return err;
    err = file_read(file, &f, sizeof(f), 0);
    return err ? err : memcmp(f.cookie, VHD_COOKIE, sizeof(f.cookie)) == 0;
}

/* The footer that counts: the one at the end, else its copy at the start. *mend: they are not both
 * there and the same. */
static int choose_footer(struct image *i, uint64_t file_bytes, bool *mend, struct problem *why)
{
    struct vhd_footer tail, head;
    int has_tail = file_bytes < VHD_SECTOR ? 0 : vhd_footer_read(i->file, file_bytes, &tail);
    int err = file_bytes < VHD_SECTOR ? 0 : file_read(i->file, &head, sizeof(head), 0);

    if (has_tail < 0 || err < 0)
        return problem_set(why, -EIO, "the footer cannot be read");
    if (file_bytes < VHD_SECTOR)
        return problem_set(why, -EINVAL, "too short for a footer");
    *mend = true;
    if (has_tail && vhd_footer_valid(&tail)) {
        i->footer = tail;
        *mend = be32toh(tail.type) != VHD_FIXED && memcmp(&tail, &head, sizeof(tail)) != 0;
        return 0;
    }
    /* A fixed image has the guest's data at its start, whatever that may look like. */
    if (vhd_footer_valid(&head) && be32toh(head.type) != VHD_FIXED) {
        i->footer = head;
        return 0;
    }
    if (has_tail && be32toh(tail.checksum) !=
                        vhd_checksum(&tail, sizeof(tail), offsetof(struct vhd_footer, checksum)))
        return problem_set(why, -EINVAL, "the checksum of the footer is wrong");
    if (has_tail)
        return problem_set(why, -EINVAL, "the footer has version 0x%x and disk type %u",
                           be32toh(tail.version), be32toh(tail.type));
    return problem_set(why, -EINVAL, "no valid footer at the end or at the start");
}

static int load_fixed(struct image *i, uint64_t file_bytes, struct problem *why)
{
    if (i->size > file_bytes - VHD_SECTOR)
        return problem_set(
            why, -EINVAL, "cut: the footer says %llu bytes of data, the file has %llu",
            (unsigned long long)i->size, (unsigned long long)(file_bytes - VHD_SECTOR));
    return 0;
}

static void fill_geometry(const struct image *i, struct image_geometry *g)
{
    static const char *const kinds[] = {
        [VHD_FIXED] = "fixed", [VHD_DYNAMIC] = "dynamic", [VHD_DIFFERENCING] = "differencing"};

    g->kind = kinds[i->type];
    g->block_size = i->block_size;
    g->size = i->size;
    g->sector_size = VHD_SECTOR;
    g->physical_size = VHD_DATA_ALIGN;
    g->discard_unit = VHD_DATA_ALIGN;
    memcpy(g->identity, i->footer.id, sizeof(g->identity));
    memcpy(g->link, i->footer.id, sizeof(g->link));
}

static int load(struct image *i, struct image_geometry *g, struct problem *why)
{
    uint64_t file_bytes;
    bool mend;
    int err = file_size(i->file, &file_bytes);

    if (err < 0)
        return problem_set(why, err, "its size cannot be read: %s", strerror(-err));
    err = choose_footer(i, file_bytes, &mend, why);
    if (err)
        return err;
    i->type = be32toh(i->footer.type);
    i->size = vhd_footer_size(&i->footer);
    if (i->size > VHD_SIZE_MAX)
        return problem_set(why, -EINVAL, "the footer says %llu bytes; 2040 GiB is the most",
                           (unsigned long long)i->size);
    if (i->type == VHD_FIXED) {
        err = load_fixed(i, file_bytes, why);
    } else {
        err = vhd_load(i, NULL, NULL, why);
        if (!err)
            err = vhd_load_bitmaps(i, why);
        if (!err && i->type == VHD_DIFFERENCING)
            err = vhd_parent_paths(i, &g->parent);
        if (!err && mend && !i->read_only) {
            err = vhd_footers_write(i);
            if (err)
                (void)problem_set(why, err, "the footer cannot be mended: %s", strerror(-err));
        }
    }
    fill_geometry(i, g);
    return err;
}

void vhd_free(struct image *i)
{
    for (uint32_t b = 0; i->bitmap && b < i->entries; b++)
        free(atomic_load_explicit(&i->bitmap[b], memory_order_relaxed));
    free(i->bitmap);
    free(i->state);
    free(i->bat);
    free(i->bat_dirty);
    free(i);
}

int vhd_open(struct image **out, struct disk_file *file, bool read_only,
             struct image_geometry *geometry, struct problem *why)
{
    struct image_geometry *g = calloc(1, sizeof(*g)); /* too large for a stack */
    struct image *i = calloc(1, sizeof(*i));
    int err = -ENOMEM;

    if (!g || !i) {
        free(g);
        free(i);
        return problem_set(why, err, "no memory");
    }
    i->file = file;
    i->read_only = read_only;
    err = load(i, g, why);
    if (err) {
        vhd_free(i);
    } else {
        *geometry = *g;
        *out = i;
    }
    free(g);
    return err;
}
