/* SPDX-License-Identifier: MIT */
/*
 * Entry from a Multiboot 1 or 2 loader on the boot processor: 32-bit protected
 * mode, paging off, EAX = loader magic, EBX = physical address of its
 * information. Builds a 4 GiB identity map that is visible at three places
 * (identity, direct map, image) and calls boot_main() in long mode.
 *
 * Below it, the real-mode start of the other processors.
 */
#define IMAGE_BASE 0xffffffff80000000
#define PHYS(x)    ((x) - IMAGE_BASE)

#define MB1_MAGIC 0x1badb002
#define MB1_FLAGS 0x3 /* modules page-aligned, memory map wanted */
#define MB2_MAGIC 0xe85250d6

#define CR0_PE 0x1
#define CR0_WP 0x10000
#define CR0_PG 0x80000000
#define CR0_NE 0x20
#define CR0_MP 0x2
#define CR0_ET 0x10
#define CR0_BOOT (CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE)
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME_NXE 0x900

#define PTE_TABLE 0x3  /* present, writable */
#define PTE_LARGE 0x83 /* present, writable, 2 MiB leaf */

#define UART_SPINS 100000 /* a UART that is stuck must not stop the message */

#define BOOT_CODE64 0x08
#define BOOT_DATA   0x10

    .section .multiboot, "a"
    .balign 8
    .long MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)
    .balign 8
mb2_header:
    .long MB2_MAGIC, 0, mb2_end - mb2_header, -(MB2_MAGIC + (mb2_end - mb2_header))
    /* Console: EGA text is understood. */
    .balign 8
    .word 4, 1
    .long 12, 2
    /* A frame buffer is welcome, whatever its size: UEFI has no text mode. */
    .balign 8
    .word 5, 1
    .long 20, 0, 0, 0
    /* Modules page-aligned. */
    .balign 8
    .word 6, 0
    .long 8
    .balign 8
    .word 0, 0
    .long 8
mb2_end:

    .section .boot.text, "ax"
    .code32
    .global boot_entry32
boot_entry32:
    cli
    cld
    movl %eax, %ebp
    movl $PHYS(boot_stack_top), %esp

    /* Long mode and no-execute present? Without them there is no other code that could tell. */
    movl $0x80000000, %eax
    pushl %ebx
    cpuid
    cmpl $0x80000001, %eax
    jb no_long_mode
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx
    jnc no_long_mode
    btl $20, %edx
    jnc no_long_mode
    popl %ebx

    /* Four page directories of 2 MiB leaves: 0 .. 4 GiB. */
    movl $PHYS(boot_pd), %edi
    movl $PTE_LARGE, %eax
    movl $2048, %ecx
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b

    /* One PDPT serves identity and direct map, the other the image at -2 GiB. */
    movl $PHYS(boot_pdpt), %edi
    movl $(PHYS(boot_pd) + PTE_TABLE), %eax
    movl $4, %ecx
2:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    loop 2b
    movl $(PHYS(boot_pd) + PTE_TABLE), PHYS(boot_pdpt_image) + 510 * 8

    movl $(PHYS(boot_pdpt) + PTE_TABLE), PHYS(boot_pml4)
    movl $(PHYS(boot_pdpt) + PTE_TABLE), PHYS(boot_pml4) + 256 * 8
    movl $(PHYS(boot_pdpt_image) + PTE_TABLE), PHYS(boot_pml4) + 511 * 8

    movl $PHYS(boot_pml4), %eax
    movl %eax, %cr3
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $MSR_EFER, %ecx
    movl $EFER_LME_NXE, %eax
    xorl %edx, %edx
    wrmsr
    movl $CR0_BOOT, %eax
    movl %eax, %cr0
    lgdt PHYS(boot_gdt_pointer)
    ljmp $BOOT_CODE64, $PHYS(enter64)

no_long_mode:
    movl $0xb8000, %edi
    movl $(80 * 25), %ecx
    movw $0x0720, %ax
    rep stosw
    movl $PHYS(no_long_mode_text), %esi
    movl $0xb8000, %edi
    movb $0x4f, %ah
3:  lodsb
    testb %al, %al
    jz 4f
    cmpb $' ', %al
    jb 8f
    stosw
8:
    movl $0x3fd, %edx
    movb %al, %bl
    movl $UART_SPINS, %ecx
5:  inb %dx, %al
    testb $0x20, %al
    loopz 5b
    movb %bl, %al
    movl $0x3f8, %edx
    outb %al, %dx
    jmp 3b
4:  cli
    hlt
    jmp 4b

    .code64
enter64:
    movabsq $boot_enter_high, %rax
    jmp *%rax
boot_enter_high:
    movl $BOOT_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movq $boot_stack_top, %rsp
    movl %ebp, %edi
    movl %ebx, %esi
    xorl %ebp, %ebp
    call boot_main
6:  cli
    hlt
    jmp 6b

/*
 * Real-mode start of another processor, copied to a page below 1 MiB; CS is
 * that page. The fields at its end are filled in by smp.c. Goes to long mode
 * in one step, then to smp_entry() on the stack given.
 */
    .code16
    .global smp_trampoline, smp_trampoline_end
    .global smp_trampoline_gdt, smp_trampoline_jump, smp_trampoline_cr3, smp_trampoline_stack
smp_trampoline:
    cli
    movw %cs, %ax
    movw %ax, %ds
    lgdtl smp_trampoline_gdt - smp_trampoline
    movl smp_trampoline_cr3 - smp_trampoline, %eax
    movl %eax, %cr3
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $MSR_EFER, %ecx
    movl $EFER_LME_NXE, %eax
    xorl %edx, %edx
    wrmsr
    movl smp_trampoline_stack - smp_trampoline, %esi
    movl smp_trampoline_stack + 4 - smp_trampoline, %edi
    movl $CR0_BOOT, %eax
    movl %eax, %cr0
    ljmpl *(smp_trampoline_jump - smp_trampoline)
    .balign 8
smp_trampoline_gdt:
    .word boot_gdt_end - boot_gdt - 1
    .long PHYS(boot_gdt)
smp_trampoline_jump:
    .long PHYS(smp_enter64)
    .word BOOT_CODE64
    .balign 4
smp_trampoline_cr3:
    .long 0
    .balign 8
smp_trampoline_stack:
    .quad 0
smp_trampoline_end:

    .code64
smp_enter64:
    movabsq $smp_enter_high, %rax
    jmp *%rax
smp_enter_high:
    movl $BOOT_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    /* The stack is mapped only in the final page tables. */
    movq space_root(%rip), %rax
    movq %rax, %cr3
    movl %esi, %esp
    shlq $32, %rdi
    orq %rdi, %rsp
    xorl %ebp, %ebp
    call smp_entry
7:  cli
    hlt
    jmp 7b

    .section .rodata
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff
    .quad 0x00cf92000000ffff
boot_gdt_end:
    .balign 4
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long PHYS(boot_gdt)
no_long_mode_text:
    .asciz "bulkhead: cannot start: the processor has no 64-bit mode or no NX. The machine is halted.\r\n"

    .section .bss
    .balign 4096
    .global boot_pml4
boot_pml4:
    .skip 4096
boot_pdpt:
    .skip 4096
boot_pdpt_image:
    .skip 4096
boot_pd:
    .skip 4 * 4096
    .skip 16384
    .global boot_stack_top
boot_stack_top:
    .section .note.GNU-stack, "", @progbits
