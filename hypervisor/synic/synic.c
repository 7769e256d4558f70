/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/management.h"
#include "abi/tlfs/msr.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/vp/notify.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

/* A page of the partition's memory holds the queues of a few SINTs. */
#define QUEUES_PER_PAGE ((unsigned)(PAGE_SIZE / (SYNIC_QUEUE_CREDIT * HV_MESSAGE_SIZE)))

_Static_assert((SYNIC_QUEUE_CREDIT & (SYNIC_QUEUE_CREDIT - 1)) == 0, "a power of two");

static void state_reset(struct synic *s)
{
    s->scontrol = 0;
    s->siefp = 0;
    s->simp = 0;
    s->sirbp = 0;
    memset(s->ring_tail, 0, sizeof(s->ring_tail));
    s->offer_waiting = 0;
    for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
        s->sint[i] = HV_SYNIC_SINT_MASKED;
        s->queue[i].head = 0;
        s->queue[i].tail = 0;
    }
}

int synic_init(struct vp *vp)
{
    struct synic *s = &vp->synic;

    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
        hpa_t page;
        int rc;

        if (i % QUEUES_PER_PAGE) {
            s->queue[i].msg = s->queue[i - 1].msg + SYNIC_QUEUE_CREDIT;
            continue;
        }
        rc = partition_alloc(vp->partition, 1, &page);
        if (rc) {
            synic_destroy(vp);
            return rc;
        }
        s->queue[i].msg = hpa_to_virt(page);
    }
    state_reset(s);
    return 0;
}

void synic_destroy(struct vp *vp)
{
    struct synic *s = &vp->synic;
    struct overlay *pages[] = {&s->sim, &s->sief, &s->sir};

    spin_lock(&vp->partition->lock);
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        overlay_hide(vp->partition, pages[i]);
        overlay_free(vp->partition, pages[i]);
    }
    spin_unlock(&vp->partition->lock);
    for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i += QUEUES_PER_PAGE)
        if (s->queue[i].msg)
            partition_free(vp->partition, virt_to_hpa(s->queue[i].msg), 1);
}

void synic_provide_pages(struct vp *vp, gpa_t simp, gpa_t siefp)
{
    vp->synic.simp = simp.v & HV_SYNIC_PAGE_BASE_MASK;
    vp->synic.siefp = siefp.v & HV_SYNIC_PAGE_BASE_MASK;
}

/* One of the pages, if it and the SynIC are enabled. Under the lock. */
static void *page_get(struct vp *vp, const struct overlay *page)
{
    return vp->synic.scontrol & HV_SYNIC_SCONTROL_ENABLE ? overlay_bytes(page) : NULL;
}

static struct hv_message *slot_get(struct vp *vp, uint32_t sint)
{
    struct hv_message_page *page = page_get(vp, &vp->synic.sim);

    return page ? &page->sint_message[sint] : NULL;
}

static bool slot_free(const struct hv_message *slot)
{
    return __atomic_load_n(&slot->header.message_type, __ATOMIC_SEQ_CST) == HVMSG_NONE;
}

/*
 * Is the slot free? If not, leave the mark that makes the guest write EOM after it has freed
 * it. The guest frees, then looks for the mark; here the mark is set, then the slot looked at
 * again: one of the two sees the other, so no message is forgotten.
 */
static bool slot_claim(struct hv_message *slot)
{
    if (slot_free(slot))
        return true;
    __atomic_fetch_or(&slot->header.message_flags, HV_MESSAGE_FLAG_PENDING, __ATOMIC_SEQ_CST);
    return slot_free(slot);
}

/* `msg` is clean; `more` says that something else waits for the slot. */
static void slot_fill(struct hv_message *slot, const struct hv_message *msg, bool more)
{
    memcpy(slot->payload, msg->payload, sizeof(slot->payload));
    slot->header.payload_size = msg->header.payload_size;
    /* A guest that has freed the slot may be looking at the mark just now. */
    __atomic_store_n(&slot->header.message_flags, more ? HV_MESSAGE_FLAG_PENDING : 0,
                     __ATOMIC_RELAXED);
    slot->header.reserved = 0;
    slot->header.sender = msg->header.sender;
    /* The type makes it valid: after all the rest, pairs with the guest's look at the type. */
    __atomic_store_n(&slot->header.message_type, msg->header.message_type, __ATOMIC_RELEASE);
}

static void sint_interrupt(struct vp *vp, uint32_t sint)
{
    uint64_t v = vp->synic.sint[sint];

    if (!(v & (HV_SYNIC_SINT_MASKED | HV_SYNIC_SINT_POLLING)))
        vapic_set_irr(vp, (uint8_t)(v & HV_SYNIC_SINT_VECTOR_MASK), false);
}

/* Does an offered message wait for this SINT? At worst the guest writes one EOM too many. */
static bool offer_waits(const struct synic *s, uint32_t sint)
{
    return s->offer_waiting & BIT(sint);
}

/* Deliver the oldest message that waits for this SINT, if its slot can take it. */
static void queue_deliver(struct vp *vp, uint32_t sint, struct hv_message *slot)
{
    struct synic *s = &vp->synic;
    struct synic_queue *q = &s->queue[sint];

    if (q->head == q->tail || !slot_claim(slot))
        return;
    slot_fill(slot, &q->msg[q->head % SYNIC_QUEUE_CREDIT],
              q->tail - q->head > 1 || offer_waits(s, sint));
    q->head++;
    sint_interrupt(vp, sint);
}

/* All SINTs; under the lock. */
static void queues_deliver(struct vp *vp)
{
    for (uint32_t i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
        struct synic_queue *q = &vp->synic.queue[i];
        struct hv_message *slot = q->head == q->tail ? NULL : slot_get(vp, i);

        if (slot)
            queue_deliver(vp, i, slot);
    }
}

/* What the guest will see: nothing of the sender's memory beyond the payload. */
static void message_clean(struct hv_message *to, const struct hv_message *from, uint8_t size)
{
    memset(to, 0, sizeof(*to));
    to->header.message_type = from->header.message_type;
    to->header.payload_size = size;
    to->header.sender = from->header.sender;
    memcpy(to->payload, from->payload, size);
}

static bool message_valid(uint32_t sint, const struct hv_message *msg)
{
    return sint < HV_SYNIC_SINT_COUNT && msg->header.message_type != HVMSG_NONE &&
           msg->header.payload_size <= HV_MESSAGE_PAYLOAD_BYTES;
}

int synic_post_message(struct vp *vp, uint32_t sint, const struct hv_message *msg)
{
    struct synic *s = &vp->synic;
    struct hv_message *slot;
    struct synic_queue *q;
    int rc = 0;

    if (!message_valid(sint, msg))
        return -EINVAL;
    q = &s->queue[sint];
    spin_lock(&s->lock);
    slot = slot_get(vp, sint);
    if (!slot) {
        rc = -ENODEV;
    } else {
        queue_deliver(vp, sint, slot);
        if (q->tail - q->head == SYNIC_QUEUE_CREDIT) {
            rc = -EAGAIN;
        } else {
            message_clean(&q->msg[q->tail++ % SYNIC_QUEUE_CREDIT], msg, msg->header.payload_size);
            queue_deliver(vp, sint, slot);
        }
    }
    spin_unlock(&s->lock);
    return rc;
}

int synic_offer_message(struct vp *vp, uint32_t sint, const struct hv_message *msg)
{
    struct synic *s = &vp->synic;
    struct hv_message *slot, clean;
    int rc = 0;

    if (!message_valid(sint, msg))
        return -EINVAL;
    message_clean(&clean, msg, msg->header.payload_size);
    spin_lock(&s->lock);
    slot = slot_get(vp, sint);
    if (!slot) {
        rc = -ENODEV;
    } else if (!slot_claim(slot)) {
        s->offer_waiting |= BIT(sint);
        rc = -EAGAIN;
    } else {
        slot_fill(slot, &clean, s->queue[sint].head != s->queue[sint].tail || offer_waits(s, sint));
        sint_interrupt(vp, sint);
    }
    spin_unlock(&s->lock);
    return rc;
}

uint16_t synic_deliverable(struct vp *vp, uint16_t sints)
{
    struct synic *s = &vp->synic;
    uint16_t ready = 0;

    spin_lock(&s->lock);
    for (uint32_t i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
        struct hv_message *slot = sints & BIT(i) ? slot_get(vp, i) : NULL;

        if (slot && slot_claim(slot) && s->queue[i].head == s->queue[i].tail)
            ready = (uint16_t)(ready | BIT(i));
    }
    spin_unlock(&s->lock);
    return ready;
}

int synic_signal_event(struct vp *vp, uint32_t sint, uint32_t flag, bool *newly)
{
    struct synic *s = &vp->synic;
    struct hv_synic_event_flags_page *page;
    uint64_t bit = BIT64(flag % 64), old = bit;
    int rc = 0;

    if (sint >= HV_SYNIC_SINT_COUNT || flag >= HV_EVENT_FLAGS_COUNT)
        return -EINVAL;
    spin_lock(&s->lock);
    page = page_get(vp, &s->sief);
    if (page)
        old = __atomic_fetch_or(&page->sint_flags[sint].flags[flag / 64], bit, __ATOMIC_SEQ_CST);
    else
        rc = -ENODEV;
    if (!(old & bit))
        sint_interrupt(vp, sint);
    spin_unlock(&s->lock);
    if (!rc && newly)
        *newly = !(old & bit);
    return rc;
}

/* One entry, under the lock. *tell: the VP is not busy with the ring. */
static int ring_put(struct synic *s, struct hv_synic_event_ring *ring, uint32_t sint, uint32_t id,
                    bool *tell)
{
    uint32_t *entry = &ring->data[s->ring_tail[sint]];

    if (__atomic_load_n(entry, __ATOMIC_SEQ_CST)) {
        /*
         * Full. The VP takes entries out in order, then looks whether it was full: if this entry is
         * still there after the mark has been set, it will see the mark.
         */
        __atomic_store_n(&ring->ring_full, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(entry, __ATOMIC_SEQ_CST))
            return -EAGAIN;
        __atomic_store_n(&ring->ring_full, 0, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(entry, id, __ATOMIC_SEQ_CST);
    s->ring_tail[sint] = (uint8_t)((s->ring_tail[sint] + 1) % HV_SYNIC_EVENT_RING_MESSAGE_COUNT);
    /* Pairs with the VP: it clears the mark, then looks at the entry once more. */
    *tell = !__atomic_exchange_n(&ring->signal_masked, 1, __ATOMIC_SEQ_CST);
    return 0;
}

/* An interrupt, or for an intercepting SINT a message in the slot of intercepts. */
static int ring_tell(struct vp *vp, uint32_t sint, bool as_intercept)
{
    const struct hv_notification_message_payload payload = {.sint_index = sint};
    struct hv_message m = {
        .header = {.message_type = HVMSG_SYNIC_SINT_INTERCEPT,
                   .payload_size = sizeof(payload),
                   .sender = vp->partition->id},
    };

    if (!as_intercept) {
        spin_lock(&vp->synic.lock);
        sint_interrupt(vp, sint);
        spin_unlock(&vp->synic.lock);
        return 0;
    }
    memcpy(m.payload, &payload, sizeof(payload));
    return synic_post_message(vp, SINT_INTERCEPT, &m);
}

static struct hv_synic_event_ring *ring_get(struct vp *vp, uint32_t sint)
{
    struct hv_synic_event_ring_page *page = page_get(vp, &vp->synic.sir);

    return page ? &page->sint_event_ring[sint] : NULL;
}

int synic_ring_push(struct vp *vp, uint32_t sint, uint32_t id)
{
    struct synic *s = &vp->synic;
    struct hv_synic_event_ring *ring;
    bool tell = false, as_intercept;
    int rc = -ENODEV;

    if (sint >= HV_SYNIC_SINT_COUNT || !id)
        return -EINVAL;
    spin_lock(&s->lock);
    ring = ring_get(vp, sint);
    if (ring)
        rc = ring_put(s, ring, sint, id, &tell);
    as_intercept = s->sint[sint] & HV_SYNIC_SINT_AS_INTERCEPT;
    tell = tell && !(s->sint[sint] & (HV_SYNIC_SINT_MASKED | HV_SYNIC_SINT_POLLING));
    spin_unlock(&s->lock);
    if (!tell || !ring_tell(vp, sint, as_intercept))
        return rc;
    /* The VP was not told: the next one that comes tries it again. */
    spin_lock(&s->lock);
    ring = ring_get(vp, sint);
    if (ring)
        __atomic_store_n(&ring->signal_masked, 0, __ATOMIC_SEQ_CST);
    spin_unlock(&s->lock);
    return rc;
}

void synic_retry(struct vp *vp)
{
    struct synic *s = &vp->synic;
    uint32_t waiting;

    spin_lock(&s->lock);
    waiting = s->offer_waiting;
    s->offer_waiting = 0;
    spin_unlock(&s->lock);
    /* Timers first: senders that refill the queue all the time must not starve them. */
    if (waiting)
        stimers_retry(vp);
    notify_retry(vp);
    spin_lock(&s->lock);
    queues_deliver(vp);
    spin_unlock(&s->lock);
}

/*
 * SIMP, SIEFP or SIRBP, under both locks. Nobody looks for a message of an old page in a new one:
 * who moves a page has disabled what sends there.
 */
static void page_set(struct vp *vp, uint64_t *msr, struct overlay *page, uint64_t val)
{
    struct synic *s = &vp->synic;
    gpa_t was = page->at, at = gpa(val & HV_SYNIC_PAGE_BASE_MASK);
    bool shown = page->shown;

    *msr = val;
    if (!(val & HV_SYNIC_PAGE_ENABLE)) {
        overlay_hide(vp->partition, page);
    } else if (overlay_show(vp->partition, page, at, NULL, 0, ACCESS_READ | ACCESS_WRITE)) {
        overlay_hide(vp->partition, page);
        log_once(LOG_WARN, "partition %llu vp %u: SynIC page %llx is not RAM",
                 (unsigned long long)vp->partition->id, vp->index.v, (unsigned long long)val);
    }
    if (page == &s->sir && !(shown && page->shown && was.v == at.v))
        memset(s->ring_tail, 0, sizeof(s->ring_tail));
}

static void page_msr_write(struct vp *vp, uint64_t *msr, struct overlay *page, uint64_t val)
{
    spin_lock(&vp->partition->lock);
    spin_lock(&vp->synic.lock);
    page_set(vp, msr, page, val);
    spin_unlock(&vp->synic.lock);
    spin_unlock(&vp->partition->lock);
    synic_retry(vp);
}

/* Some unmasked SINT with this vector wants AutoEOI. */
static bool vector_auto_eoi(const struct synic *s, uint64_t vector)
{
    for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
        uint64_t v = s->sint[i];

        if ((v & HV_SYNIC_SINT_VECTOR_MASK) == vector &&
            (v & (HV_SYNIC_SINT_MASKED | HV_SYNIC_SINT_AUTO_EOI)) == HV_SYNIC_SINT_AUTO_EOI)
            return true;
    }
    return false;
}

static int sint_write(struct vp *vp, uint32_t sint, uint64_t val)
{
    struct synic *s = &vp->synic;
    uint64_t old = s->sint[sint] & HV_SYNIC_SINT_VECTOR_MASK;
    uint64_t vector = val & HV_SYNIC_SINT_VECTOR_MASK;

    if (vector < HV_SYNIC_FIRST_VALID_VECTOR && !(val & HV_SYNIC_SINT_MASKED))
        return -EPERM;
    s->sint[sint] = val;
    vapic_set_auto_eoi(vp, (uint8_t)old, vector_auto_eoi(s, old));
    vapic_set_auto_eoi(vp, (uint8_t)vector, vector_auto_eoi(s, vector));
    return 0;
}

int synic_msr_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    struct synic *s = &vp->synic;
    int rc = 0;

    spin_lock(&s->lock);
    switch (msr) {
    case HV_X64_MSR_SCONTROL:
        *val = s->scontrol;
        break;
    case HV_X64_MSR_SVERSION:
        *val = HV_SYNIC_VERSION;
        break;
    case HV_X64_MSR_SIEFP:
        *val = s->siefp;
        break;
    case HV_X64_MSR_SIMP:
        *val = s->simp;
        break;
    case HV_X64_MSR_SIRBP:
        *val = s->sirbp;
        break;
    case HV_X64_MSR_EOM:
        *val = 0;
        break;
    case HV_X64_MSR_SINT0 ... HV_X64_MSR_SINT15:
        *val = s->sint[msr - HV_X64_MSR_SINT0];
        break;
    default:
        rc = -EPERM;
    }
    spin_unlock(&s->lock);
    return rc;
}

int synic_msr_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    struct synic *s = &vp->synic;
    int rc = 0;

    switch (msr) {
    case HV_X64_MSR_SCONTROL:
        spin_lock(&s->lock);
        s->scontrol = val;
        spin_unlock(&s->lock);
        synic_retry(vp);
        break;
    case HV_X64_MSR_SIEFP:
        page_msr_write(vp, &s->siefp, &s->sief, val);
        break;
    case HV_X64_MSR_SIMP:
        page_msr_write(vp, &s->simp, &s->sim, val);
        break;
    case HV_X64_MSR_SIRBP:
        page_msr_write(vp, &s->sirbp, &s->sir, val);
        break;
    case HV_X64_MSR_EOM:
        synic_retry(vp);
        break;
    case HV_X64_MSR_SINT0 ... HV_X64_MSR_SINT15:
        spin_lock(&s->lock);
        rc = sint_write(vp, msr - HV_X64_MSR_SINT0, val);
        spin_unlock(&s->lock);
        break;
    default:
        rc = -EPERM;
    }
    return rc;
}
