/* SPDX-License-Identifier: MIT */
#ifndef ABI_VSP_IC_VSS_H
#define ABI_VSP_IC_VSS_H

#include "abi/vsp/ic/icmsg.h"

/* Messages of the backup service. Checked against Linux 6.1 (drivers/hv/hv_snapshot.c). */

enum vss_operation {
    VSS_CREATE = 0,
    VSS_DELETE = 1,
    VSS_HOT_BACKUP = 2, /* can it be done while the guest runs? */
    VSS_GET_DM_INFO = 3,
    VSS_BACKUP_COMPLETE = 4,
    VSS_FREEZE = 5, /* file systems stand still when this is answered */
    VSS_THAW = 6,
    VSS_AUTO_RECOVER = 7,
};

struct vss_message {
    uint8_t operation;
    uint8_t reserved1[7];
    uint32_t flags;
    uint32_t reserved2;
};
IC_LAYOUT(sizeof(struct vss_message) == 16);
IC_LAYOUT(offsetof(struct vss_message, flags) == 8);

#endif
