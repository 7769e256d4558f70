/* SPDX-License-Identifier: MIT */
/*
 * Programs for children, copied to guest physical address 0x1000 and started there in real mode
 * with all segments at 0. They report through ports, which their parent answers.
 */
    .section .rodata
    .balign 16
    .code16

    /* Each kind of intercept once: OUT, IN, a read and a write of unmapped memory, HLT, interrupt. */
    .globl child_basic, child_basic_end
child_basic:
    mov $0x80, %dx
    mov $0x42, %al
    out %al, %dx                    /* 1: OUT 0x80, 1 byte */
    in $0x81, %ax                   /* 2: IN 0x81, 2 bytes; the parent answers 0xbeef */
    out %ax, $0x82                  /* 3: what came in */
    mov $0x9000, %ax
    mov %ax, %ds
    mov (0x10), %bl                 /* 4: read of 0x90010, which is not mapped */
    mov %bl, (0x14)                 /* 5: write of 0x90014 */
    xor %ax, %ax
    mov %ax, %ds
    movw $(irq - child_basic + 0x1000), (0x45 * 4)
    movw $0, (0x45 * 4 + 2)
    mov $0x7000, %sp
    sti
    hlt                             /* absorbed; the parent sends vector 0x45 */
    cli
    movb (0x500), %al
    out %al, $0x83                  /* 6: interrupts taken */
    lidt (0x600)                    /* an empty table */
    ud2                             /* 7: triple fault */
irq:
    incb (0x500)
    iret
child_basic_end:

    /* Does nothing but counts at 0x2000, for ever. */
    .globl child_spin, child_spin_end
child_spin:
    incl (0x2000)
    jmp child_spin
child_spin_end:

    /* Answers questions about itself: CPUID of EAX, ECX as the parent sets them. */
    .globl child_cpuid, child_cpuid_end
child_cpuid:
    cpuid
    out %al, $0x84
    jmp child_cpuid
child_cpuid_end:

    /*
     * Touches pages that its parent has closed, each in one way: read, write, execution, then what
     * the hypervisor does for it: the input of a hypercall. Pages of the hypervisor may lie there.
     */
    .globl child_demand, child_demand_end
child_demand:
    mov (0x8010), %al
    mov %al, (0x9004)
    movb %al, (0xa008)
    mov $(1f - child_demand + 0x1000), %bx
    mov $0xb000, %cx
    jmp *%cx                        /* the parent has put JMP BX there */
1:
    incl (0x2000)
    mov $0x40000000, %ecx           /* guest OS id */
    mov $1, %eax
    xor %edx, %edx
    wrmsr
    mov $0x40000001, %ecx           /* hypercall page */
    mov $0xc001, %eax
    wrmsr
    mov $0x40000083, %ecx           /* SIMP */
    mov $0xe001, %eax
    wrmsr
    mov $0x40000080, %ecx           /* SCONTROL */
    mov $1, %eax
    wrmsr
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    xor %ebx, %ebx
    mov $0xd000, %ecx               /* input */
    xor %esi, %esi
    xor %edi, %edi
    mov $8, %eax                    /* HvCallNotifyLongSpinWait */
    xor %edx, %edx
    vmmcall
    out %ax, $0x86                  /* its status */
    mov (0xe200), %ax
    out %ax, $0x87                  /* the type of the message in SINT 2 */
2:
    jmp 2b
child_demand_end:
    /* Reads and writes MSRs, asks CPUID; what its parent intercepts, it also answers. */
    .globl child_msr, child_msr_end
child_msr:
    mov $0xc0000101, %ecx           /* GS_BASE: native, unless it is asked for */
    rdmsr                           /* 1: intercepted; the parent answers 0x1234 */
    out %ax, $0x85                  /* 2 */
    mov $0x5678, %eax
    xor %edx, %edx
    wrmsr                           /* 3: intercepted */
    mov $0xc0000100, %ecx           /* FS_BASE is the child's own */
    mov $0x4000, %eax
    wrmsr
    xor %eax, %eax
    rdmsr
    out %ax, $0x86                  /* 4: 0x4000 */
    mov $0x40000000, %eax
    xor %ecx, %ecx
    cpuid                           /* 5: intercepted; the parent changes EBX */
    mov %bx, %ax
    out %ax, $0x87                  /* 6 */
    mov $0xc0000101, %ecx
    rdmsr                           /* nothing is intercepted any more */
    out %ax, $0x88                  /* 7: the write did not happen */
    hlt
child_msr_end:

    /* Exceptions, some of which its parent intercepts. */
    .globl child_except, child_except_end
child_except:
    movw $(ud - child_except + 0x1000), (6 * 4)
    movw $0, (6 * 4 + 2)
    mov $0x7000, %sp
    xor %ax, %ax
    ud2                             /* 1: intercepted; the parent moves on */
    out %ax, $0x85                  /* 2: 0, not delivered */
    ud2                             /* 3: intercepted; the parent injects it */
    out %ax, $0x86                  /* 4: 1 */
    mov $0x12345678, %ecx
    rdmsr                           /* 5: #GP, which the hypervisor raises */
    ud2                             /* not intercepted any more */
    out %ax, $0x87                  /* 6: one more */
    hlt
ud:
    inc %ax
    push %bp
    mov %sp, %bp
    addw $2, 2(%bp)                 /* behind the UD2 */
    pop %bp
    iret
child_except_end:

    /* Comes to be able to take an interrupt, then messages; frees a slot. */
    .globl child_window, child_window_end
child_window:
    out %al, $0x85                  /* 1 */
    sti
    nop
    nop                             /* the parent waits for this */
    xor %edx, %edx
    mov $0x40000083, %ecx           /* SIMP */
    mov $0xe001, %eax
    wrmsr
    mov $0x40000080, %ecx           /* SCONTROL: SINT 2 can take messages */
    mov $1, %eax
    wrmsr
    out %al, $0x86                  /* 2: the parent fills the slot */
    movl $0, (0xe200)
    mov $0x40000084, %ecx           /* EOM */
    xor %eax, %eax
    wrmsr
    out %al, $0x87                  /* 3 */
    hlt
child_window_end:

    .code64
