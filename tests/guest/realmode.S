/* SPDX-License-Identifier: MIT */
/*
 * A program for a processor that has just been started by SIPI: it notes the state it
 * finds, tries real mode, waits for interrupts there, and leaves its findings at 0x400
 * of the page it runs in. Layout: struct real_report in smp.c.
 */

#define REPORT      0x400
#define R_CS        0x400
#define R_FLAGS     0x402
#define R_DS        0x404
#define R_SS        0x406
#define R_CR0       0x408
#define R_CR4       0x40c
#define R_EDX       0x410
#define R_EFER      0x414
#define R_SOFT      0x418 /* software interrupts taken */
#define R_UD        0x41a /* #UD taken */
#define R_FAR_CS    0x41c
#define R_NMI       0x41e
#define R_IRQ       0x420
#define R_STAGE     0x422
#define P_X2APIC    0x424 /* given: the APIC can be used through MSRs */
#define R_WAKES     0x426

#define VECTOR_SOFT 0x21
#define VECTOR_IRQ  0x45

    .section .rodata
    .balign 16
    .code16
    .globl realmode_program, realmode_program_end
realmode_program:
    cli
    mov %ax, %cs:(0x480)            /* AX and EDX are clobbered below: keep them */
    mov %edx, %cs:(R_EDX)
    mov %ds, %ax
    mov %ax, %cs:(R_DS)
    mov %ss, %ax
    mov %ax, %cs:(R_SS)
    mov %cs, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0xf00, %sp
    mov %ax, (R_CS)
    pushf
    pop %ax
    mov %ax, (R_FLAGS)
    mov %cr0, %eax
    mov %eax, (R_CR0)
    mov %cr4, %eax
    mov %eax, (R_CR4)
    mov $0xC0000080, %ecx
    rdmsr
    mov %eax, (R_EFER)
    movw $1, (R_STAGE)

    /* Interrupt vectors at 0:vector*4. */
    xor %ax, %ax
    mov %ax, %es
    movw $(on_soft - realmode_program), %es:(VECTOR_SOFT * 4)
    mov %cs, %es:(VECTOR_SOFT * 4 + 2)
    movw $(on_ud - realmode_program), %es:(6 * 4)
    mov %cs, %es:(6 * 4 + 2)
    movw $(on_nmi - realmode_program), %es:(2 * 4)
    mov %cs, %es:(2 * 4 + 2)
    movw $(on_irq - realmode_program), %es:(VECTOR_IRQ * 4)
    mov %cs, %es:(VECTOR_IRQ * 4 + 2)

    int $VECTOR_SOFT
    int $VECTOR_SOFT
    movw $2, (R_STAGE)
    /* Hypercalls need protected mode. */
    vmmcall
    movw $3, (R_STAGE)
    xor %eax, %eax
    cpuid
    inb $0x61, %al

    /* The same byte of code under another CS. */
    mov %cs, %ax
    sub $0x10, %ax
    push %ax
    mov $(far_target - realmode_program + 0x100), %ax
    push %ax
    lret
far_target:
    mov %cs, %ax
    mov %ax, (R_FAR_CS)
    movw $4, (R_STAGE)

    cmpw $0, (P_X2APIC)
    je 1f
    mov $0x80f, %ecx                /* spurious vector: software enable */
    mov $0x1ff, %eax
    xor %edx, %edx
    wrmsr
1:  movw $5, (R_STAGE)
2:  sti
    hlt
    incw (R_WAKES)
    jmp 2b

on_soft:
    incw %cs:(R_SOFT)
    iret
on_ud:
    incw %cs:(R_UD)
    push %bp
    mov %sp, %bp
    addw $3, 2(%bp)                 /* past VMMCALL */
    pop %bp
    iret
on_nmi:
    incw %cs:(R_NMI)
    iret
on_irq:
    push %eax
    push %ecx
    push %edx
    incw %cs:(R_IRQ)
    mov $0x80b, %ecx                /* EOI */
    xor %eax, %eax
    xor %edx, %edx
    wrmsr
    pop %edx
    pop %ecx
    pop %eax
    iret
realmode_program_end:

    .section .note.GNU-stack, "", @progbits
