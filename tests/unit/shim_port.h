/* SPDX-License-Identifier: MIT */
#ifndef UNIT_SHIM_PORT_H
#define UNIT_SHIM_PORT_H

/*
 * The root, shim.partition, with two children that have VP 0 each, for tests of ports and of the
 * calls that use them: no dispatcher, the handlers are called. Included by one source file.
 */
#include "abi/tlfs/management.h"
#include "abi/tlfs/partition.h"
#include "abi/tlfs/status.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/port.h"
#include "tests/unit/shim_memory.h"
#include "tests/unit/shim_tlfs.h"

#define SHIM_CHILDREN 2U
#define SHIM_RING     63U

static struct {
    struct partition child[SHIM_CHILDREN];
    struct vp vp[SHIM_CHILDREN];
    struct lp lp;
    unsigned barriers, holds, intercepts;
    uint32_t ring[SHIM_RING]; /* what synic_ring_push() was given, in order */
    uint32_t in_ring, ring_size;
    const struct vp *ring_vp;
    uint32_t ring_sint;
    int ring_rc;
    uint8_t out[PAGE_SIZE]; /* what the calls put out */
    uint32_t out_end;
} ports;

static struct hypercall call; /* of the VP that the test sets */

static inline void shim_ports_start(unsigned pages)
{
    shim_start(UINT64_MAX, true);
    shim_memory_start(pages);
    memset(&ports, 0, sizeof(ports));
    memset(&call, 0, sizeof(call));
    ports.ring_size = SHIM_RING;
    atomic_store(&shim.partition.state, PARTITION_ACTIVE);
    for (uint32_t i = 0; i < SHIM_CHILDREN; i++) {
        struct partition *p = &ports.child[i];

        p->id = 10 + i;
        p->is_child = true;
        p->parent = &shim.partition;
        atomic_store(&p->state, PARTITION_ACTIVE);
        ports.vp[i].partition = p;
        atomic_store(&p->vps[0], &ports.vp[i]);
        atomic_store(&p->vp_count, 1);
    }
    call.vp = &shim.vps[0];
}

/* Everything has come back: no memory, no hold. */
static inline bool shim_ports_clean(void)
{
    ports_destroy(&shim.partition);
    for (uint32_t i = 0; i < SHIM_CHILDREN; i++)
        ports_destroy(&ports.child[i]);
    return shim_pages_used() == 0 && ports.holds == 0;
}

struct partition *partition_get(struct partition *parent, uint64_t id)
{
    struct partition *found = NULL;

    if (id == HV_PARTITION_ID_SELF || id == parent->id)
        found = parent;
    for (uint32_t i = 0; i < SHIM_CHILDREN && parent->is_root; i++)
        if (ports.child[i].id == id)
            found = &ports.child[i];
    ports.holds += found != NULL;
    return found;
}

void partition_put(struct partition *p)
{
    ports.holds--;
}

void lp_barrier(void)
{
    ports.barriers++;
}

struct lp *this_lp(void)
{
    return &ports.lp;
}

void child_hypercall(struct vp *vp)
{
    ports.intercepts++;
}

int synic_ring_push(struct vp *vp, uint32_t sint, uint32_t id)
{
    if (ports.ring_rc)
        return ports.ring_rc;
    if (ports.in_ring == ports.ring_size)
        return -EAGAIN;
    ports.ring_vp = vp;
    ports.ring_sint = sint;
    ports.ring[ports.in_ring++] = id;
    return 0;
}

uint16_t hypercall_output(struct hypercall *h, uint32_t offset, const void *data, uint32_t len)
{
    if (offset + len > sizeof(ports.out))
        abort();
    memcpy(ports.out + offset, data, len);
    ports.out_end = offset + len;
    return HV_STATUS_SUCCESS;
}

#endif
