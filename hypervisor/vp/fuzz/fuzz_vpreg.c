/* SPDX-License-Identifier: MIT */
/*
 * A parent sets any registers of a child's VP, writes anything into its register page, and
 * replaces its APIC's state and extended state. Afterwards the state must be one that the
 * processor takes, and what a register shows can be written back.
 */
#include "hypervisor/arch/x86/xsave_format.h"
#include "tests/unit/shim_vpreg.h"

#define STEPS     64U
#define AREA_SIZE 0x4000U

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            panic("%s:%d: %s\n", __FILE__, __LINE__, #cond);                                       \
    } while (0)

/* Nothing is intercepted here. */
void child_exception(struct vp *v, const struct exit *exit)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
};

static void take(struct input *in, void *to, size_t len)
{
    size_t n = in->size < len ? in->size : len;

    memset(to, 0, len);
    memcpy(to, in->data, n);
    in->data += n;
    in->size -= n;
}

/* Most random names do not exist: bring them near to those that do. */
static uint32_t near_name(uint32_t raw)
{
    static const uint32_t bases[] = {0,       0x100,   0x200,   0x10000, 0x20000, 0x30000,
                                     0x40000, 0x41000, 0x50000, 0x60000, 0x70000, 0x80000,
                                     0x84800, 0x90000, 0xA0000, 0xB0000};

    return bases[raw % ARRAY_SIZE(bases)] + (raw >> 8 & 0xff);
}

static void set_register(struct vp *vp, struct input *in)
{
    union hv_register_value v, shown, again;
    uint32_t raw, name;

    take(in, &raw, sizeof(raw));
    take(in, &v, sizeof(v));
    name = raw & BIT(31) ? raw : near_name(raw);
    if (vpreg_set(vp, name, &v))
        return;
    CHECK(!vpreg_get(vp, name, &shown));
    CHECK(!vpreg_set(vp, name, &shown) || name == HV_REGISTER_PENDING_EVENT1);
    CHECK(!vpreg_get(vp, name, &again));
}

static void use_page(struct vp *vp, struct input *in)
{
    vpreg_page_fill(vp);
    take(in, &shim_page.dirty, sizeof(shim_page.dirty));
    take(in, shim_page.gp_registers, 512);
    vpreg_page_take(vp);
    CHECK(!shim_page.isvalid && !shim_page.dirty);
}

static void use_apic(struct vp *vp, struct input *in)
{
    struct hv_local_interrupt_controller_state s;

    take(in, &s, sizeof(s));
    vapic_state_set(vp, &s);
    vapic_state_get(vp, &s);
    CHECK(!((s.apic_irr[0] | s.apic_isr[0] | s.apic_tmr[0]) & 0xffff));
}

static void use_xsave(struct vp *vp, struct input *in)
{
    static uint8_t area[AREA_SIZE];
    uint64_t states;
    uint16_t len;

    take(in, &states, sizeof(states));
    take(in, &len, sizeof(len));
    len %= AREA_SIZE;
    take(in, area, len);
    if (!xstate_import(vp->xstate, area, len))
        CHECK(xstate_export(vp->xstate, ~0ULL, area, AREA_SIZE));
    xstate_export(vp->xstate, states, area, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct vp *vp = shim_vpreg_start();

    for (unsigned i = 0; i < STEPS && in.size; i++) {
        uint8_t what;

        take(&in, &what, sizeof(what));
        switch (what % 8) {
        case 0:
            use_page(vp, &in);
            break;
        case 1:
            use_apic(vp, &in);
            break;
        case 2:
            use_xsave(vp, &in);
            break;
        case 3:
            svm_set_consistent(vp);
            break;
        default:
            set_register(vp, &in);
        }
        CHECK(shim_vmcb_sound(&shim_vmcb));
        CHECK(!(vp->regs.rflags >> 22) && (vp->regs.rflags & RFLAGS_FIXED));
        CHECK(xsave_xcr0_valid(xstate_xcr0(vp->xstate)));
    }
    return 0;
}
