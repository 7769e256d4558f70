// SPDX-License-Identifier: GPL-2.0-only
/* The only file that includes the kernel's own Hyper-V headers. It includes none of abi/. */
#include <linux/kernel.h>
#include <linux/version.h>
#include <asm/hypervisor.h>
#include <asm/mshyperv.h>
#include "compat.h"

bool vid_compat_hyperv(void)
{
    return hypervisor_is_type(X86_HYPER_MS_HYPERV);
}

bool vid_compat_auto_eoi(void)
{
    return !(ms_hyperv.hints & HV_DEPRECATING_AEOI_RECOMMENDED);
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)

void vid_compat_upcall_set(void (*handler)(void))
{
    hv_setup_mshv_handler(handler);
}

void vid_compat_upcall_clear(void)
{
    hv_setup_mshv_handler(NULL);
}

#else

/* There is one slot, the VMBus driver's, which finds no VMBus in a parent partition. */
void vid_compat_upcall_set(void (*handler)(void))
{
    hv_setup_vmbus_handler(handler);
}

void vid_compat_upcall_clear(void)
{
    hv_remove_vmbus_handler();
}

#endif
