/* SPDX-License-Identifier: MIT */
#ifndef VMWP_HV_MSHV_PRIV_H
#define VMWP_HV_MSHV_PRIV_H

#include "abi/tlfs/synic.h"
#include "vmwp/hv.h"

/** What a message of the hypervisor says (TLFS "Intercept messages"). */
void hv_exit_decode(const struct hv_message *m, struct hv_exit *exit);

#endif
