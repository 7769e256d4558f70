/* SPDX-License-Identifier: MIT */
#ifndef VMWP_HV_MSHV_PRIV_H
#define VMWP_HV_MSHV_PRIV_H

#include "abi/tlfs/synic.h"
#include "vmwp/hv.h"

/* Of hv_mshv.c, hv_mshv_synic.c and hv_exit.c. */

#define VP_MAX 256U

struct hv_vp {
    struct hv *hv;
    uint32_t index;
    int fd;
    struct hv_vp_register_page *page; /* NULL: there is none, registers go by hypercall */
};

struct hv {
    int device;
    int partition; /* -1: none */
    struct hv_vp *vp[VP_MAX];
    uint32_t vp_count;
};

struct mshv_call {
    uint16_t code;
    uint16_t reps;
    const void *in;
    size_t in_size;
    void *out;
    size_t out_size;
};

/** A hypercall through the kernel, which puts the partition's id into its first word. 0, or -errno
 * with *status what the hypervisor said (0: the kernel refused by itself). */
int mshv_call(int fd, const struct mshv_call *c, uint16_t *status);

/** `err` of a hypercall as a sentence. Returns it. */
int mshv_refused(struct problem *why, const char *what, int err, uint16_t status);

/** What a message of the hypervisor says (TLFS "Intercept messages"). */
void hv_exit_decode(const struct hv_message *m, struct hv_exit *exit);

#endif
