/* SPDX-License-Identifier: MIT */
#ifndef GUEST_RT_HV_H
#define GUEST_RT_HV_H

#include "abi/tlfs/cpuid.h"
#include "abi/tlfs/hypercall.h"
#include "abi/tlfs/msr.h"
#include "abi/tlfs/partition.h"
#include "abi/tlfs/status.h"
#include "abi/tlfs/synic.h"
#include "abi/tlfs/vp.h"
#include "tests/guest/rt/rt.h"

/* The synthetic half of the runtime: hypercalls, SynIC, synthetic timers. */

bool hv_present(void);
/** HV_PARTITION_PRIVILEGE_MASK as CPUID shows it, and EDX of the features leaf. */
uint64_t hv_privileges(void);
uint32_t hv_features_edx(void);

/* Parts of the control word of a hypercall, and of its result. */
#define HC_FAST         HV_HYPERCALL_FAST_BIT
#define HC_VARHEAD(n)   ((uint64_t)(n) << HV_HYPERCALL_VARHEAD_OFFSET)
#define HC_REPS(n)      ((uint64_t)(n) << HV_HYPERCALL_REP_COMP_OFFSET)
#define HC_START(n)     ((uint64_t)(n) << HV_HYPERCALL_REP_START_OFFSET)
#define HC_STATUS(r)    ((uint32_t)((r)&HV_HYPERCALL_RESULT_MASK))
#define HC_REPS_DONE(r) hv_hypercall_rep_count(r)

/** Identify ourselves and enable the hypercall page; true if calls can be made. Idempotent. */
bool hv_hypercall_enable(void);
void hv_hypercall_disable(void);
/** Page that holds the hypercall code once enabled. */
extern uint8_t hv_hypercall_page[4096];

/** Raw call through the page: RCX, RDX, R8 as given; RAX as returned. */
uint64_t hv_call(uint64_t control, uint64_t input, uint64_t output);
/** As above, and with an explicit VMMCALL at this place instead of the page. */
uint64_t hv_vmmcall(uint64_t control, uint64_t input, uint64_t output);

/** Per-CPU scratch pages for input and output, 4 KiB each. */
void *hv_input_page(void);
void *hv_output_page(void);
#define PA(p) ((uint64_t)(p))

/** Switch this CPU's SynIC on with zeroed pages (all SINTs masked), or everything off. */
void hv_synic_enable(void);
void hv_synic_disable(void);
volatile struct hv_message *hv_message_slot(unsigned sint);
/** Payload of a timer message in that slot. */
volatile struct hv_timer_message_payload *hv_timer_message(unsigned sint);
volatile struct hv_synic_event_flags *hv_event_flags(unsigned sint);
void hv_sint_set(unsigned sint, uint64_t value);
/** Free a message slot; write EOM if the hypervisor has more. */
void hv_message_done(unsigned sint);

/** Time by the reference counter MSR, 100 ns units. */
uint64_t hv_ref_time(void);
void hv_stimer_start(unsigned timer, uint64_t config, uint64_t count);
void hv_stimer_stop(unsigned timer);

#define STIMER_VECTOR(v) ((uint64_t)(v) << HV_STIMER_VECTOR_SHIFT)
#define STIMER_SINT(n)   ((uint64_t)(n) << HV_STIMER_SINT_SHIFT)
#define STIMER_CONFIG(n) (HV_X64_MSR_STIMER0_CONFIG + 2 * (n))
#define STIMER_VALUE(n)  (HV_X64_MSR_STIMER0_COUNT + 2 * (n))

#endif
