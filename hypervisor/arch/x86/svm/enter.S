/* SPDX-License-Identifier: MIT */
/*
 * void svm_enter(struct vp_regs *regs, uint64_t guest_vmcb, uint64_t host_vmcb)
 *
 * Called with GIF=0 and IF=0, returns so. The guest's RAX, RSP, RIP and RFLAGS
 * are in its VMCB; VMSAVE/VMLOAD exchange FS, GS, TR, LDTR and the system call
 * MSRs, the host's from host_vmcb. IF is 1 across VMRUN: with V_INTR_MASKING the
 * host's IF decides whether a physical interrupt makes the guest exit.
 */
#define REG(n) (8 * (n))
    .text
    .global svm_enter
svm_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdx
    pushq %rdi
    movq %rsi, %rax
    movq REG(1)(%rdi), %rcx
    movq REG(2)(%rdi), %rdx
    movq REG(3)(%rdi), %rbx
    movq REG(5)(%rdi), %rbp
    movq REG(6)(%rdi), %rsi
    movq REG(8)(%rdi), %r8
    movq REG(9)(%rdi), %r9
    movq REG(10)(%rdi), %r10
    movq REG(11)(%rdi), %r11
    movq REG(12)(%rdi), %r12
    movq REG(13)(%rdi), %r13
    movq REG(14)(%rdi), %r14
    movq REG(15)(%rdi), %r15
    movq REG(7)(%rdi), %rdi
    sti
    vmload %rax
    vmrun %rax
    vmsave %rax
    cli
    pushq %rdi
    movq 8(%rsp), %rdi
    movq %rcx, REG(1)(%rdi)
    movq %rdx, REG(2)(%rdi)
    movq %rbx, REG(3)(%rdi)
    movq %rbp, REG(5)(%rdi)
    movq %rsi, REG(6)(%rdi)
    popq REG(7)(%rdi)
    movq %r8, REG(8)(%rdi)
    movq %r9, REG(9)(%rdi)
    movq %r10, REG(10)(%rdi)
    movq %r11, REG(11)(%rdi)
    movq %r12, REG(12)(%rdi)
    movq %r13, REG(13)(%rdi)
    movq %r14, REG(14)(%rdi)
    movq %r15, REG(15)(%rdi)
    popq %rdi
    popq %rax
    vmload %rax
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    cld
    ret
    .section .note.GNU-stack, "", @progbits
