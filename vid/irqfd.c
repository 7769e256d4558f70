// SPDX-License-Identifier: GPL-2.0-only
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/rculist.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "calls.h"
#include "compat.h"
#include "irqfd.h"
#include "vid.h"

/*
 * An irqfd hangs in the wait queue of its eventfd and asserts its interrupt when that is
 * signalled, in whatever context. It ends when it is deassigned, when its partition's descriptor
 * is closed, or when its eventfd is: whoever takes it from the partition's list queues its end.
 */
struct irqfd {
    struct vid_partition *partition;
    u32 gsi;
    struct eventfd_ctx *eventfd;
    struct eventfd_ctx *resample; /* NULL: nobody wants to hear of ends of interrupt */

    struct list_head node;          /* in irqfds; empty once its end is queued; irqfds_lock */
    struct list_head resample_node; /* in resamplers; changed under irqfds_lock, read under RCU */

    seqcount_spinlock_t route_change; /* with irqfds_lock; readers retry */
    struct vid_route route;

    wait_queue_head_t *queue;
    wait_queue_entry_t entry;
    struct work_struct end;
};

/* Ends of irqfds, which sleep. */
static struct workqueue_struct *ends;

int vid_irqfds_init(void)
{
    ends = alloc_workqueue("bulkhead-vid-irqfd", WQ_UNBOUND, 0);
    return ends ? 0 : -ENOMEM;
}

void vid_irqfds_exit(void)
{
    destroy_workqueue(ends);
}

static struct vid_route read_route(struct irqfd *irqfd)
{
    struct vid_route route;
    unsigned int seq;

    do {
        seq = read_seqcount_begin(&irqfd->route_change);
        route = irqfd->route;
    } while (read_seqcount_retry(&irqfd->route_change, seq));
    return route;
}

/* Under irqfds_lock and the partition's lock. */
static void set_route(struct irqfd *irqfd)
{
    write_seqcount_begin(&irqfd->route_change);
    irqfd->route = vid_route_of(irqfd->partition, irqfd->gsi);
    write_seqcount_end(&irqfd->route_change);
}

void vid_irqfds_reroute(struct vid_partition *partition)
{
    struct irqfd *irqfd;

    spin_lock_irq(&partition->irqfds_lock);
    list_for_each_entry(irqfd, &partition->irqfds, node) set_route(irqfd);
    spin_unlock_irq(&partition->irqfds_lock);
}

static void assert_interrupt(struct irqfd *irqfd)
{
    struct vid_route route = read_route(irqfd);

    if (!route.valid)
        return;
    atomic64_inc(&irqfd->partition->counters.irqs);
    vid_assert_interrupt(irqfd->partition->id, route.control, route.destination, route.vector);
}

/* The type of a route's interrupt. */
static bool is_external(const struct vid_route *route)
{
    return (u32)route->control == HV_X64_INTERRUPT_TYPE_EXTINT;
}

bool vid_irqfds_acked(struct vid_partition *partition, u32 vector)
{
    struct irqfd *irqfd;
    bool acked = false;

    rcu_read_lock();
    list_for_each_entry_rcu(irqfd, &partition->resamplers, resample_node)
    {
        struct vid_route route = read_route(irqfd);

        if (!route.valid || route.vector != vector)
            continue;
        if (is_external(&route))
            vid_clear_interrupt(partition->id);
        vid_compat_eventfd_signal(irqfd->resample);
        acked = true;
    }
    rcu_read_unlock();
    if (acked)
        atomic64_inc(&partition->counters.acks);
    return acked;
}

/* In process context, with nobody else knowing the irqfd but its wait queue and the upcall. */
static void end(struct work_struct *work)
{
    struct irqfd *irqfd = container_of(work, struct irqfd, end);

    /* After this no signal is under way; it takes the queue's lock, under which signals come. */
    remove_wait_queue(irqfd->queue, &irqfd->entry);
    if (irqfd->resample) {
        spin_lock_irq(&irqfd->partition->irqfds_lock);
        list_del_rcu(&irqfd->resample_node);
        spin_unlock_irq(&irqfd->partition->irqfds_lock);
        synchronize_rcu();
        eventfd_ctx_put(irqfd->resample);
    }
    eventfd_ctx_put(irqfd->eventfd);
    kfree(irqfd);
}

/* Under irqfds_lock. */
static void deactivate(struct irqfd *irqfd)
{
    if (list_empty(&irqfd->node))
        return;
    list_del_init(&irqfd->node);
    queue_work(ends, &irqfd->end);
}

/* The eventfd was signalled or is closed; under its queue's lock, with interrupts off. */
static int woken(wait_queue_entry_t *entry, unsigned int mode, int sync, void *key)
{
    struct irqfd *irqfd = container_of(entry, struct irqfd, entry);
    struct vid_partition *partition = irqfd->partition;
    __poll_t events = key_to_poll(key);
    unsigned long flags;
    u64 count;

    if (events & EPOLLIN) {
        eventfd_ctx_do_read(irqfd->eventfd, &count);
        assert_interrupt(irqfd);
    }
    if (events & EPOLLHUP) {
        /* It may have been taken from the list already; it cannot vanish, see end(). */
        spin_lock_irqsave(&partition->irqfds_lock, flags);
        deactivate(irqfd);
        spin_unlock_irqrestore(&partition->irqfds_lock, flags);
    }
    return events & EPOLLIN ? 1 : 0;
}

struct poller {
    poll_table table;
    struct irqfd *irqfd;
};

static void enqueue(struct file *file, wait_queue_head_t *queue, poll_table *table)
{
    struct irqfd *irqfd = container_of(table, struct poller, table)->irqfd;

    irqfd->queue = queue;
    add_wait_queue_priority(queue, &irqfd->entry);
}

/* Puts the irqfd into the partition's lists; after an error it is in none. */
static int publish(struct irqfd *irqfd)
{
    struct vid_partition *partition = irqfd->partition;
    struct irqfd *other;
    int error = 0;

    spin_lock_irq(&partition->irqfds_lock);
    set_route(irqfd);
    if (irqfd->resample && !(irqfd->route.control & HV_INTERRUPT_CONTROL_LEVEL))
        error = -EINVAL;
    list_for_each_entry(other, &partition->irqfds, node) if (other->eventfd == irqfd->eventfd)
        error = error ?: -EBUSY;
    if (!error) {
        list_add_tail(&irqfd->node, &partition->irqfds);
        if (irqfd->resample)
            list_add_tail_rcu(&irqfd->resample_node, &partition->resamplers);
    }
    spin_unlock_irq(&partition->irqfds_lock);
    return error;
}

/* Everything of an irqfd that user space names. FILE is held by the caller. */
static int assign_file(struct vid_partition *partition, const struct mshv_user_irqfd *args,
                       struct file *file)
{
    struct irqfd *irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
    struct poller poller = {.irqfd = irqfd};
    int error = -ENOMEM;

    if (!irqfd)
        return error;
    irqfd->partition = partition;
    irqfd->gsi = args->gsi;
    seqcount_spinlock_init(&irqfd->route_change, &partition->irqfds_lock);
    INIT_WORK(&irqfd->end, end);
    init_waitqueue_func_entry(&irqfd->entry, woken);
    init_poll_funcptr(&poller.table, enqueue);

    irqfd->eventfd = eventfd_ctx_fileget(file);
    error = PTR_ERR_OR_ZERO(irqfd->eventfd);
    if (error)
        goto free_irqfd;
    if (args->flags & BIT(MSHV_IRQFD_BIT_RESAMPLE)) {
        irqfd->resample = eventfd_ctx_fdget(args->resamplefd);
        error = PTR_ERR_OR_ZERO(irqfd->resample);
        if (error)
            goto put_eventfd;
    }
    error = publish(irqfd);
    if (error)
        goto put_resample;
    /* Hangs it into the queue, whose lock orders this with a signal. An older one counts too. */
    if (vfs_poll(file, &poller.table) & EPOLLIN)
        assert_interrupt(irqfd);
    return 0;

put_resample:
    if (irqfd->resample)
        eventfd_ctx_put(irqfd->resample);
put_eventfd:
    eventfd_ctx_put(irqfd->eventfd);
free_irqfd:
    kfree(irqfd);
    return error;
}

/* The eventfd's file is held throughout, so that it does not close before all is in place. */
static int assign(struct vid_partition *partition, const struct mshv_user_irqfd *args)
{
    struct file *file = fget(args->fd);
    int error;

    if (!file)
        return -EBADF;
    error = assign_file(partition, args, file);
    fput(file);
    return error;
}

static int deassign(struct vid_partition *partition, const struct mshv_user_irqfd *args)
{
    struct eventfd_ctx *eventfd = eventfd_ctx_fdget(args->fd);
    struct irqfd *irqfd, *next;

    if (IS_ERR(eventfd))
        return PTR_ERR(eventfd);
    spin_lock_irq(&partition->irqfds_lock);
    list_for_each_entry_safe(irqfd, next, &partition->irqfds,
                             node) if (irqfd->eventfd == eventfd && irqfd->gsi == args->gsi)
        deactivate(irqfd);
    spin_unlock_irq(&partition->irqfds_lock);
    eventfd_ctx_put(eventfd);
    /* When this returns, no interrupt of it comes any more. */
    flush_workqueue(ends);
    return 0;
}

long vid_irqfd(struct vid_partition *partition, void __user *argument)
{
    struct mshv_user_irqfd args;

    if (copy_from_user(&args, argument, sizeof(args)))
        return -EFAULT;
    if (args.flags & ~MSHV_IRQFD_FLAGS_MASK)
        return -EINVAL;
    if (args.flags & BIT(MSHV_IRQFD_BIT_DEASSIGN))
        return deassign(partition, &args);
    return assign(partition, &args);
}

void vid_irqfds_release(struct vid_partition *partition)
{
    struct irqfd *irqfd, *next;

    spin_lock_irq(&partition->irqfds_lock);
    list_for_each_entry_safe(irqfd, next, &partition->irqfds, node) deactivate(irqfd);
    spin_unlock_irq(&partition->irqfds_lock);
    /* Ends that closing eventfds have queued are waited for as well: they use the partition. */
    flush_workqueue(ends);
}
