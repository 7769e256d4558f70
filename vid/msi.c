// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "irqfd.h"
#include "vid.h"

/* Address and data of a message-signalled interrupt (SDM vol. 3, "Message Signalled Interrupts").
 */
#define MSI_ADDRESS_DESTINATION_SHIFT 12
#define MSI_ADDRESS_DESTINATION_MASK  0xFFU
#define MSI_ADDRESS_LOGICAL           (1U << 2)
#define MSI_DATA_VECTOR_MASK          0xFFU
#define MSI_DATA_TYPE_SHIFT           8
#define MSI_DATA_TYPE_MASK            0x7U
#define MSI_DATA_LEVEL                (1U << 15)

static struct vid_route decode(const struct mshv_user_irq_entry *entry)
{
    u64 control = entry->data >> MSI_DATA_TYPE_SHIFT & MSI_DATA_TYPE_MASK;

    control |= entry->data & MSI_DATA_LEVEL ? HV_INTERRUPT_CONTROL_LEVEL : 0;
    control |= entry->address_lo & MSI_ADDRESS_LOGICAL ? HV_INTERRUPT_CONTROL_LOGICAL : 0;
    return (struct vid_route){
        .control = control,
        .destination =
            entry->address_lo >> MSI_ADDRESS_DESTINATION_SHIFT & MSI_ADDRESS_DESTINATION_MASK,
        .vector = entry->data & MSI_DATA_VECTOR_MASK,
        .valid = true,
    };
}

/* Builds a table out of the entries of user space; each number at most once. */
static struct vid_routes *build(const struct mshv_user_irq_entry *entries, u32 count)
{
    struct vid_routes *routes;
    u32 last = 0;

    for (u32 i = 0; i < count; i++) {
        if (entries[i].gsi >= VID_MAX_GUEST_IRQS || entries[i].address_hi)
            return ERR_PTR(-EINVAL);
        last = max_t(u32, last, entries[i].gsi);
    }
    routes = kvzalloc(struct_size(routes, list, last + 1), GFP_KERNEL_ACCOUNT);
    if (!routes)
        return ERR_PTR(-ENOMEM);
    routes->count = last + 1;
    for (u32 i = 0; i < count; i++) {
        struct vid_route *route = &routes->list[entries[i].gsi];

        if (route->valid) {
            kvfree(routes);
            return ERR_PTR(-EINVAL);
        }
        *route = decode(&entries[i]);
    }
    return routes;
}

struct vid_route vid_route_of(const struct vid_partition *partition, u32 gsi)
{
    const struct vid_routes *routes = partition->routes;

    return routes && gsi < routes->count ? routes->list[gsi] : (struct vid_route){};
}

long vid_set_routing(struct vid_partition *partition, void __user *argument)
{
    struct mshv_user_irq_table __user *table = argument;
    struct mshv_user_irq_table args;
    struct mshv_user_irq_entry *entries;
    struct vid_routes *routes = NULL;

    if (copy_from_user(&args, table, sizeof(args)))
        return -EFAULT;
    if (args.nr > VID_MAX_GUEST_IRQS || args.rsvd)
        return -EINVAL;
    if (args.nr) {
        entries = vmemdup_user(table->entries, array_size(args.nr, sizeof(*entries)));
        if (IS_ERR(entries))
            return PTR_ERR(entries);
        routes = build(entries, args.nr);
        kvfree(entries);
        if (IS_ERR(routes))
            return PTR_ERR(routes);
    }
    /* Irqfds hold copies: the old table has no other reader. */
    kvfree(partition->routes);
    partition->routes = routes;
    vid_irqfds_reroute(partition);
    return 0;
}
