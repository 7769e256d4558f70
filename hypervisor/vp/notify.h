/* SPDX-License-Identifier: MIT */
#ifndef VP_NOTIFY_H
#define VP_NOTIFY_H

#include "abi/tlfs/intercept.h"
#include "abi/tlfs/synic.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/vp/vp.h"

/*
 * How a child's VP tells its parent of an intercept (TLFS "Intercept Messages"): the message goes
 * into the VP's own intercept message page, the registers into its register page, the VP stands
 * still, and a VP of the parent gets an "opaque intercept" message in SINT 0 as soon as that
 * slot is free. Everything but the retry is called on the LP that runs the child's VP.
 */

/** SINTs of the parent that the hypervisor itself sends to. */
#define SINT_INTERCEPT 0
#define SINT_DOORBELL  5

/** A segment register as messages show it. */
void notify_segment(const struct vp *vp, enum seg s, struct hv_x64_segment_register *out);

/** Fill the part that all intercept messages begin with. `access` is HV_INTERCEPT_ACCESS_*. */
void notify_header(struct vp *vp, struct hv_x64_intercept_message_header *h, uint8_t insn_len,
                   uint8_t access);

/**
 * Send the intercept and suspend the VP; `payload` is the message's, at most 240 bytes. RIP stands
 * where the parent shall see it.
 */
void notify_intercept(struct vp *vp, uint32_t type, const void *payload, size_t len);

/** The parent's VP has a free slot again: called by synic_retry(). */
void notify_retry(struct vp *parent_vp);

/** The child's VP is going away: forget what its parent has not been told. */
void notify_cancel(struct vp *vp);

#endif
