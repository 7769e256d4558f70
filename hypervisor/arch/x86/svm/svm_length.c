/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/svm/svm_priv.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/intercept/decode.h"
#include "hypervisor/vp/walk.h"

/*
 * Processors with nRIP save tell where the next instruction is. On the others the
 * bytes must be looked at, because prefixes may stand before the opcode. That costs
 * a walk of the guest's page tables, so the answer is remembered by address: a
 * guest that changes the code under it misleads nobody but itself.
 */

#define CPUID_NRIP_SAVE BIT(3)

static bool has_next_rip;

void svm_length_init(uint32_t svm_features)
{
    has_next_rip = svm_features & CPUID_NRIP_SAVE;
}

static uint8_t look(struct vp *vp, enum insn_simple kind, uint8_t usual)
{
    uint8_t bytes[INSN_MAX];
    int length = decode_length_simple(bytes, walk_fetch(vp, bytes, sizeof(bytes)), kind);

    return length > 0 ? (uint8_t)length : usual;
}

uint8_t svm_insn_length(struct vp *vp, uint8_t kind, uint8_t usual)
{
    const struct vmcb *c = vp->arch->vmcb;
    /* User code of different processes shares addresses, the kernel's does not. */
    uint64_t key = (c->cs.base + vp->regs.rip) ^ (c->cpl ? c->cr3 << 16 : 0);
    struct svm_length *slot = &vp->arch->lengths[key % SVM_LENGTHS];

    if (has_next_rip)
        return (uint8_t)(c->next_rip - vp->regs.rip);
    if (!slot->length || slot->key != key || slot->kind != kind) {
        slot->key = key;
        slot->kind = kind;
        slot->length = look(vp, (enum insn_simple)kind, usual);
    }
    return slot->length;
}
