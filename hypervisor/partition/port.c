/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/port.h"

#include "abi/tlfs/partition.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/partition/slots.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"

#define BUCKETS 128U

/** A port, in a slot of its owner's memory. Constant once it can be found, but for the links. */
struct port {
    _Atomic(struct port *) next;  /* of its owner's */
    struct connection *connected; /* writers' lock */
    struct partition *owner;
    uint64_t connector; /* partition that may connect */
    uint32_t id;
    uint32_t target_vp; /* or HV_ANY_VP */
    uint16_t base_flag, flag_count;
    uint8_t type, sint;
    _Atomic bool pending; /* a doorbell that found the event ring full */
};
_Static_assert(sizeof(struct port) <= SLOT_SIZE, "a slot");

/** A connection, likewise. */
struct connection {
    _Atomic(struct connection *) next; /* of its bucket */
    struct connection *next_of_port;   /* writers' lock */
    _Atomic(struct port *) port;       /* NULL when the port is gone */
    struct partition *owner;
    uint64_t gpa, value;
    uint32_t id;
    uint8_t size; /* of a doorbell's write; 0: any */
    bool any_value;
    bool doorbell;
};
_Static_assert(sizeof(struct connection) <= SLOT_SIZE, "a slot");

typedef _Atomic(struct connection *) bucket_t;

/** What a partition has of both: a page that comes with the first of them. */
struct port_space {
    _Atomic(struct port *) ports;
    bucket_t by_id[BUCKETS];  /* connections that are no doorbells */
    bucket_t by_gpa[BUCKETS]; /* doorbells */
    _Atomic uint32_t doorbells;
    uint32_t port_count, connection_count; /* writers' lock */
    struct slots slots;                    /* writers' lock */
};
_Static_assert(sizeof(struct port_space) <= PAGE_SIZE, "a page");

static struct spinlock writers; /* rank "ports", before "frames"; no other is taken under it */

static struct port_space *space_of(const struct partition *p)
{
    return atomic_load_explicit(&p->port_space, memory_order_acquire);
}

/* Under the lock. */
static int space_get(struct partition *p, struct port_space **out)
{
    hpa_t page;
    int rc;

    *out = space_of(p);
    if (*out)
        return 0;
    rc = pool_alloc(&p->pool, 1, &page);
    if (rc)
        return -ENOMEM;
    *out = hpa_to_virt(page);
    atomic_store_explicit(&p->port_space, *out, memory_order_release);
    return 0;
}

static bucket_t *id_bucket(struct port_space *s, uint32_t id)
{
    return &s->by_id[id % BUCKETS];
}

/* Doorbells lie a few bytes or a page apart. */
static bucket_t *gpa_bucket(struct port_space *s, uint64_t at)
{
    return &s->by_gpa[(at >> 2 ^ at >> 12) % BUCKETS];
}

static struct port *port_find(struct partition *p, uint32_t id)
{
    struct port_space *s = space_of(p);
    struct port *port = s ? atomic_load_explicit(&s->ports, memory_order_acquire) : NULL;

    while (port && port->id != id)
        port = atomic_load_explicit(&port->next, memory_order_acquire);
    return port;
}

static struct connection *next_in(bucket_t *link)
{
    return atomic_load_explicit(link, memory_order_acquire);
}

static struct connection *connection_find(struct partition *p, uint32_t id)
{
    struct port_space *s = space_of(p);
    struct connection *c = s ? next_in(id_bucket(s, id)) : NULL;

    while (c && c->id != id)
        c = next_in(&c->next);
    return c;
}

/* The link that leads to a connection; under the lock. NULL if there is none. */
static bucket_t *connection_link(struct port_space *s, uint32_t id, bool doorbell)
{
    bucket_t *first = doorbell ? s->by_gpa : id_bucket(s, id);
    bucket_t *end = doorbell ? s->by_gpa + BUCKETS : first + 1;

    for (; first < end; first++)
        for (bucket_t *link = first; next_in(link); link = &next_in(link)->next)
            if (next_in(link)->id == id)
                return link;
    return NULL;
}

/* Only what can be delivered. */
static bool port_info_valid(const struct hv_port_info *info)
{
    if (info->padding)
        return false;
    switch (info->port_type) {
    case HV_PORT_TYPE_MESSAGE:
    case HV_PORT_TYPE_DOORBELL:
        return info->u.message.target_sint < HV_SYNIC_SINT_COUNT && !info->u.message.reserved;
    case HV_PORT_TYPE_EVENT:
        return info->u.event.target_sint < HV_SYNIC_SINT_COUNT && info->u.event.flag_count &&
               info->u.event.base_flag_number + info->u.event.flag_count <= HV_EVENT_FLAGS_COUNT &&
               !info->u.event.reserved;
    default:
        return false; /* monitored notifications are not offered */
    }
}

static void port_fill(struct port *port, const struct hv_port_info *info)
{
    /* SINT and VP are at the same place for all types. */
    port->type = (uint8_t)info->port_type;
    port->sint = (uint8_t)info->u.event.target_sint;
    port->target_vp = info->u.event.target_vp;
    if (info->port_type == HV_PORT_TYPE_EVENT) {
        port->base_flag = info->u.event.base_flag_number;
        port->flag_count = info->u.event.flag_count;
    }
}

int port_create(struct partition *owner, uint32_t id, uint64_t connector,
                const struct hv_port_info *info)
{
    struct port_space *s;
    struct port *port;
    int rc;

    if (!port_info_valid(info))
        return -EINVAL;
    spin_lock(&writers);
    rc = port_find(owner, id) ? -EEXIST : space_get(owner, &s);
    if (!rc && s->port_count == PORTS_MAX)
        rc = -ENOSPC;
    if (!rc)
        rc = slot_alloc(&s->slots, &owner->pool, (void **)&port);
    if (!rc) {
        port->owner = owner;
        port->connector = connector;
        port->id = id;
        port_fill(port, info);
        atomic_store_explicit(&port->next, s->ports, memory_order_relaxed);
        atomic_store_explicit(&s->ports, port, memory_order_release);
        s->port_count++;
    }
    spin_unlock(&writers);
    return rc;
}

/* Under the lock: nobody finds the port any more, and no connection leads to it. */
static void port_cut(struct port *port)
{
    struct port_space *s = space_of(port->owner);
    _Atomic(struct port *) *link = &s->ports;

    while (*link != port)
        link = &(*link)->next;
    atomic_store_explicit(link, port->next, memory_order_release);
    s->port_count--;
    for (struct connection *c = port->connected; c; c = c->next_of_port)
        atomic_store_explicit(&c->port, NULL, memory_order_release);
}

/* What was cut off and is used by nobody any more goes, and the space itself with the last of it.
 */
static void space_free(struct partition *owner, void *slot)
{
    struct port_space *s;
    bool empty;

    spin_lock(&writers);
    s = space_of(owner);
    slot_free(&s->slots, &owner->pool, slot);
    empty = !s->slots.pages;
    if (empty)
        atomic_store_explicit(&owner->port_space, NULL, memory_order_release);
    spin_unlock(&writers);
    if (!empty)
        return;
    lp_barrier();
    pool_free(&owner->pool, virt_to_hpa(s), 1);
}

int port_delete(struct partition *owner, uint32_t id)
{
    struct port *port;

    spin_lock(&writers);
    port = port_find(owner, id);
    if (port)
        port_cut(port);
    spin_unlock(&writers);
    if (!port)
        return -ENOENT;
    lp_barrier(); /* whoever was sending to it is done */
    space_free(owner, port);
    return 0;
}

static bool connection_info_valid(const struct hv_connection_info *info)
{
    uint64_t flags = info->u.doorbell.flags;

    if (info->padding)
        return false;
    if (info->port_type != HV_PORT_TYPE_DOORBELL)
        return true;
    return (flags & HV_DOORBELL_FLAG_TRIGGER_SIZE_MASK) <= 4 &&
           !(flags & ~(HV_DOORBELL_FLAG_TRIGGER_SIZE_MASK | HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE));
}

/* Under the lock: may it be made? */
static int connection_check(struct partition *owner, uint32_t id, const struct port *port,
                            const struct hv_connection_info *info, struct port_space **s)
{
    int rc;

    if (!port)
        return -ENOENT;
    if (port->connector != owner->id)
        return -EPERM;
    if (port->type != info->port_type)
        return -EINVAL;
    rc = space_get(owner, s);
    if (rc)
        return rc;
    if (connection_link(*s, id, port->type == HV_PORT_TYPE_DOORBELL))
        return -EEXIST;
    return (*s)->connection_count == CONNECTIONS_MAX ? -ENOSPC : 0;
}

static void connection_fill(struct connection *c, const struct hv_connection_info *info)
{
    uint64_t flags = info->u.doorbell.flags, size = flags & HV_DOORBELL_FLAG_TRIGGER_SIZE_MASK;

    c->doorbell = info->port_type == HV_PORT_TYPE_DOORBELL;
    if (!c->doorbell)
        return;
    c->gpa = info->u.doorbell.gpa;
    c->value = info->u.doorbell.trigger_value;
    c->any_value = flags & HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE;
    if (size)
        c->size = (uint8_t)BIT(size - 1);
}

int connection_create(struct partition *owner, uint32_t id, struct partition *port_owner,
                      uint32_t port_id, const struct hv_connection_info *info)
{
    struct port_space *s = NULL;
    struct connection *c;
    struct port *port;
    bucket_t *bucket;
    int rc;

    if (!connection_info_valid(info))
        return -EINVAL;
    spin_lock(&writers);
    port = port_find(port_owner, port_id);
    rc = connection_check(owner, id, port, info, &s);
    if (!rc)
        rc = slot_alloc(&s->slots, &owner->pool, (void **)&c);
    if (!rc) {
        c->owner = owner;
        c->id = id;
        connection_fill(c, info);
        atomic_store_explicit(&c->port, port, memory_order_relaxed);
        c->next_of_port = port->connected;
        port->connected = c;
        bucket = c->doorbell ? gpa_bucket(s, c->gpa) : id_bucket(s, id);
        atomic_store_explicit(&c->next, *bucket, memory_order_relaxed);
        atomic_store_explicit(bucket, c, memory_order_release);
        s->connection_count++;
        s->doorbells += c->doorbell;
    }
    spin_unlock(&writers);
    return rc;
}

/* Under the lock: take it out of its bucket and off its port. */
static struct connection *connection_cut(struct port_space *s, bucket_t *link)
{
    struct connection *c = next_in(link);
    struct port *port = c->port;

    atomic_store_explicit(link, c->next, memory_order_release);
    s->connection_count--;
    s->doorbells -= c->doorbell;
    if (port) {
        struct connection **of_port = &port->connected;

        while (*of_port != c)
            of_port = &(*of_port)->next_of_port;
        *of_port = c->next_of_port;
    }
    return c;
}

int connection_delete(struct partition *owner, uint32_t id, bool doorbell)
{
    struct connection *c = NULL;
    struct port_space *s;
    bucket_t *link;

    spin_lock(&writers);
    s = space_of(owner);
    link = s ? connection_link(s, id, doorbell) : NULL;
    if (link)
        c = connection_cut(s, link);
    spin_unlock(&writers);
    if (!c)
        return -ENOENT;
    lp_barrier(); /* nobody is using it any more */
    space_free(owner, c);
    return 0;
}

void ports_destroy(struct partition *p)
{
    struct port_space *s;

    spin_lock(&writers);
    s = space_of(p);
    if (s) {
        while (s->ports)
            port_cut(s->ports);
        for (unsigned i = 0; i < 2 * BUCKETS; i++) {
            bucket_t *bucket = i < BUCKETS ? &s->by_id[i] : &s->by_gpa[i - BUCKETS];

            while (next_in(bucket))
                connection_cut(s, bucket);
        }
        atomic_store_explicit(&p->port_space, NULL, memory_order_release);
    }
    spin_unlock(&writers);
    if (!s)
        return;
    lp_barrier();
    slots_destroy(&s->slots, &p->pool);
    pool_free(&p->pool, virt_to_hpa(s), 1);
}

/* Any VP: that of this LP, if the port is the root's and its interrupt is taken here anyway. */
static struct vp *target_of(const struct port *port)
{
    struct vp *vp;

    if (port->target_vp != HV_ANY_VP)
        return partition_vp(port->owner, port->target_vp);
    vp = port->owner->is_root ? partition_vp(port->owner, this_lp()->index) : NULL;
    return vp ? vp : partition_vp(port->owner, 0);
}

/* The port that a connection leads to, if it is of that type. */
static int port_of(struct partition *owner, uint32_t id, uint8_t type, struct port **port,
                   struct vp **target)
{
    struct connection *c = connection_find(owner, id);

    *port = c ? atomic_load_explicit(&c->port, memory_order_acquire) : NULL;
    if (!*port)
        return -ENOENT;
    if ((*port)->type != type)
        return -EINVAL;
    *target = target_of(*port);
    return *target ? 0 : -ENODEV;
}

int connection_post(struct partition *owner, uint32_t id, struct hv_message *message)
{
    struct port *port;
    struct vp *target;
    int rc = port_of(owner, id, HV_PORT_TYPE_MESSAGE, &port, &target);

    if (rc)
        return rc;
    message->header.sender = port->id;
    return synic_post_message(target, port->sint, message);
}

int connection_signal(struct partition *owner, uint32_t id, uint32_t flag)
{
    struct port *port;
    struct vp *target;
    int rc = port_of(owner, id, HV_PORT_TYPE_EVENT, &port, &target);

    if (rc)
        return rc;
    if (flag >= port->flag_count)
        return -EINVAL;
    return synic_signal_event(target, port->sint, port->base_flag + flag, NULL);
}

bool port_has_doorbells(struct partition *p)
{
    struct port_space *s = space_of(p);

    return s && atomic_load_explicit(&s->doorbells, memory_order_relaxed);
}

/* Put a doorbell's port into the target's ring; if that is full, later. False: there is no ring. */
static bool ring(struct port *port)
{
    struct vp *target = target_of(port);
    int rc = target ? synic_ring_push(target, port->sint, port->id) : -ENODEV;

    if (rc != -EAGAIN)
        return rc == 0;
    /* Marked first, then tried again: port_ring_empty() sees the mark, or there is room now. */
    atomic_store_explicit(&port->pending, true, memory_order_seq_cst);
    if (!synic_ring_push(target, port->sint, port->id))
        atomic_store_explicit(&port->pending, false, memory_order_relaxed);
    return true;
}

bool port_doorbell(struct partition *p, gpa_t at, unsigned size, uint64_t value)
{
    struct port_space *s = space_of(p);

    if (!s)
        return false;
    for (struct connection *c = next_in(gpa_bucket(s, at.v)); c; c = next_in(&c->next)) {
        struct port *port = atomic_load_explicit(&c->port, memory_order_acquire);

        if (port && c->gpa == at.v && (!c->size || c->size == size) &&
            (c->any_value || c->value == value))
            return ring(port);
    }
    return false;
}

void port_ring_empty(struct vp *vp, uint32_t sint)
{
    struct port_space *s = space_of(vp->partition);
    struct port *port = s ? atomic_load_explicit(&s->ports, memory_order_acquire) : NULL;

    for (; port; port = atomic_load_explicit(&port->next, memory_order_acquire)) {
        if (port->sint != sint ||
            !atomic_exchange_explicit(&port->pending, false, memory_order_seq_cst))
            continue;
        if (synic_ring_push(vp, sint, port->id)) {
            /* Full again; the VP will say so when it is empty. */
            atomic_store_explicit(&port->pending, true, memory_order_seq_cst);
            return;
        }
    }
}
