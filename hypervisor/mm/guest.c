/* SPDX-License-Identifier: MIT */
#include "hypervisor/mm/guest.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/partition/partition.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Pages that GUEST_COPY_MAX bytes touch at most, whatever their alignment. */
#define COPY_PAGES (GUEST_COPY_MAX / PAGE_SIZE + 1)

static size_t bytes_in_page(uint64_t addr, size_t len)
{
    return (size_t)min_u64(len, PAGE_SIZE - (addr & ~PAGE_MASK));
}

/* Host addresses of the pieces, one per page, that a range consists of. All or -EFAULT. */
static int range_pieces(struct partition *p, gpa_t addr, size_t len, enum access access,
                        uint8_t *piece[COPY_PAGES])
{
    if (len > GUEST_COPY_MAX || addr.v + len < addr.v)
        return -EFAULT;
    for (unsigned i = 0; len; i++) {
        size_t n = bytes_in_page(addr.v, len);
        piece[i] = guest_page(p, addr, access);
        if (!piece[i])
            return -EFAULT;
        addr.v += n;
        len -= n;
    }
    return 0;
}

int guest_read(struct partition *p, gpa_t addr, void *buf, size_t len)
{
    uint8_t *piece[COPY_PAGES];
    uint8_t *to = buf;

    if (range_pieces(p, addr, len, ACCESS_READ, piece) < 0)
        return -EFAULT;
    for (unsigned i = 0; len; i++) {
        size_t n = bytes_in_page(addr.v, len);
        memcpy(to, piece[i], n);
        addr.v += n;
        to += n;
        len -= n;
    }
    return 0;
}

int guest_write(struct partition *p, gpa_t addr, const void *buf, size_t len)
{
    uint8_t *piece[COPY_PAGES];
    const uint8_t *from = buf;

    if (range_pieces(p, addr, len, ACCESS_WRITE, piece) < 0)
        return -EFAULT;
    for (unsigned i = 0; len; i++) {
        size_t n = bytes_in_page(addr.v, len);
        memcpy(piece[i], from, n);
        addr.v += n;
        from += n;
        len -= n;
    }
    return 0;
}

bool guest_denied(struct partition *p, gpa_t addr, unsigned access)
{
    hpa_t at;

    return gpa_map_lookup(p->map, addr, access, &at) == -EACCES;
}

void *guest_page(struct partition *p, gpa_t addr, enum access access)
{
    hpa_t at;

    if (gpa_map_lookup(p->map, addr, access, &at) < 0)
        return NULL;
    if (!memory_is_ram(hpa(at.v & PAGE_MASK)))
        return NULL;
    /* No processor marks what is written through the address that is returned here. */
    if (p->is_child && (access & ACCESS_WRITE) && p->properties.page_access_tracking) {
        unsigned state;

        gpa_map_track(p->map, gpa(addr.v & PAGE_MASK), 0, (unsigned)GPA_ACCESSED | GPA_DIRTY,
                      &state);
    }
    return hpa_to_virt(at);
}
