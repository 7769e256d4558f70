// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitops.h>
#include <linux/eventfd.h>
#include <linux/idr.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "abi/bulkhead.h"
#include "calls.h"
#include "compat.h"
#include "event.h"
#include "vid.h"

/*
 * Each event of any partition has one flag of the parent's SINT, the same on all processors: the
 * hypervisor sets it where the guest has signalled. The port has the flag's number, from here on.
 */
#define PORT_FIRST 0x00400000

struct event {
    struct list_head node; /* in the partition */
    struct vid_partition *partition;
    struct eventfd_ctx *eventfd;
    u32 connection;
    u32 flag;
};

/* Events by flag. Changed under the lock, looked up under RCU. */
static DEFINE_IDR(events);
static DEFINE_SPINLOCK(events_lock);

static void signal(u32 flag)
{
    struct event *event = idr_find(&events, flag);

    if (!event)
        return; /* it has just been removed */
    atomic64_inc(&event->partition->counters.events);
    vid_compat_eventfd_signal(event->eventfd);
}

void vid_events_take(struct hv_synic_event_flags *flags)
{
    rcu_read_lock();
    for (u32 i = 0; i < ARRAY_SIZE(flags->flags); i++) {
        unsigned long word = READ_ONCE(flags->flags[i]) ? xchg(&flags->flags[i], 0) : 0;
        u32 bit;

        for_each_set_bit(bit, &word, BITS_PER_LONG) signal(i * BITS_PER_LONG + bit);
    }
    rcu_read_unlock();
}

static int allocate_flag(struct event *event)
{
    int flag;

    idr_preload(GFP_KERNEL);
    spin_lock_irq(&events_lock);
    flag = idr_alloc_cyclic(&events, event, 0, HV_EVENT_FLAGS_COUNT, GFP_NOWAIT);
    spin_unlock_irq(&events_lock);
    idr_preload_end();
    if (flag < 0)
        return flag;
    event->flag = flag;
    return 0;
}

/* The upcall finds it no more. The eventfd is still the caller's to put. */
static void forget(struct event *event)
{
    spin_lock_irq(&events_lock);
    idr_remove(&events, event->flag);
    spin_unlock_irq(&events_lock);
    synchronize_rcu();
    kfree(event);
}

static void remove_one(struct event *event)
{
    struct eventfd_ctx *eventfd = event->eventfd;

    list_del(&event->node);
    vid_delete_event(event->partition->id, event->connection, PORT_FIRST + event->flag);
    forget(event);
    eventfd_ctx_put(eventfd);
}

static struct event *find(struct vid_partition *partition, u32 connection)
{
    struct event *event;

    list_for_each_entry(event, &partition->events,
                        node) if (event->connection == connection) return event;
    return NULL;
}

static int assign(struct vid_partition *partition, u32 connection, struct eventfd_ctx *eventfd)
{
    struct event *event;
    int error;

    if (find(partition, connection))
        return -EEXIST;
    event = kzalloc(sizeof(*event), GFP_KERNEL_ACCOUNT);
    if (!event)
        return -ENOMEM;
    event->partition = partition;
    event->eventfd = eventfd;
    event->connection = connection;
    error = allocate_flag(event);
    if (error) {
        kfree(event);
        return error;
    }
    error = vid_create_event(partition, connection, PORT_FIRST + event->flag, event->flag);
    if (error) {
        forget(event);
        return error;
    }
    list_add_tail(&event->node, &partition->events);
    return 0;
}

static int deassign(struct vid_partition *partition, u32 connection,
                    const struct eventfd_ctx *eventfd)
{
    struct event *event = find(partition, connection);

    if (!event || event->eventfd != eventfd)
        return -ENOENT;
    remove_one(event);
    return 0;
}

long vid_event(struct vid_partition *partition, void __user *argument)
{
    struct bulkhead_event args;
    struct eventfd_ctx *eventfd;
    int error;

    if (copy_from_user(&args, argument, sizeof(args)))
        return -EFAULT;
    if ((args.flags & ~BULKHEAD_EVENT_FLAGS_MASK) || args.rsvd)
        return -EINVAL;
    eventfd = eventfd_ctx_fdget(args.fd);
    if (IS_ERR(eventfd))
        return PTR_ERR(eventfd);
    if (args.flags & BIT(BULKHEAD_EVENT_BIT_DEASSIGN)) {
        error = deassign(partition, args.connection_id, eventfd);
        eventfd_ctx_put(eventfd);
        return error;
    }
    error = assign(partition, args.connection_id, eventfd);
    if (error)
        eventfd_ctx_put(eventfd);
    return error;
}

void vid_events_release(struct vid_partition *partition)
{
    struct event *event, *next;

    list_for_each_entry_safe(event, next, &partition->events, node) remove_one(event);
}
