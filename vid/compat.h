/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_COMPAT_H
#define VID_COMPAT_H

/*
 * What differs between the kernels 6.1 and 7.3. The kernel's own Hyper-V headers define structs of
 * the same names as abi/tlfs; they are included in compat.c and nowhere else.
 */

#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/version.h>

/** Whether hypercalls can be made at all: elsewhere the instruction raises #UD. */
bool vid_compat_hyperv(void);

/** Whether the kernel leaves the end of interrupt of the upcall's vector to the hypervisor. */
bool vid_compat_auto_eoi(void);

/** Routes the hypervisor's upcall interrupt to HANDLER; it runs in hard interrupt context. */
void vid_compat_upcall_set(void (*handler)(void));

/** Takes the handler away. It may still be running elsewhere: synchronize_rcu() waits for it. */
void vid_compat_upcall_clear(void);

static inline void vid_compat_eventfd_signal(struct eventfd_ctx *eventfd)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
    eventfd_signal(eventfd);
#else
    eventfd_signal(eventfd, 1);
#endif
}

static inline void vid_compat_vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
    vm_flags_set(vma, flags);
#else
    vma->vm_flags |= flags;
#endif
}

#endif
