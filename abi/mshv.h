/* SPDX-License-Identifier: MIT */
#ifndef ABI_MSHV_H
#define ABI_MSHV_H

/*
 * The user interface of /dev/mshv, as Linux 7.3 publishes it: three kinds of descriptors (the
 * device, a partition, a virtual processor), each with its ioctls. Nothing here is Bulkhead's own.
 */

#include <linux/ioctl.h>
#include <linux/types.h>

#ifndef __cplusplus
#define MSHV_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define MSHV_LAYOUT(cond) static_assert(cond, #cond)
#endif

#define MSHV_IOCTL        0xB8
#define MSHV_HV_PAGE_SIZE 0x1000

/* The device. */
enum {
    MSHV_PT_BIT_LAPIC,
    MSHV_PT_BIT_X2APIC,
    MSHV_PT_BIT_GPA_SUPER_PAGES,
    MSHV_PT_BIT_CPU_AND_XSAVE_FEATURES, /* the argument is a mshv_create_partition_v2 */
    MSHV_PT_BIT_NESTED_VIRTUALIZATION,
    MSHV_PT_BIT_SMT_ENABLED_GUEST,
    MSHV_PT_BIT_COUNT,
};
#define MSHV_PT_FLAGS_MASK ((1 << MSHV_PT_BIT_COUNT) - 1)

enum { MSHV_PT_ISOLATION_NONE, MSHV_PT_ISOLATION_COUNT };

#define MSHV_NUM_CPU_FEATURES_BANKS 2

struct mshv_create_partition {
    __u64 pt_flags;
    __u64 pt_isolation;
};
MSHV_LAYOUT(sizeof(struct mshv_create_partition) == 16);

/** The same ioctl number; features that are set here are taken away from the guest. */
struct mshv_create_partition_v2 {
    __u64 pt_flags;
    __u64 pt_isolation;
    __u16 pt_num_cpu_fbanks;
    __u8 pt_rsvd[6];
    __u64 pt_cpu_fbanks[MSHV_NUM_CPU_FEATURES_BANKS];
    __u64 pt_rsvd1[2];
    __u64 pt_disabled_xsave;
};
MSHV_LAYOUT(sizeof(struct mshv_create_partition_v2) == 64);

#define MSHV_CREATE_PARTITION _IOW(MSHV_IOCTL, 0x00, struct mshv_create_partition)

/* A partition. */
struct mshv_create_vp {
    __u32 vp_index;
};

enum {
    MSHV_SET_MEM_BIT_WRITABLE,
    MSHV_SET_MEM_BIT_EXECUTABLE,
    MSHV_SET_MEM_BIT_UNMAP,
    MSHV_SET_MEM_BIT_COUNT
};
#define MSHV_SET_MEM_FLAGS_MASK ((1 << MSHV_SET_MEM_BIT_COUNT) - 1)

/** Bytes and addresses are multiples of 4 KiB; regions do not overlap in the guest. */
struct mshv_user_mem_region {
    __u64 size;
    __u64 guest_pfn;
    __u64 userspace_addr;
    __u8 flags;
    __u8 rsvd[7];
};
MSHV_LAYOUT(sizeof(struct mshv_user_mem_region) == 32);

enum { MSHV_IRQFD_BIT_DEASSIGN, MSHV_IRQFD_BIT_RESAMPLE, MSHV_IRQFD_BIT_COUNT };
#define MSHV_IRQFD_FLAGS_MASK ((1 << MSHV_IRQFD_BIT_COUNT) - 1)

struct mshv_user_irqfd {
    __s32 fd;
    __s32 resamplefd;
    __u32 gsi;
    __u32 flags;
};
MSHV_LAYOUT(sizeof(struct mshv_user_irqfd) == 16);

enum {
    MSHV_IOEVENTFD_BIT_DATAMATCH,
    MSHV_IOEVENTFD_BIT_PIO,
    MSHV_IOEVENTFD_BIT_DEASSIGN,
    MSHV_IOEVENTFD_BIT_COUNT,
};
#define MSHV_IOEVENTFD_FLAGS_MASK ((1 << MSHV_IOEVENTFD_BIT_COUNT) - 1)

struct mshv_user_ioeventfd {
    __u64 datamatch;
    __u64 addr;
    __u32 len; /* 0, 1, 2, 4 or 8 bytes */
    __s32 fd;
    __u32 flags;
    __u8 rsvd[4];
};
MSHV_LAYOUT(sizeof(struct mshv_user_ioeventfd) == 32);

struct mshv_user_irq_entry {
    __u32 gsi;
    __u32 address_lo;
    __u32 address_hi;
    __u32 data;
};

struct mshv_user_irq_table {
    __u32 nr;
    __u32 rsvd;
#ifndef __cplusplus
    struct mshv_user_irq_entry entries[];
#endif
};
MSHV_LAYOUT(sizeof(struct mshv_user_irq_table) == 8);

enum { MSHV_GPAP_ACCESS_TYPE_ACCESSED, MSHV_GPAP_ACCESS_TYPE_DIRTY, MSHV_GPAP_ACCESS_TYPE_COUNT };
enum {
    MSHV_GPAP_ACCESS_OP_NOOP,
    MSHV_GPAP_ACCESS_OP_CLEAR,
    MSHV_GPAP_ACCESS_OP_SET,
    MSHV_GPAP_ACCESS_OP_COUNT
};

/** One bit for each page from gpap_base on. */
struct mshv_gpap_access_bitmap {
    __u8 access_type;
    __u8 access_op;
    __u8 rsvd[6];
    __u64 page_count;
    __u64 gpap_base;
    __u64 bitmap_ptr;
};
MSHV_LAYOUT(sizeof(struct mshv_gpap_access_bitmap) == 32);

/** A hypercall from the allow-list; the partition id in the input is filled in by the kernel. */
struct mshv_root_hvcall {
    __u16 code;
    __u16 reps;
    __u16 in_sz;
    __u16 out_sz;
    __u16 status;
    __u8 rsvd[6];
    __u64 in_ptr;
    __u64 out_ptr;
};
MSHV_LAYOUT(sizeof(struct mshv_root_hvcall) == 32);

#define MSHV_INITIALIZE_PARTITION   _IO(MSHV_IOCTL, 0x00)
#define MSHV_CREATE_VP              _IOW(MSHV_IOCTL, 0x01, struct mshv_create_vp)
#define MSHV_SET_GUEST_MEMORY       _IOW(MSHV_IOCTL, 0x02, struct mshv_user_mem_region)
#define MSHV_IRQFD                  _IOW(MSHV_IOCTL, 0x03, struct mshv_user_irqfd)
#define MSHV_IOEVENTFD              _IOW(MSHV_IOCTL, 0x04, struct mshv_user_ioeventfd)
#define MSHV_SET_MSI_ROUTING        _IOW(MSHV_IOCTL, 0x05, struct mshv_user_irq_table)
#define MSHV_GET_GPAP_ACCESS_BITMAP _IOWR(MSHV_IOCTL, 0x06, struct mshv_gpap_access_bitmap)
#define MSHV_ROOT_HVCALL            _IOWR(MSHV_IOCTL, 0x07, struct mshv_root_hvcall)

/* A virtual processor. */
#define MSHV_RUN_VP_BUF_SZ 256

/** On success holds a struct hv_message (abi/tlfs/synic.h, intercept.h). */
struct mshv_run_vp {
    __u8 msg_buf[MSHV_RUN_VP_BUF_SZ];
};

/* mmap() of a VP's descriptor at such an offset times the page size shows its state page. */
enum {
    MSHV_VP_MMAP_OFFSET_REGISTERS,
    MSHV_VP_MMAP_OFFSET_INTERCEPT_MESSAGE,
    MSHV_VP_MMAP_OFFSET_GHCB,
    MSHV_VP_MMAP_OFFSET_COUNT
};

enum {
    MSHV_VP_STATE_LAPIC,
    MSHV_VP_STATE_XSAVE,
    MSHV_VP_STATE_SIMP,
    MSHV_VP_STATE_SIEFP,
    MSHV_VP_STATE_SYNTHETIC_TIMERS,
    MSHV_VP_STATE_COUNT,
};

/** The buffer is page aligned, in size as well. */
struct mshv_get_set_vp_state {
    __u8 type;
    __u8 rsvd[3];
    __u32 buf_sz;
    __u64 buf_ptr;
};
MSHV_LAYOUT(sizeof(struct mshv_get_set_vp_state) == 16);

#define MSHV_RUN_VP       _IOR(MSHV_IOCTL, 0x00, struct mshv_run_vp)
#define MSHV_GET_VP_STATE _IOWR(MSHV_IOCTL, 0x01, struct mshv_get_set_vp_state)
#define MSHV_SET_VP_STATE _IOWR(MSHV_IOCTL, 0x02, struct mshv_get_set_vp_state)

#undef MSHV_LAYOUT

#endif
