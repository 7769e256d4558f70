/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "vmwp/emulate.h"
#include "vmwp/log.h"
#include "vmwp/machine_priv.h"

static int env_translate(void *ctx, uint64_t gva, unsigned access, uint64_t *gpa, bool *present)
{
    struct vp *vp = ctx;

    return hv_vp_translate(vp->hv, gva, access, gpa, present);
}

static void env_read(void *ctx, uint64_t gpa, void *buf, unsigned len)
{
    struct vp *vp = ctx;

    machine_memory_read(vp->machine, gpa, buf, len);
}

static void env_write(void *ctx, uint64_t gpa, const void *buf, unsigned len)
{
    struct vp *vp = ctx;

    machine_memory_write(vp->machine, gpa, buf, len);
}

static uint32_t env_port_read(void *ctx, uint16_t port, unsigned size)
{
    struct vp *vp = ctx;

    return machine_port_read(vp->machine, port, size);
}

static void env_port_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    struct vp *vp = ctx;

    machine_port_write(vp->machine, port, size, value);
}

typedef int emulate_fn(const struct emulate_env *env, const struct hv_exit *exit,
                       struct hv_cpu *cpu, struct emulate_fault *fault);

static int emulate(struct vp *vp, const struct hv_exit *exit, emulate_fn *fn)
{
    const struct emulate_env env = {env_translate, env_read,       env_write,
                                    env_port_read, env_port_write, vp};
    struct emulate_fault fault = {0};
    struct hv_cpu cpu;
    int err = hv_vp_load(vp->hv, &cpu), did;

    if (err < 0)
        return err;
    did = fn(&env, exit, &cpu, &fault);
    if (did < 0 && did != -EAGAIN)
        return did;
    /* The elements of a string that are done stay done; the rest is executed again. */
    err = hv_vp_store(vp->hv, &cpu);
    if (err < 0 || did == EMULATE_DONE || did == -EAGAIN)
        return err;
    if (fault.vector == HV_EXCEPTION_UD)
        log_guest("VP %u: instruction at 0x%llx is not emulated", vp->index,
                  (unsigned long long)cpu.rip);
    return hv_vp_raise(vp->hv, fault.vector, fault.error, fault.cr2);
}

/* IN writes bytes and words into RAX and leaves the rest; doublewords clear the upper half. */
static uint64_t rax_with(uint64_t rax, uint32_t value, unsigned size)
{
    if (size == 4)
        return value;
    uint64_t mask = size == 1 ? 0xFF : 0xFFFF;
    return (rax & ~mask) | (value & mask);
}

static int handle_io(struct vp *vp, const struct hv_exit *exit)
{
    const struct hv_exit_io *io = &exit->io;
    uint64_t rax = io->rax;

    if (io->string)
        return emulate(vp, exit, emulate_string_io);
    if (!io->next_rip)
        return -EPROTO;
    if (io->write)
        machine_port_write(vp->machine, io->port, io->size, (uint32_t)rax);
    else
        rax = rax_with(rax, machine_port_read(vp->machine, io->port, io->size), io->size);
    return hv_vp_finish_io(vp->hv, io->next_rip, rax);
}

/* RAM comes here only if the host has none to give. */
static int handle_memory(struct vp *vp, const struct hv_exit *exit)
{
    uint64_t at = exit->memory.gpa;

    if (!memory_is_ram(&vp->machine->memory, gpa(at), 1))
        return emulate(vp, exit, emulate_memory);
    machine_fail(vp->machine, "VP %u: the host has no memory for 0x%llx", vp->index,
                 (unsigned long long)at);
    return 0;
}

/* The guest's processor has shut down: a triple fault. */
static void handle_fatal(struct vp *vp)
{
    struct machine *m = vp->machine;
    bool reset = m->config->on_crash == CONFIG_CRASH_RESET;

    log_error("VP %u: triple fault: the machine is %s", vp->index, reset ? "reset" : "off");
    machine_stop(m, reset ? MACHINE_RESET : MACHINE_CRASHED);
}

void vp_handle(struct vp *vp, const struct hv_exit *exit)
{
    int err = 0;

    switch (exit->kind) {
    case HV_EXIT_IO:
        err = handle_io(vp, exit);
        break;
    case HV_EXIT_MEMORY:
        err = handle_memory(vp, exit);
        break;
    case HV_EXIT_EOI:
        machine_eoi(vp->machine, exit->vector);
        break;
    case HV_EXIT_CALL:
        err = hv_vp_finish_call(vp->hv, &exit->call, machine_vmbus_call(vp->machine, &exit->call));
        break;
    case HV_EXIT_SINTS:
        machine_vmbus_sints(vp->machine, vp->index, exit->sints);
        break;
    case HV_EXIT_FATAL:
        handle_fatal(vp);
        break;
    default:
        machine_fail(vp->machine, "VP %u: message 0x%08x of the hypervisor is not expected",
                     vp->index, exit->type);
        return;
    }
    if (err < 0)
        machine_fail(vp->machine, "VP %u: message 0x%08x of the hypervisor: %s", vp->index,
                     exit->type, strerror(-err));
}

void *vp_thread(void *arg)
{
    struct vp *vp = arg;
    struct machine *m = vp->machine;

    while (atomic_load_explicit(&m->outcome, memory_order_acquire) == MACHINE_RUNS) {
        struct hv_exit exit;
        int err = hv_vp_run(vp->hv, &exit);
        if (err == 0)
            vp_handle(vp, &exit);
        else if (err != -EINTR)
            machine_fail(m, "VP %u: cannot run: %s", vp->index, strerror(-err));
    }
    return NULL;
}
