/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/msr.h"
#include "abi/tlfs/register.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

#define REF_HZ 10000000ULL

/* The physical timer is not set further ahead than this; the callback then sets it again. */
#define MAX_ARM_REF (3600 * REF_HZ)

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t period_get(const struct stimer *t)
{
    return t->count < STIMER_MIN_PERIOD_REF ? STIMER_MIN_PERIOD_REF : t->count;
}

static uint8_t vector_get(uint64_t config)
{
    return (uint8_t)((config & HV_STIMER_VECTOR_MASK) >> HV_STIMER_VECTOR_SHIFT);
}

static uint32_t sint_get(uint64_t config)
{
    return (uint32_t)((config & HV_STIMER_SINT_MASK) >> HV_STIMER_SINT_SHIFT);
}

static void stimer_arm(struct vp *vp, struct stimer *t, uint64_t now)
{
    uint64_t ahead = min_u64(t->expiry - now, MAX_ARM_REF);
    uint64_t deadline = clock_tsc_from_ref(vp->partition->ref_base + now + ahead);
    uint64_t tsc = clock_tsc();

    /* While the partition's time stands still nothing becomes due: see stimers_time_changed(). */
    if (__atomic_load_n(&vp->partition->properties.time_frozen, __ATOMIC_ACQUIRE)) {
        timer_cancel(&t->timer);
        return;
    }
    /* Conversion rounds: an expiry one unit ahead can come out as already past. */
    if (deadline <= tsc)
        deadline = tsc + clock_tsc_hz() / REF_HZ + 1;
    timer_arm(&t->timer, deadline);
}

static void stimer_stop(struct stimer *t)
{
    timer_cancel(&t->timer);
    t->expiry = 0;
    t->msg_waiting = false;
}

/* Offer the expiry message. A SynIC that cannot take messages at all loses it. */
static void message_send(struct vp *vp, struct stimer *t, uint64_t now)
{
    struct hv_timer_message_payload payload = {
        .timer_index = t->index,
        .expiration_time = t->expired,
        .delivery_time = now,
    };
    struct hv_message msg = {
        .header = {.message_type = HVMSG_TIMER_EXPIRED, .payload_size = sizeof(payload)},
    };

    memcpy(msg.payload, &payload, sizeof(payload));
    t->msg_waiting = synic_offer_message(vp, sint_get(t->config), &msg) == -EAGAIN;
}

static void stimer_expire(struct vp *vp, struct stimer *t, uint64_t due, uint64_t now)
{
    if (t->config & HV_STIMER_DIRECT_MODE) {
        vapic_set_irr(vp, vector_get(t->config), false);
        return;
    }
    /* A message that still waits stands for this expiry as well. */
    if (!t->msg_waiting)
        t->expired = due;
    message_send(vp, t, now);
}

/* Bring one timer up to date: expire it if that is due, and arm what comes next. */
static void stimer_run(struct vp *vp, struct stimer *t)
{
    uint64_t now = partition_ref_time(vp->partition), due = t->expiry;

    if (!due)
        return;
    if (due <= now) {
        if (t->config & HV_STIMER_PERIODIC) {
            uint64_t periods = (now - due) / period_get(t) + 1;

            /* Whole periods from the start: no drift, and no burst after a delay. */
            t->expiry = add_saturating(due, periods * period_get(t));
        } else {
            t->expiry = 0;
            t->config &= ~HV_STIMER_ENABLE;
        }
        stimer_expire(vp, t, due, now);
    }
    if (t->expiry)
        stimer_arm(vp, t, now);
}

static void stimer_start(struct vp *vp, struct stimer *t)
{
    if (!(t->config & HV_STIMER_ENABLE) || !t->count)
        return;
    if (t->config & HV_STIMER_PERIODIC)
        t->expiry = add_saturating(partition_ref_time(vp->partition), period_get(t));
    else
        t->expiry = t->count;
    stimer_run(vp, t);
}

/* Runs on the LP that armed it; a timer that was stopped meanwhile has nothing due. */
static void stimer_fired(struct timer *timer)
{
    struct stimer *t = container_of(timer, struct stimer, timer);
    struct stimers *all = container_of(t - t->index, struct stimers, timer);

    spin_lock(&all->lock);
    stimer_run(container_of(all, struct vp, stimers), t);
    spin_unlock(&all->lock);
}

void stimers_init(struct vp *vp)
{
    struct stimers *all = &vp->stimers;

    memset(all, 0, sizeof(*all));
    for (unsigned i = 0; i < HV_SYNIC_STIMER_COUNT; i++) {
        all->timer[i].index = (uint8_t)i;
        timer_init(&all->timer[i].timer, stimer_fired);
    }
}

void stimers_reset(struct vp *vp)
{
    struct stimers *all = &vp->stimers;

    spin_lock(&all->lock);
    for (unsigned i = 0; i < HV_SYNIC_STIMER_COUNT; i++) {
        stimer_stop(&all->timer[i]);
        all->timer[i].config = 0;
        all->timer[i].count = 0;
    }
    spin_unlock(&all->lock);
}

void stimers_time_changed(struct vp *vp)
{
    struct stimers *all = &vp->stimers;

    spin_lock(&all->lock);
    for (unsigned i = 0; i < HV_SYNIC_STIMER_COUNT; i++)
        stimer_run(vp, &all->timer[i]);
    spin_unlock(&all->lock);
}

/* Message mode needs a SINT other than 0, which belongs to the hypervisor. */
static uint64_t enable_checked(uint64_t config)
{
    if (!(config & HV_STIMER_DIRECT_MODE) && sint_get(config) == 0)
        config &= ~HV_STIMER_ENABLE;
    return config;
}

static bool config_valid(uint64_t val)
{
    return !(val & HV_STIMER_DIRECT_MODE) || vector_get(val) >= HV_SYNIC_FIRST_VALID_VECTOR;
}

static int config_write(struct vp *vp, struct stimer *t, uint64_t val)
{
    val &= HV_STIMER_VALID_MASK;
    if (!config_valid(val))
        return -EPERM;
    stimer_stop(t);
    t->config = enable_checked(val);
    stimer_start(vp, t);
    return 0;
}

static void count_write(struct vp *vp, struct stimer *t, uint64_t val)
{
    stimer_stop(t);
    t->count = val;
    if (!val)
        t->config &= ~HV_STIMER_ENABLE;
    else if (t->config & HV_STIMER_AUTO_ENABLE)
        t->config = enable_checked(t->config | HV_STIMER_ENABLE);
    stimer_start(vp, t);
}

/* The timer of a register, and whether it is its count; NULL if there is none. */
static struct stimer *stimer_find(struct vp *vp, uint32_t msr, bool *count)
{
    if (msr < HV_X64_MSR_STIMER0_CONFIG || msr > HV_X64_MSR_STIMER3_COUNT)
        return NULL;
    msr -= HV_X64_MSR_STIMER0_CONFIG;
    *count = msr & 1;
    return &vp->stimers.timer[msr / 2];
}

int stimer_msr_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    bool count;
    struct stimer *t = stimer_find(vp, msr, &count);

    if (!t)
        return -EPERM;
    spin_lock(&vp->stimers.lock);
    *val = count ? t->count : t->config;
    spin_unlock(&vp->stimers.lock);
    return 0;
}

int stimer_msr_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    bool count;
    struct stimer *t = stimer_find(vp, msr, &count);
    int rc = 0;

    if (!t)
        return -EPERM;
    spin_lock(&vp->stimers.lock);
    if (count)
        count_write(vp, t, val);
    else
        rc = config_write(vp, t, val);
    spin_unlock(&vp->stimers.lock);
    return rc;
}

void stimers_retry(struct vp *vp)
{
    struct stimers *all = &vp->stimers;

    spin_lock(&all->lock);
    for (unsigned i = 0; i < HV_SYNIC_STIMER_COUNT; i++) {
        struct stimer *t = &all->timer[i];

        if (t->msg_waiting)
            message_send(vp, t, partition_ref_time(vp->partition));
    }
    spin_unlock(&all->lock);
}

/* hv_stimer_state.flags; `adjustment` carries the next expiry of a periodic timer that runs. */
#define STATE_UNDELIVERED BIT(0)

void stimers_state_get(struct vp *vp, struct hv_synthetic_timers_state *out)
{
    struct stimers *all = &vp->stimers;

    memset(out, 0, sizeof(*out));
    spin_lock(&all->lock);
    for (unsigned i = 0; i < HV_SYNIC_STIMER_COUNT; i++) {
        const struct stimer *t = &all->timer[i];

        out->timers[i] = (struct hv_stimer_state){
            .flags = t->msg_waiting ? STATE_UNDELIVERED : 0,
            .config = t->config,
            .count = t->count,
            .adjustment = t->config & HV_STIMER_PERIODIC ? t->expiry : 0,
            .undelivered_exp_time = t->msg_waiting ? t->expired : 0,
        };
    }
    spin_unlock(&all->lock);
}

static void state_apply(struct vp *vp, struct stimer *t, const struct hv_stimer_state *in)
{
    uint64_t period;

    stimer_stop(t);
    t->config = enable_checked(in->config);
    t->count = in->count;
    if (!t->count)
        t->config &= ~HV_STIMER_ENABLE;
    if ((in->flags & STATE_UNDELIVERED) && !(t->config & HV_STIMER_DIRECT_MODE)) {
        t->expired = in->undelivered_exp_time;
        message_send(vp, t, partition_ref_time(vp->partition));
    }
    stimer_start(vp, t);
    /* In phase, but never further away than a period from now. */
    period = period_get(t);
    if (t->expiry && (t->config & HV_STIMER_PERIODIC) && in->adjustment &&
        in->adjustment < t->expiry && t->expiry - in->adjustment < period) {
        t->expiry = in->adjustment;
        stimer_run(vp, t);
    }
}

int stimers_state_set(struct vp *vp, const struct hv_synthetic_timers_state *in)
{
    struct stimers *all = &vp->stimers;

    for (unsigned i = 0; i < HV_SYNIC_STIMER_COUNT; i++)
        if ((in->timers[i].config & ~HV_STIMER_VALID_MASK) || !config_valid(in->timers[i].config))
            return -EINVAL;
    spin_lock(&all->lock);
    for (unsigned i = 0; i < HV_SYNIC_STIMER_COUNT; i++)
        state_apply(vp, &all->timer[i], &in->timers[i]);
    spin_unlock(&all->lock);
    return 0;
}
