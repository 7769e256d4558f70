/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_crc.h"
#include "disk/vhdx_priv.h"

/* Regions: where the table of blocks and the metadata are. */

static const uint8_t bat_guid[16] = VHDX_REGION_BAT, metadata_guid[16] = VHDX_REGION_METADATA;

static bool valid(const struct vhdx_region_table *t)
{
    return le32toh(t->header.signature) == VHDX_REGIONS_SIGNATURE &&
           le32toh(t->header.checksum) == vhdx_crc_struct(t, sizeof(*t)) &&
           le32toh(t->header.count) <= VHDX_TABLE_MAX;
}

/* The first valid copy into i->regions. */
static int choose(struct image *i, struct problem *why)
{
    struct vhdx_region_table *copy = malloc(sizeof(*copy));
    int err = -ENOMEM;

    i->regions = malloc(sizeof(*i->regions));
    if (copy && i->regions)
        err = vhdx_read(i, i->regions, sizeof(*i->regions), VHDX_REGIONS1);
    if (!err)
        err = vhdx_read(i, copy, sizeof(*copy), VHDX_REGIONS2);
    if (err) {
        free(copy);
        return problem_set(why, err, "the region tables cannot be read: %s", strerror(-err));
    }
    i->regions_damaged[0] = !valid(i->regions);
    i->regions_damaged[1] = !valid(copy);
    if (i->regions_damaged[0])
        memcpy(i->regions, copy, sizeof(*copy));
    free(copy);
    if (i->regions_damaged[0] && i->regions_damaged[1])
        return problem_set(why, -EINVAL, "both region tables are damaged");
    return 0;
}

static int region(struct image *i, const struct vhdx_region *r, struct problem *why)
{
    uint64_t offset = le64toh(r->offset);
    uint32_t length = le32toh(r->length);

    if (offset % VHDX_MIB || length % VHDX_MIB || length == 0 || offset < VHDX_SECTION ||
        offset > i->overlay.size || length > i->overlay.size - offset)
        return problem_set(why, -EINVAL, "a region at 0x%llx, 0x%x bytes, is not in the file",
                           (unsigned long long)offset, length);
    if (!vhdx_space_take(&i->space, offset, length))
        return problem_set(why, -EINVAL, "the region at 0x%llx overlaps another or the log",
                           (unsigned long long)offset);
    if (vhdx_guid_is(r->guid, bat_guid) && !i->bat_length) {
        i->bat_offset = offset;
        i->bat_length = length;
    } else if (vhdx_guid_is(r->guid, metadata_guid) && !i->metadata_length) {
        i->metadata_offset = offset;
        i->metadata_length = length;
    } else if (vhdx_guid_is(r->guid, bat_guid) || vhdx_guid_is(r->guid, metadata_guid)) {
        return problem_set(why, -EINVAL, "the region table names a region twice");
    } else if (le32toh(r->required) & 1) {
        return problem_set(
            why, -ENOTSUP, "it needs a region that is not known (%08x-...), at 0x%llx",
            le32toh(*(const uint32_t *)(const void *)r->guid), (unsigned long long)offset);
    }
    return 0;
}

int vhdx_regions_load(struct image *i, struct problem *why)
{
    int err = choose(i, why);

    if (!err && (!vhdx_space_take(&i->space, 0, VHDX_SECTION) ||
                 !vhdx_space_take(&i->space, i->log_offset, i->log_length)))
        err = problem_set(why, -ENOMEM, "no memory");
    for (uint32_t k = 0; !err && k < le32toh(i->regions->header.count); k++)
        err = region(i, &i->regions->region[k], why);
    if (!err && (!i->bat_length || !i->metadata_length))
        err = problem_set(why, -EINVAL, "the region table names no %s",
                          i->bat_length ? "metadata" : "BAT");
    return err;
}
