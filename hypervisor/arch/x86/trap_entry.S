/* SPDX-License-Identifier: MIT */
/* 256 entry stubs of 16 bytes, the common path to trap_handler(), and the safe MSR accessors. */
    .text
    .balign 16
    .global trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    pushq $0
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

    .balign 16
trap_common:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    xorl %ebp, %ebp
    call trap_handler
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq

    /* A faulting address and where to go on instead. */
    .macro fixup from, to
    .pushsection .fixup_table, "a"
    .quad \from, \to
    .popsection
    .endm

    /* int cpu_rdmsr_safe(uint32_t msr, uint64_t *v) */
    .global cpu_rdmsr_safe
cpu_rdmsr_safe:
    movl %edi, %ecx
1:  rdmsr
    shlq $32, %rdx
    orq %rdx, %rax
    movq %rax, (%rsi)
    xorl %eax, %eax
    ret
    fixup 1b, msr_fault

    /* int cpu_wrmsr_safe(uint32_t msr, uint64_t v) */
    .global cpu_wrmsr_safe
cpu_wrmsr_safe:
    movl %edi, %ecx
    movl %esi, %eax
    movq %rsi, %rdx
    shrq $32, %rdx
2:  wrmsr
    xorl %eax, %eax
    ret
    fixup 2b, msr_fault

msr_fault:
    movl $-1, %eax /* -EPERM */
    ret
    .section .note.GNU-stack, "", @progbits
