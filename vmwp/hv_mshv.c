/* SPDX-License-Identifier: MIT */
/* The hypervisor behind /dev/mshv. Order of the calls: docs/vmwp.md. */
#include "vmwp/hv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "abi/mshv.h"
#include "abi/tlfs/hypercall.h"
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/management.h"
#include "abi/tlfs/status.h"
#include "abi/tlfs/synic.h"
#include "lib/bits.h"
#include "vmwp/hv_mshv_priv.h"

#define DEVICE "/dev/mshv"
/* What a child is given if the hypervisor does not say what it could have. */
#define FEATURES_DEFAULT                                                                           \
    (HV_SYNTH_HYPERVISOR_PRESENT | HV_SYNTH_HV1 | HV_SYNTH_ACCESS_REFERENCE_COUNTER |              \
     HV_SYNTH_ACCESS_SYNIC | HV_SYNTH_ACCESS_SYNTHETIC_TIMERS | HV_SYNTH_ACCESS_INTR_CTRL |        \
     HV_SYNTH_ACCESS_HYPERCALL | HV_SYNTH_ACCESS_VP_INDEX | HV_SYNTH_ACCESS_REFERENCE_TSC |        \
     HV_SYNTH_ACCESS_FREQUENCY | HV_SYNTH_DIRECT_SYNTHETIC_TIMERS |                                \
     HV_SYNTH_EXTENDED_PROCESSOR_MASKS | HV_SYNTH_TB_FLUSH_HYPERCALLS |                            \
     HV_SYNTH_SYNTHETIC_CLUSTER_IPI)

int mshv_call(int fd, const struct mshv_call *c, uint16_t *status)
{
    struct mshv_root_hvcall args = {
        .code = c->code,
        .reps = c->reps,
        .in_sz = (uint16_t)c->in_size,
        .out_sz = (uint16_t)c->out_size,
        .in_ptr = (uintptr_t)c->in,
        .out_ptr = (uintptr_t)c->out,
    };
    int err = ioctl(fd, MSHV_ROOT_HVCALL, &args) < 0 ? -errno : 0;

    if (status)
        *status = args.status;
    return err || !args.status ? err : -EIO;
}

int mshv_refused(struct problem *why, const char *what, int err, uint16_t status)
{
    if (status)
        return problem_set(why, err, "%s: refused by the hypervisor, status 0x%04x", what, status);
    return problem_set(why, err, "%s: %s", what, strerror(-err));
}

int hv_open(struct hv **out, struct problem *why)
{
    struct hv *hv = calloc(1, sizeof(*hv));

    if (!hv)
        return problem_set(why, -ENOMEM, "out of memory");
    hv->partition = -1;
    hv->device = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (hv->device < 0) {
        int err = -errno;
        free(hv);
        if (err == -ENOENT || err == -ENXIO || err == -ENODEV)
            return problem_set(why, err,
                               DEVICE ": not there: load bulkhead-vid, or this is no parent "
                                      "partition of Bulkhead");
        return problem_set(why, err, DEVICE ": %s", strerror(-err));
    }
    *out = hv;
    return 0;
}

void hv_close(struct hv *hv)
{
    if (!hv)
        return;
    hv_destroy(hv);
    (void)close(hv->device);
    free(hv);
}

static int property_set(struct hv *hv, uint32_t code, uint64_t value, const char *name,
                        struct problem *why)
{
    const struct hv_input_set_partition_property in = {.property_code = code,
                                                       .property_value = value};
    const struct mshv_call c = {HVCALL_SET_PARTITION_PROPERTY, 0, &in, sizeof(in), NULL, 0};
    uint16_t status;
    int err = mshv_call(hv->partition, &c, &status);

    return err ? mshv_refused(why, name, err, status) : 0;
}

/* All synthetic features that a child may have. */
static uint64_t features_offered(const struct hv *hv)
{
    const struct hv_input_get_partition_property_ex in = {
        .partition_id = ~0ULL,
        .property_code = HV_PARTITION_PROPERTY_ASSIGNABLE_SYNTHETIC_PROC_FEATURES};
    uint64_t out[2] = {0, 0}; /* number of banks, first bank */
    const struct mshv_call c = {
        HVCALL_GET_PARTITION_PROPERTY_EX, 0, &in, sizeof(in), out, sizeof(out)};

    return mshv_call(hv->device, &c, NULL) == 0 && out[1] ? out[1] : FEATURES_DEFAULT;
}

static int partition_open(struct hv *hv, struct problem *why)
{
    struct mshv_create_partition args = {
        .pt_flags = BIT64(MSHV_PT_BIT_LAPIC) | BIT64(MSHV_PT_BIT_X2APIC) |
                    BIT64(MSHV_PT_BIT_GPA_SUPER_PAGES),
        .pt_isolation = MSHV_PT_ISOLATION_NONE,
    };

    hv->partition = ioctl(hv->device, MSHV_CREATE_PARTITION, &args);
    if (hv->partition < 0)
        return problem_set(why, -errno, "partition: cannot be created: %m");
    if (fcntl(hv->partition, F_SETFD, FD_CLOEXEC) < 0)
        return problem_set(why, -errno, "partition: %m");
    return 0;
}

static int share_set(struct hv *hv, const struct hv_share *share, struct problem *why)
{
    int err = 0;

    if (share->weight)
        err = property_set(hv, HV_PARTITION_PROPERTY_CPU_WEIGHT, share->weight, "weight", why);
    if (!err && share->cap)
        err = property_set(hv, HV_PARTITION_PROPERTY_CPU_CAP, share->cap, "cap", why);
    if (!err && share->reserve)
        err = property_set(hv, HV_PARTITION_PROPERTY_CPU_RESERVE, share->reserve, "reserve", why);
    return err;
}

static int suspend_set(struct hv *hv, bool on, struct problem *why)
{
    return property_set(hv, HV_PARTITION_PROPERTY_SUSPEND, on, "suspend", why);
}

static int freeze_set(struct hv *hv, bool on, struct problem *why)
{
    return property_set(hv, HV_PARTITION_PROPERTY_TIME_FREEZE, on, "time freeze", why);
}

/* The clock never stands while a VP runs. */
int hv_pause(struct hv *hv, bool pause, struct problem *why)
{
    struct problem unused;
    int err;

    if (!pause) {
        err = freeze_set(hv, false, why);
        return err ? err : suspend_set(hv, false, why);
    }
    err = suspend_set(hv, true, why);
    if (err)
        return err;
    err = freeze_set(hv, true, why);
    if (err)
        (void)suspend_set(hv, false, &unused);
    return err;
}

int hv_reference_time(struct hv *hv, uint64_t *time_100_ns)
{
    const struct hv_input_get_partition_property in = {.property_code =
                                                           HV_PARTITION_PROPERTY_REFERENCE_TIME};
    struct hv_output_get_partition_property out = {0};
    const struct mshv_call c = {
        HVCALL_GET_PARTITION_PROPERTY, 0, &in, sizeof(in), &out, sizeof(out)};
    int err = mshv_call(hv->partition, &c, NULL);

    if (!err)
        *time_100_ns = out.property_value;
    return err;
}

int hv_create(struct hv *hv, const struct hv_share *share, struct problem *why)
{
    int err = partition_open(hv, why);

    if (!err)
        err = property_set(hv, HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES, features_offered(hv),
                           "synthetic features", why);
    if (!err && ioctl(hv->partition, MSHV_INITIALIZE_PARTITION) < 0)
        err = problem_set(why, -errno, "partition: cannot be initialized: %m");
    if (!err)
        err = property_set(hv, HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION,
                           HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO, "MSR policy", why);
    if (!err)
        err = share_set(hv, share, why);
    if (err)
        hv_destroy(hv);
    return err;
}

void hv_destroy(struct hv *hv)
{
    for (uint32_t i = 0; i < hv->vp_count; i++) {
        struct hv_vp *vp = hv->vp[i];
        if (vp->page)
            (void)munmap(vp->page, MSHV_HV_PAGE_SIZE);
        (void)close(vp->fd);
        free(vp);
    }
    hv->vp_count = 0;
    if (hv->partition >= 0)
        (void)close(hv->partition);
    hv->partition = -1;
}

int hv_map(struct hv *hv, uint64_t gpa, void *host, uint64_t size, struct problem *why)
{
    const struct mshv_user_mem_region args = {
        .size = size,
        .guest_pfn = gpa / MSHV_HV_PAGE_SIZE,
        .userspace_addr = (uintptr_t)host,
        .flags = BIT(MSHV_SET_MEM_BIT_WRITABLE) | BIT(MSHV_SET_MEM_BIT_EXECUTABLE),
    };

    if (ioctl(hv->partition, MSHV_SET_GUEST_MEMORY, &args) < 0)
        return problem_set(why, -errno, "memory: %llu MiB at 0x%llx cannot be mapped: %m",
                           (unsigned long long)(size >> 20), (unsigned long long)gpa);
    return 0;
}

int hv_vp_create(struct hv *hv, uint32_t index, struct hv_vp **out, struct problem *why)
{
    const struct mshv_create_vp args = {.vp_index = index};
    struct hv_vp *vp;
    void *page;

    if (hv->vp_count == VP_MAX)
        return problem_set(why, -ENOSPC, "processors: more than %u", VP_MAX);
    vp = calloc(1, sizeof(*vp));
    if (!vp)
        return problem_set(why, -ENOMEM, "out of memory");
    *vp = (struct hv_vp){.hv = hv, .index = index};
    vp->fd = ioctl(hv->partition, MSHV_CREATE_VP, &args);
    if (vp->fd < 0) {
        int err = -errno;
        free(vp);
        return problem_set(why, err, "processors: VP %u cannot be created: %s", index,
                           strerror(-err));
    }
    (void)fcntl(vp->fd, F_SETFD, FD_CLOEXEC);
    page = mmap(NULL, MSHV_HV_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vp->fd,
                MSHV_VP_MMAP_OFFSET_REGISTERS * MSHV_HV_PAGE_SIZE);
    vp->page = page == MAP_FAILED ? NULL : page;
    hv->vp[hv->vp_count++] = vp;
    *out = vp;
    return 0;
}

#define REGS_MAX 32U

static int registers_set(struct hv_vp *vp, const struct hv_register_assoc *regs, unsigned count,
                         uint16_t *status)
{
    struct {
        struct hv_input_vp_registers head;
        struct hv_register_assoc regs[REGS_MAX];
    } in = {.head = {.vp_index = vp->index}};
    const struct mshv_call c = {HVCALL_SET_VP_REGISTERS,
                                (uint16_t)count,
                                &in,
                                sizeof(in.head) + count * sizeof(regs[0]),
                                NULL,
                                0};

    if (count > REGS_MAX)
        return -EINVAL;
    memcpy(in.regs, regs, count * sizeof(regs[0]));
    return mshv_call(vp->fd, &c, status);
}

static int registers_get(struct hv_vp *vp, const uint32_t *names, unsigned count,
                         union hv_register_value *values)
{
    struct {
        struct hv_input_vp_registers head;
        uint32_t names[REGS_MAX];
    } in = {.head = {.vp_index = vp->index}};
    const struct mshv_call c = {HVCALL_GET_VP_REGISTERS,
                                (uint16_t)count,
                                &in,
                                sizeof(in.head) + count * sizeof(names[0]),
                                values,
                                count * sizeof(values[0])};

    if (count > REGS_MAX)
        return -EINVAL;
    memcpy(in.names, names, count * sizeof(names[0]));
    return mshv_call(vp->fd, &c, NULL);
}

int hv_vp_set(struct hv_vp *vp, const struct hv_register_assoc *regs, unsigned count,
              struct problem *why)
{
    uint16_t status = 0;
    int err = registers_set(vp, regs, count, &status);

    return err ? mshv_refused(why, "registers of the boot processor", err, status) : 0;
}

int hv_vp_run(struct hv_vp *vp, struct hv_exit *exit)
{
    union {
        struct mshv_run_vp args;
        struct hv_message message;
    } m;

    if (ioctl(vp->fd, MSHV_RUN_VP, &m.args) < 0)
        return errno == EAGAIN ? -EINTR : -errno;
    hv_exit_decode(&m.message, exit);
    return 0;
}

static bool page_valid(const struct hv_vp *vp)
{
    return vp->page && vp->page->isvalid;
}

static void cpu_from_page(const struct hv_vp_register_page *p, struct hv_cpu *cpu)
{
    memcpy(cpu->gpr, p->gp_registers, sizeof(cpu->gpr));
    memcpy(cpu->segment, p->segment_registers, sizeof(cpu->segment));
    cpu->rip = p->rip;
    cpu->rflags = p->rflags;
    cpu->cr0 = p->cr0;
    cpu->efer = p->efer;
}

#define CPU_NAMES 26U

static int cpu_from_calls(struct hv_vp *vp, struct hv_cpu *cpu)
{
    uint32_t names[CPU_NAMES];
    union hv_register_value v[CPU_NAMES];
    int err;

    for (unsigned i = 0; i < 16; i++)
        names[i] = HV_X64_REGISTER_RAX + i;
    for (unsigned i = 0; i < 6; i++)
        names[16 + i] = HV_X64_REGISTER_ES + i;
    names[22] = HV_X64_REGISTER_RIP;
    names[23] = HV_X64_REGISTER_RFLAGS;
    names[24] = HV_X64_REGISTER_CR0;
    names[25] = HV_X64_REGISTER_EFER;
    err = registers_get(vp, names, CPU_NAMES, v);
    if (err)
        return err;
    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = v[i].reg64;
    for (unsigned i = 0; i < 6; i++)
        cpu->segment[i] = v[16 + i].segment;
    cpu->rip = v[22].reg64;
    cpu->rflags = v[23].reg64;
    cpu->cr0 = v[24].reg64;
    cpu->efer = v[25].reg64;
    return 0;
}

int hv_vp_load(struct hv_vp *vp, struct hv_cpu *cpu)
{
    int err = 0;

    if (page_valid(vp))
        cpu_from_page(vp->page, cpu);
    else
        err = cpu_from_calls(vp, cpu);
    cpu->cpl = cpu->segment[2].attributes >> 5 & 3; /* SS.DPL */
    return err;
}

int hv_vp_store(struct hv_vp *vp, const struct hv_cpu *cpu)
{
    struct hv_register_assoc regs[18];

    if (page_valid(vp)) {
        memcpy(vp->page->gp_registers, cpu->gpr, sizeof(cpu->gpr));
        vp->page->rip = cpu->rip;
        vp->page->rflags = cpu->rflags;
        vp->page->dirty |= BIT(HV_X64_REGISTER_CLASS_GENERAL) | BIT(HV_X64_REGISTER_CLASS_IP) |
                           BIT(HV_X64_REGISTER_CLASS_FLAGS);
        return 0;
    }
    memset(regs, 0, sizeof(regs));
    for (unsigned i = 0; i < 16; i++) {
        regs[i].name = HV_X64_REGISTER_RAX + i;
        regs[i].value.reg64 = cpu->gpr[i];
    }
    regs[16].name = HV_X64_REGISTER_RIP;
    regs[16].value.reg64 = cpu->rip;
    regs[17].name = HV_X64_REGISTER_RFLAGS;
    regs[17].value.reg64 = cpu->rflags;
    return registers_set(vp, regs, ARRAY_SIZE(regs), NULL);
}

int hv_vp_finish_io(struct hv_vp *vp, uint64_t next_rip, uint64_t rax)
{
    const struct hv_register_assoc regs[] = {
        {.name = HV_X64_REGISTER_RIP, .value = {.reg64 = next_rip}},
        {.name = HV_X64_REGISTER_RAX, .value = {.reg64 = rax}},
    };

    if (!page_valid(vp))
        return registers_set(vp, regs, ARRAY_SIZE(regs), NULL);
    vp->page->gp_registers[0] = rax;
    vp->page->rip = next_rip;
    vp->page->dirty |= BIT(HV_X64_REGISTER_CLASS_GENERAL) | BIT(HV_X64_REGISTER_CLASS_IP);
    return 0;
}

int hv_vp_finish_call(struct hv_vp *vp, const struct hv_exit_call *call, uint64_t result)
{
    struct hv_register_assoc regs[] = {
        {.name = HV_X64_REGISTER_RIP, .value = {.reg64 = call->next_rip}},
        {.name = HV_X64_REGISTER_RAX, .value = {.reg64 = result}},
        {.name = HV_X64_REGISTER_RDX, .value = {.reg64 = result >> 32}},
    };

    if (call->long_mode)
        return registers_set(vp, regs, 2, NULL);
    regs[1].value.reg64 = (uint32_t)result;
    return registers_set(vp, regs, 3, NULL);
}

_Static_assert(HV_ACCESS_READ == HV_TRANSLATE_GVA_VALIDATE_READ, "the same bits");
_Static_assert(HV_ACCESS_WRITE == HV_TRANSLATE_GVA_VALIDATE_WRITE, "the same bits");
_Static_assert(HV_ACCESS_EXECUTE == HV_TRANSLATE_GVA_VALIDATE_EXECUTE, "the same bits");

int hv_vp_translate(struct hv_vp *vp, uint64_t gva, unsigned access, uint64_t *gpa, bool *present)
{
    const struct hv_input_translate_virtual_address in = {
        .vp_index = vp->index,
        .control_flags = access | HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS,
        .gva_page = gva / MSHV_HV_PAGE_SIZE,
    };
    struct hv_output_translate_virtual_address out = {0};
    const struct mshv_call c = {
        HVCALL_TRANSLATE_VIRTUAL_ADDRESS, 0, &in, sizeof(in), &out, sizeof(out)};
    int err = mshv_call(vp->fd, &c, NULL);

    if (err)
        return err;
    switch (out.result_code) {
    case HV_TRANSLATE_GVA_PAGE_NOT_PRESENT:
    case HV_TRANSLATE_GVA_PRIVILEGE_VIOLATION:
    case HV_TRANSLATE_GVA_INVALID_PAGE_TABLE_FLAGS:
        *present = out.result_code != HV_TRANSLATE_GVA_PAGE_NOT_PRESENT;
        return -EFAULT;
    case HV_TRANSLATE_GVA_GPA_NO_WRITE_ACCESS:
    case HV_TRANSLATE_GVA_INTERCEPT:
        return -EAGAIN;
    default: /* that nothing is mapped there is what makes it a device */
        *gpa = out.gpa_page * MSHV_HV_PAGE_SIZE + gva % MSHV_HV_PAGE_SIZE;
        return 0;
    }
}

int hv_vp_raise(struct hv_vp *vp, uint32_t vector, uint32_t error, uint64_t cr2)
{
    bool has_error = vector == HV_EXCEPTION_GP || vector == HV_EXCEPTION_PF;
    struct hv_register_assoc event = {.name = HV_REGISTER_PENDING_EVENT0};

    event.value.reg128[0] = HV_PENDING_EVENT_VALID | (has_error ? HV_PENDING_EVENT_ERROR_CODE : 0) |
                            (uint64_t)vector << HV_PENDING_EVENT_VECTOR_SHIFT |
                            (uint64_t)(has_error ? error : 0) << 32;
    event.value.reg128[1] = cr2;
    return registers_set(vp, &event, 1, NULL);
}

int hv_interrupt(struct hv *hv, const struct hv_interrupt *i)
{
    const struct hv_input_assert_virtual_interrupt in = {
        .control = i->type | (i->level ? HV_INTERRUPT_CONTROL_LEVEL : 0) |
                   (i->logical ? HV_INTERRUPT_CONTROL_LOGICAL : 0),
        .dest_addr = i->destination,
        .vector = i->vector,
    };
    const struct mshv_call c = {HVCALL_ASSERT_VIRTUAL_INTERRUPT, 0, &in, sizeof(in), NULL, 0};

    return mshv_call(hv->partition, &c, NULL);
}
