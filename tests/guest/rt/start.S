/* SPDX-License-Identifier: MIT */
/*
 * Entry of the test kernels. Two ways in: the Linux 64-bit boot protocol (image
 * start + 0x200, RSI = boot_params), which is what the hypervisor's loader speaks,
 * and multiboot (32-bit), to run the same kernel on the bare virtual host. An image that
 * is linked at 1 MiB, where loaders of the 16-bit boot protocol put it, also has that one:
 * this is how QEMU starts what is measured (bench/child).
 */

#define MB_MAGIC 0x1BADB002
#define MB_FLAGS 0x00000003 /* page-aligned modules, memory information */

#define SEL_CODE32 0x08
#define SEL_CODE64 0x10
#define SEL_DATA   0x18

#define CR0_PE_PG    0x80000011
#define CR4_PAE      0x20
#define MSR_EFER     0xC0000080
#define EFER_LME_NXE 0x900

    /* Linux boot sector: only the setup header has meaning. */
    .section .setup, "a"
setup:
    .org setup + 0x1f1
    .byte 1                       /* setup_sects */
    .word 0                       /* root_flags */
    .long image_paragraphs              /* syssize */
    .word 0, 0, 0
    .word 0xAA55
    .byte 0xeb, 0x66              /* jump to setup_code: the end of this header */
    .ascii "HdrS"
    .word 0x020f                  /* version */
    .long 0                       /* realmode_swtch */
    .word 0, 0                    /* start_sys_seg, kernel_version */
    .byte 0                       /* type_of_loader */
    .byte 1                       /* loadflags: LOADED_HIGH */
    .word 0                       /* setup_move_size */
    .long image_start             /* code32_start */
    .long 0, 0, 0                 /* ramdisk_image, ramdisk_size, bootsect_kludge */
    .word 0                       /* heap_end_ptr */
    .byte 0, 0                    /* ext_loader_ver, ext_loader_type */
    .long 0                       /* cmd_line_ptr */
    .long 0x7fffffff              /* initrd_addr_max */
    .long 0x200000                /* kernel_alignment */
    .byte 1                       /* relocatable_kernel */
    .byte 21                      /* min_alignment */
    .word 1                       /* xloadflags: XLF_KERNEL_64 */
    .long 2047                    /* cmdline_size */
    .long 0                       /* hardware_subarch */
    .quad 0                       /* hardware_subarch_data */
    .long 0, 0                    /* payload_offset, payload_length */
    .quad 0                       /* setup_data */
    .quad image_start             /* pref_address */
    .long image_memory            /* init_size */
    .long 0                       /* handover_offset */
    /* In real mode with DS = the place of this sector, which has the form of boot_params. */
    .code16
setup_code:
    cli
    xor %esi, %esi
    mov %ds, %si
    shl $4, %esi
    lgdtl %ds:(setup_gdtr - setup)
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $SEL_CODE32, $entry_setup
setup_gdtr:
    .word 0x1f
    .long boot_gdt
    .org setup + 0x400

    .section .head, "ax"
    .code32
    .globl entry32
entry32:
    jmp 1f
    .balign 4
    .long MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)
1:  cli
    mov $boot_stack_end, %esp
    mov %eax, boot_magic
    mov %ebx, boot_info
    mov $CR4_PAE, %eax
    mov %eax, %cr4
    mov $boot_pml4, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME_NXE, %eax
    wrmsr
    mov $CR0_PE_PG, %eax
    mov %eax, %cr0
    lgdt boot_gdtr
    ljmp $SEL_CODE64, $entry_common

    .org entry32 + 0x200
    .code64
entry64:
    cli
    lea entry32(%rip), %rax
    cmp $image_start, %rax
    jne misplaced
    movl $0, boot_magic
    mov %rsi, boot_info
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME_NXE, %eax
    wrmsr
    mov $boot_pml4, %rax
    mov %rax, %cr3
    lgdt boot_gdtr
    mov $boot_stack_end, %esp
    push $SEL_CODE64
    push $entry_common
    lretq

entry_common:
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov $boot_stack_end, %esp
    /* The loader owes us init_size bytes of memory, not zeroes in it. */
    mov $bss_start, %edi
    mov $bss_end, %ecx
    sub %edi, %ecx
    rep stosb
    mov boot_magic, %edi
    mov boot_info, %rsi
    call rt_main
2:  cli
    hlt
    jmp 2b

    /* Loaded away from the link address: say so on the serial port and stop. */
misplaced:
    lea misplaced_text(%rip), %rsi
    mov $0x3f8, %edx
3:  lodsb
    test %al, %al
    jz 2b
    out %al, %dx
    jmp 3b
misplaced_text:
    .asciz "FAIL boot: image is not at its preferred address\n"

    .text
    .code32
entry_setup:
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %esi, %ebx
    xor %eax, %eax
    jmp entry32

    .code64
    /*
     * One stub per vector, 16 bytes each, leaving {vector, error code} above the
     * interrupted frame. The second table is for when interrupts may arrive on the
     * vectors of exceptions: interrupts push no error code.
     */
    .macro stub vector, has_code
    .balign 16
    .if \has_code == 0
    push $0
    .endif
    push $\vector
    jmp trap_common
    .endm

    .balign 16
    .globl trap_stubs
trap_stubs:
    .set v, 0
    .rept 256
    .if v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21 || v == 29 || v == 30
    stub v, 1
    .else
    stub v, 0
    .endif
    .set v, v + 1
    .endr

    .balign 16
    .globl trap_stubs_plain
trap_stubs_plain:
    .set v, 16
    .rept 16
    stub v, 0
    .set v, v + 1
    .endr

trap_common:
    cld
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    mov %rsp, %rbx
    and $-16, %rsp
    call trap_handler
    mov %rbx, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq

    /* int user_enter(user rip, user rsp, *saved rsp): runs at CPL 3 until the next trap. */
    .globl user_enter
user_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdx)
    mov $0x2b, %eax /* user data, RPL 3 */
    push %rax
    push %rsi
    push $2         /* RFLAGS: interrupts off */
    push $0x33      /* user code, RPL 3 */
    push %rdi
    iretq
    /* The trap handler resumes here with RSP = *saved rsp and EAX = the vector. */
    .globl user_return
user_return:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

    /*
     * Start of an application processor, copied to a page below 1 MiB and entered in
     * real mode at CS:0. The words at ap_cr3 .. ap_arg are filled in by smp.c.
     */
    .section .rodata
    .balign 16
    .code16
    .globl ap_trampoline, ap_trampoline_end, ap_params
ap_trampoline:
    cli
    mov %cs, %ax
    mov %ax, %ds
    lgdtl %ds:(ap_gdtr - ap_trampoline)
    mov $CR4_PAE, %eax
    mov %eax, %cr4
    mov %ds:(ap_cr3 - ap_trampoline), %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME_NXE, %eax
    wrmsr
    mov $CR0_PE_PG, %eax
    mov %eax, %cr0
    ljmpl $SEL_CODE64, $ap_entry64
    .balign 8
ap_gdtr:
    .word 0x1f
    .long boot_gdt
    .balign 8
ap_params:
ap_cr3:
    .quad boot_pml4
ap_trampoline_end:

    .text
    .code64
ap_entry64:
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov ap_start_stack(%rip), %rsp
    mov ap_start_cpu(%rip), %rdi
    call ap_main
4:  cli
    hlt
    jmp 4b

    .data
    .balign 8
boot_info:
    .quad 0
boot_magic:
    .long 0, 0
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* SEL_CODE32 */
    .quad 0x00af9b000000ffff /* SEL_CODE64 */
    .quad 0x00cf93000000ffff /* SEL_DATA */
boot_gdtr:
    .word 0x1f
    .quad boot_gdt

    /*
     * Identity map of the first 4 GiB in 2 MiB pages, open to user mode; the fourth
     * GiB holds devices and is uncached. Slot 1 of the PML4 is free for mem_map_test().
     */
    .balign 4096
    .globl boot_pml4, test_pd, test_pt
boot_pml4:
    .quad boot_pdpt + 7
    .quad test_pdpt + 7
    .fill 510, 8, 0
boot_pdpt:
    .quad boot_pd + 7, boot_pd + 0x1007, boot_pd + 0x2007, boot_pd + 0x3007
    .fill 508, 8, 0
boot_pd:
    .set pa, 0
    .rept 1536
    .quad pa + 0x87
    .set pa, pa + 0x200000
    .endr
    .rept 512
    .quad pa + 0x9f
    .set pa, pa + 0x200000
    .endr
test_pdpt:
    .quad test_pd + 7
    .fill 511, 8, 0
test_pd:
    .quad test_pt + 7
    .fill 511, 8, 0
test_pt:
    .fill 512, 8, 0

    .bss
    .balign 16
boot_stack:
    .skip 32768
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
