// SPDX-License-Identifier: GPL-2.0-only
#include <linux/eventfd.h>
#include <linux/idr.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "calls.h"
#include "compat.h"
#include "doorbell.h"
#include "vid.h"

/*
 * Numbers of ports, which are those of the connections in the children too: 24 bits, well away
 * from the low ones by which guests reach the VMBus.
 */
#define PORT_FIRST 0x00800000
#define PORT_END   0x01000000

struct doorbell {
    struct list_head node; /* in the partition */
    struct vid_partition *partition;
    struct eventfd_ctx *eventfd;
    struct mshv_user_ioeventfd args;
    u32 port;
};

/* Doorbells by port. Changed under the lock, looked up under RCU. */
static DEFINE_IDR(ports);
static DEFINE_SPINLOCK(ports_lock);

void vid_doorbell_ring(u32 port)
{
    struct doorbell *doorbell;

    rcu_read_lock();
    doorbell = idr_find(&ports, port);
    if (doorbell) {
        atomic64_inc(&doorbell->partition->counters.doorbells);
        vid_compat_eventfd_signal(doorbell->eventfd);
    }
    rcu_read_unlock();
}

static int allocate_port(struct doorbell *doorbell)
{
    int port;

    idr_preload(GFP_KERNEL);
    spin_lock_irq(&ports_lock);
    port = idr_alloc_cyclic(&ports, doorbell, PORT_FIRST, PORT_END, GFP_NOWAIT);
    spin_unlock_irq(&ports_lock);
    idr_preload_end();
    if (port < 0)
        return port;
    doorbell->port = port;
    return 0;
}

/* The port is gone from the hypervisor, or never was there. */
static void destroy(struct doorbell *doorbell)
{
    spin_lock_irq(&ports_lock);
    idr_remove(&ports, doorbell->port);
    spin_unlock_irq(&ports_lock);
    synchronize_rcu();
    eventfd_ctx_put(doorbell->eventfd);
    kfree(doorbell);
}

static void remove_one(struct doorbell *doorbell)
{
    list_del(&doorbell->node);
    vid_delete_doorbell(doorbell->partition->id, doorbell->port);
    destroy(doorbell);
}

static bool has_datamatch(const struct mshv_user_ioeventfd *args)
{
    return args->flags & BIT(MSHV_IOEVENTFD_BIT_DATAMATCH);
}

/* Two doorbells of which the hypervisor could not tell which is meant. */
static bool collides(const struct mshv_user_ioeventfd *a, const struct mshv_user_ioeventfd *b)
{
    return a->addr == b->addr && a->len == b->len &&
           (!has_datamatch(a) || !has_datamatch(b) || a->datamatch == b->datamatch);
}

/* The size of the access that rings, in the terms of the connection; 0 bytes: any size. */
static int trigger_size(u32 len, u64 *flags)
{
    switch (len) {
    case 0:
        *flags = 0;
        return 0;
    case 1:
    case 2:
    case 4:
    case 8:
        *flags = (u64)ilog2(len) + 1;
        return 0;
    default:
        return -EINVAL;
    }
}

static int connect(struct doorbell *doorbell)
{
    struct hv_connection_info info = {.port_type = HV_PORT_TYPE_DOORBELL};
    int error = trigger_size(doorbell->args.len, &info.u.doorbell.flags);

    if (error)
        return error;
    info.u.doorbell.gpa = doorbell->args.addr;
    if (has_datamatch(&doorbell->args))
        info.u.doorbell.trigger_value = doorbell->args.datamatch;
    else
        info.u.doorbell.flags |= HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE;
    return vid_create_doorbell(doorbell->partition, doorbell->port, &info);
}

static int assign(struct vid_partition *partition, const struct mshv_user_ioeventfd *args,
                  struct eventfd_ctx *eventfd)
{
    struct doorbell *doorbell;
    int error;

    list_for_each_entry(doorbell, &partition->doorbells,
                        node) if (collides(&doorbell->args, args)) return -EEXIST;
    doorbell = kzalloc(sizeof(*doorbell), GFP_KERNEL_ACCOUNT);
    if (!doorbell)
        return -ENOMEM;
    doorbell->partition = partition;
    doorbell->eventfd = eventfd;
    doorbell->args = *args;
    error = allocate_port(doorbell);
    if (error) {
        kfree(doorbell);
        return error;
    }
    error = connect(doorbell);
    if (error) {
        /* destroy() would put the eventfd, which is still the caller's. */
        spin_lock_irq(&ports_lock);
        idr_remove(&ports, doorbell->port);
        spin_unlock_irq(&ports_lock);
        synchronize_rcu();
        kfree(doorbell);
        return error;
    }
    list_add_tail(&doorbell->node, &partition->doorbells);
    return 0;
}

static int deassign(struct vid_partition *partition, const struct mshv_user_ioeventfd *args,
                    const struct eventfd_ctx *eventfd)
{
    struct doorbell *doorbell;

    list_for_each_entry(doorbell, &partition->doorbells, node)
    {
        const struct mshv_user_ioeventfd *own = &doorbell->args;

        if (doorbell->eventfd != eventfd || own->addr != args->addr || own->len != args->len ||
            has_datamatch(own) != has_datamatch(args) ||
            (has_datamatch(own) && own->datamatch != args->datamatch))
            continue;
        remove_one(doorbell);
        return 0;
    }
    return -ENOENT;
}

long vid_ioeventfd(struct vid_partition *partition, void __user *argument)
{
    struct mshv_user_ioeventfd args;
    struct eventfd_ctx *eventfd;
    u64 unused;
    int error;

    if (copy_from_user(&args, argument, sizeof(args)))
        return -EFAULT;
    if ((args.flags & ~MSHV_IOEVENTFD_FLAGS_MASK) || memchr_inv(args.rsvd, 0, sizeof(args.rsvd)))
        return -EINVAL;
    /* Ports have no doorbells: the program takes the intercept instead. */
    if (args.flags & BIT(MSHV_IOEVENTFD_BIT_PIO))
        return -EOPNOTSUPP;
    if (trigger_size(args.len, &unused) || args.addr + args.len < args.addr)
        return -EINVAL;
    eventfd = eventfd_ctx_fdget(args.fd);
    if (IS_ERR(eventfd))
        return PTR_ERR(eventfd);
    if (args.flags & BIT(MSHV_IOEVENTFD_BIT_DEASSIGN)) {
        error = deassign(partition, &args, eventfd);
        eventfd_ctx_put(eventfd);
    } else {
        error = assign(partition, &args, eventfd);
        if (error)
            eventfd_ctx_put(eventfd);
    }
    return error;
}

void vid_doorbells_release(struct vid_partition *partition)
{
    struct doorbell *doorbell, *next;

    list_for_each_entry_safe(doorbell, next, &partition->doorbells, node) remove_one(doorbell);
}
