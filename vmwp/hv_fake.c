/* SPDX-License-Identifier: MIT */
#include "vmwp/hv_fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct hv {
    bool exists;
};

struct hv_vp {
    uint32_t index;
};

struct hv_fake hv_fake;

static struct hv_vp vps[64];

int hv_open(struct hv **out, struct problem *why)
{
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : problem_set(why, -ENOMEM, "out of memory");
}

void hv_close(struct hv *hv)
{
    if (hv)
        hv_destroy(hv);
    free(hv);
}

int hv_create(struct hv *hv, const struct hv_share *share, struct problem *why)
{
    if (hv_fake.create_error)
        return problem_set(why, hv_fake.create_error, "partition: refused");
    hv->exists = true;
    hv_fake.created++;
    hv_fake.share = *share;
    hv_fake.mapped = 0;
    return 0;
}

void hv_destroy(struct hv *hv)
{
    hv_fake.destroyed += hv->exists;
    hv->exists = false;
}

int hv_pause(struct hv *hv, bool pause, struct problem *why)
{
    hv_fake.paused = pause;
    return 0;
}

int hv_reference_time(struct hv *hv, uint64_t *time_100_ns)
{
    *time_100_ns = 1;
    return 0;
}

int hv_map(struct hv *hv, uint64_t gpa, void *host, uint64_t size, struct problem *why)
{
    hv_fake.mapped += size;
    hv_fake.ram = host;
    return 0;
}

int hv_vp_create(struct hv *hv, uint32_t index, struct hv_vp **out, struct problem *why)
{
    vps[index].index = index;
    *out = &vps[index];
    hv_fake.vps++;
    return 0;
}

int hv_vp_set(struct hv_vp *vp, const struct hv_register_assoc *regs, unsigned count,
              struct problem *why)
{
    hv_fake.registers = count;
    for (unsigned i = 0; i < count; i++) {
        if (regs[i].name == HV_X64_REGISTER_RIP)
            hv_fake.boot_rip = regs[i].value.reg64;
        if (regs[i].name == HV_X64_REGISTER_RSI)
            hv_fake.boot_rsi = regs[i].value.reg64;
    }
    return 0;
}

/* A VP that waits: only a signal ends that, or an hour. */
static int wait_for_kick(void)
{
    const struct timespec hour = {3600, 0};

    return nanosleep(&hour, NULL) < 0 ? -EINTR : -EIO;
}

int hv_vp_run(struct hv_vp *vp, struct hv_exit *exit)
{
    if (vp->index != 0 || hv_fake.next == hv_fake.steps)
        return wait_for_kick();
    *exit = hv_fake.step[hv_fake.next++];
    return 0;
}

int hv_vp_load(struct hv_vp *vp, struct hv_cpu *cpu)
{
    *cpu = hv_fake.cpu;
    return 0;
}

int hv_vp_store(struct hv_vp *vp, const struct hv_cpu *cpu)
{
    hv_fake.stored = *cpu;
    return 0;
}

int hv_vp_finish_io(struct hv_vp *vp, uint64_t next_rip, uint64_t rax)
{
    hv_fake.finished_rip = next_rip;
    hv_fake.finished_rax = rax;
    return 0;
}

int hv_vp_translate(struct hv_vp *vp, uint64_t gva, unsigned access, uint64_t *gpa, bool *present)
{
    *gpa = gva;
    *present = false;
    return hv_fake.fault;
}

int hv_vp_raise(struct hv_vp *vp, uint32_t vector, uint32_t error, uint64_t cr2)
{
    hv_fake.raised = vector;
    hv_fake.raised_error = error;
    hv_fake.raised_cr2 = cr2;
    return 0;
}

int hv_interrupt(struct hv *hv, const struct hv_interrupt *i)
{
    hv_fake.interrupts++;
    hv_fake.last = *i;
    return 0;
}

int hv_vp_finish_call(struct hv_vp *vp, const struct hv_exit_call *call, uint64_t result)
{
    hv_fake.finished_rip = call->next_rip;
    hv_fake.finished_rax = result;
    return 0;
}

int hv_connections_take(struct hv *hv, struct problem *why)
{
    return 0;
}

int hv_message_post(struct hv *hv, uint32_t vp, uint32_t sint, uint32_t type, const void *payload,
                    size_t size)
{
    if (hv_fake.slot_full) {
        hv_fake.slot_full = false;
        return -EAGAIN;
    }
    hv_fake.posts++;
    hv_fake.post_size = size;
    memcpy(hv_fake.post, payload, size);
    return 0;
}

int hv_message_await(struct hv *hv, uint32_t vp, uint32_t sint)
{
    hv_fake.awaits++;
    return 0;
}

int hv_event_signal(struct hv *hv, uint32_t vp, uint32_t sint, uint32_t flag)
{
    return 0;
}

int hv_event_connect(struct hv *hv, uint32_t connection, int fd)
{
    return -ENOTTY;
}

int hv_event_disconnect(struct hv *hv, uint32_t connection, int fd)
{
    return 0;
}
