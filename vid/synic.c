// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cpuhotplug.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/reboot.h>
#include <linux/string.h>
#include <asm/irq_vectors.h>
#include <asm/msr.h>
#include "abi/tlfs/msr.h"
#include "calls.h"
#include "compat.h"
#include "doorbell.h"
#include "event.h"
#include "irqfd.h"
#include "synic.h"
#include "vid.h"

/* Messages and doorbells taken in one go: beyond it the hypervisor is at fault. */
#define DRAIN_MAX 65536

struct processor {
    /* Allocated by the processor's first coming, freed at the end. */
    struct hv_message_page *messages;
    struct hv_synic_event_flags_page *flags;
    struct hv_synic_event_ring_page *rings;
    u32 tail;    /* where the doorbells' ring is read next; upcall only */
    bool active; /* changed by the processor itself with interrupts off */
};

static DEFINE_PER_CPU(struct processor, processors);
static int hotplug_state = -1;

static u64 read_register(u32 number)
{
    u32 low, high;

    rdmsr(number, low, high);
    return (u64)high << 32 | low;
}

static void write_register(u32 number, u64 value)
{
    wrmsr(number, (u32)value, (u32)(value >> 32));
}

/* The next port of the doorbells' ring; 0: the ring is empty, and its next entry will signal. */
static u32 next_port(struct processor *processor)
{
    struct hv_synic_event_ring *ring = &processor->rings->sint_event_ring[VID_SINT_DOORBELL];
    u32 *slot = &ring->data[processor->tail];
    u32 port = READ_ONCE(*slot);

    if (!port && READ_ONCE(ring->ring_full)) {
        WRITE_ONCE(ring->ring_full, 0);
        vid_notify_ring_empty(VID_SINT_DOORBELL);
        port = READ_ONCE(*slot);
    }
    if (!port) {
        WRITE_ONCE(ring->signal_masked, 0);
        /* The hypervisor writes an entry, then reads the mask: here it is the other way round. */
        smp_mb();
        port = READ_ONCE(*slot);
        if (!port)
            return 0;
    }
    WRITE_ONCE(ring->signal_masked, 1);
    WRITE_ONCE(*slot, 0);
    processor->tail = (processor->tail + 1) % HV_SYNIC_EVENT_RING_MESSAGE_COUNT;
    return port;
}

static void drain_doorbells(struct processor *processor)
{
    u32 port;

    for (u32 i = 0; i < DRAIN_MAX && (port = next_port(processor)); i++)
        vid_doorbell_ring(port);
}

static void take_intercept(struct vid_partition *partition, const struct hv_message *message)
{
    const struct hv_opaque_intercept_message *opaque = (const void *)message->payload;
    u32 index = READ_ONCE(opaque->vp_index);
    struct vid_vp *vp = index < VID_MAX_VPS ? smp_load_acquire(&partition->vps[index]) : NULL;

    if (vp)
        vid_vp_kick(vp);
}

/* Of HVMSG_ASYNC_CALL_COMPLETION: the partition, and the status of its call. */
struct async_completion {
    u64 partition_id;
    u32 status;
    u32 reserved;
};

static void take_completion(const struct hv_message *message)
{
    const struct async_completion *completion = (const void *)message->payload;
    struct vid_partition *partition = vid_partition_find(completion->partition_id);

    if (!partition)
        return;
    WRITE_ONCE(partition->async_status, completion->status);
    complete(&partition->async_done);
}

static void take_message(struct processor *processor, const struct hv_message *message)
{
    u32 type = READ_ONCE(message->header.message_type);
    const struct hv_x64_apic_eoi_message *eoi = (const void *)message->payload;
    struct vid_partition *partition;

    if (type == HVMSG_SYNIC_SINT_INTERCEPT) {
        drain_doorbells(processor);
        return;
    }
    if (type == HVMSG_ASYNC_CALL_COMPLETION) {
        take_completion(message);
        return;
    }
    partition = vid_partition_find(message->header.sender);
    if (!partition)
        return; /* it has just been destroyed */
    if (type == HVMSG_OPAQUE_INTERCEPT)
        take_intercept(partition, message);
    else if (type == HVMSG_X64_APIC_EOI)
        vid_irqfds_acked(partition, eoi->interrupt_vector);
    else
        pr_warn_ratelimited("bulkhead-vid: partition %llu sent a message of type %#x\n",
                            partition->id, type);
}

/*
 * Takes all messages of this processor, with interrupts off. A slot that is freed while more is
 * queued is filled again when the hypervisor is told.
 */
static void drain(struct processor *processor)
{
    struct hv_message *message = &processor->messages->sint_message[VID_SINT_INTERCEPT];

    rcu_read_lock();
    for (u32 i = 0; i < DRAIN_MAX && smp_load_acquire(&message->header.message_type); i++) {
        take_message(processor, message);
        WRITE_ONCE(message->header.message_type, HVMSG_NONE);
        /* The flag is set after the slot was seen full: free it before looking (TLFS "SynIC
         * Message Page"). */
        smp_mb();
        if (READ_ONCE(message->header.message_flags) & HV_MESSAGE_FLAG_PENDING)
            write_register(HV_X64_MSR_EOM, 0);
    }
    rcu_read_unlock();
}

/* The interrupt of all SINTs; others may share its vector. */
static void upcall(void)
{
    struct processor *processor = this_cpu_ptr(&processors);

    if (!processor->active)
        return;
    drain(processor);
    vid_events_take(&processor->flags->sint_flags[VID_SINT_EVENT]);
}

static int allocate(struct processor *processor)
{
    if (!processor->messages)
        processor->messages = (void *)get_zeroed_page(GFP_KERNEL);
    if (!processor->flags)
        processor->flags = (void *)get_zeroed_page(GFP_KERNEL);
    if (!processor->rings)
        processor->rings = (void *)get_zeroed_page(GFP_KERNEL);
    return processor->messages && processor->flags && processor->rings ? 0 : -ENOMEM;
}

/* Names a page to the hypervisor, or NULL: disables it. Bits 11:1 are preserved. */
static int set_page(u32 number, const void *page)
{
    u32 low, high;
    u64 value;

    if (rdmsr_safe(number, &low, &high))
        return -EIO;
    value = ((u64)high << 32 | low) & ~(HV_SYNIC_PAGE_ENABLE | HV_SYNIC_PAGE_BASE_MASK);
    if (page)
        value |= virt_to_phys((void *)page) | HV_SYNIC_PAGE_ENABLE;
    return wrmsr_safe(number, (u32)value, (u32)(value >> 32)) ? -EIO : 0;
}

static void set_enabled(bool enabled)
{
    u64 value = read_register(HV_X64_MSR_SCONTROL) & ~HV_SYNIC_SCONTROL_ENABLE;

    write_register(HV_X64_MSR_SCONTROL, value | (enabled ? HV_SYNIC_SCONTROL_ENABLE : 0));
}

static void mask(u32 sint)
{
    u32 number = HV_X64_MSR_SINT0 + sint;

    write_register(number, read_register(number) | HV_SYNIC_SINT_MASKED);
}

static void unmask(u32 sint, u64 flags)
{
    u64 value = HYPERVISOR_CALLBACK_VECTOR | flags;

    value |= vid_compat_auto_eoi() ? HV_SYNIC_SINT_AUTO_EOI : 0;
    write_register(HV_X64_MSR_SINT0 + sint, value);
}

/* On the processor that comes. The SINTs are unmasked last, when all that they need is there. */
static int come(unsigned int cpu)
{
    struct processor *processor = this_cpu_ptr(&processors);
    unsigned long flags;
    int error = allocate(processor);

    if (error)
        return error;
    memset(processor->messages, 0, PAGE_SIZE);
    memset(processor->flags, 0, PAGE_SIZE);
    memset(processor->rings, 0, PAGE_SIZE);
    processor->tail = 0;
    local_irq_save(flags);
    error = set_page(HV_X64_MSR_SIMP, processor->messages);
    if (!error)
        error = set_page(HV_X64_MSR_SIEFP, processor->flags);
    if (!error) {
        /* A hypervisor without rings has no ports for doorbells either. */
        bool rings = !set_page(HV_X64_MSR_SIRBP, processor->rings);

        processor->active = true;
        set_enabled(true);
        unmask(VID_SINT_INTERCEPT, 0);
        unmask(VID_SINT_EVENT, 0);
        if (rings)
            unmask(VID_SINT_DOORBELL, HV_SYNIC_SINT_AS_INTERCEPT);
        /* What came while the SINT was masked has raised no interrupt. */
        drain(processor);
        vid_events_take(&processor->flags->sint_flags[VID_SINT_EVENT]);
    }
    local_irq_restore(flags);
    return error;
}

/* On the processor that goes. What is queued for it is taken now: nobody else would. */
static int go(unsigned int cpu)
{
    struct processor *processor = this_cpu_ptr(&processors);
    unsigned long flags;

    local_irq_save(flags);
    mask(VID_SINT_DOORBELL);
    mask(VID_SINT_EVENT);
    mask(VID_SINT_INTERCEPT);
    drain(processor);
    vid_events_take(&processor->flags->sint_flags[VID_SINT_EVENT]);
    drain_doorbells(processor);
    processor->active = false;
    set_enabled(false);
    set_page(HV_X64_MSR_SIRBP, NULL);
    set_page(HV_X64_MSR_SIEFP, NULL);
    set_page(HV_X64_MSR_SIMP, NULL);
    local_irq_restore(flags);
    return 0;
}

static void stop(void)
{
    int state = xchg(&hotplug_state, -1);

    if (state >= 0)
        cpuhp_remove_state(state);
}

/* The next kernel must not find its memory written to by messages. */
static int at_reboot(struct notifier_block *block, unsigned long event, void *data)
{
    stop();
    return NOTIFY_DONE;
}

static struct notifier_block reboot_notifier = {.notifier_call = at_reboot};

static void free_pages_of_all(void)
{
    int cpu;

    for_each_possible_cpu(cpu)
    {
        struct processor *processor = per_cpu_ptr(&processors, cpu);

        free_page((unsigned long)processor->messages);
        free_page((unsigned long)processor->flags);
        free_page((unsigned long)processor->rings);
    }
}

int vid_synic_init(void)
{
    int state;

    vid_compat_upcall_set(upcall);
    state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "bulkhead/vid:online", come, go);
    if (state < 0) {
        vid_compat_upcall_clear();
        synchronize_rcu();
        free_pages_of_all();
        return state;
    }
    hotplug_state = state;
    register_reboot_notifier(&reboot_notifier);
    return 0;
}

void vid_synic_exit(void)
{
    unregister_reboot_notifier(&reboot_notifier);
    stop();
    vid_compat_upcall_clear();
    /* An upcall that began before has ended after this. */
    synchronize_rcu();
    free_pages_of_all();
}
