/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_RECORDER_H
#define VMBUS_RECORDER_H

#include <stddef.h>
#include <stdint.h>

/*
 * The flight recorder of a VM: the last things that went over its VMBus, in a ring of fixed size
 * that any thread writes without a lock. A dump is, little-endian:
 *
 *   header   "BHVMBREC", version u32, bytes of a record u32, records in this dump u32, zero u32,
 *            number of the oldest record u64, number of the next record u64,
 *            monotonic time of the dump in ns u64, the same moment in ns since 1970 u64
 *   records  struct vmbus_record, oldest first; gaps in `number` are records that were being
 *            written while the dump was made
 *
 * tools/vmbus-decode prints it.
 */

#define VMBUS_RECORDER_VERSION 1U
#define VMBUS_RECORDER_SLOTS   4096U
#define VMBUS_RECORD_DATA      96U

enum vmbus_record_kind {
    VMBUS_RECORD_MESSAGE = 1,  /* the guest has posted; result: what it was answered */
    VMBUS_RECORD_POST = 2,     /* a message for the guest; result of posting */
    VMBUS_RECORD_RECEIVE = 3,  /* a packet of the guest: descriptor, then what follows it */
    VMBUS_RECORD_SEND = 4,     /* a packet for the guest: type, flags, transaction, data */
    VMBUS_RECORD_SIGNAL = 5,   /* the guest is interrupted */
    VMBUS_RECORD_OPEN = 6,     /* the VSP was asked to open; result */
    VMBUS_RECORD_CLOSE = 7,    /* the VSP has closed */
    VMBUS_RECORD_BROKEN = 8,   /* the ring makes no sense */
    VMBUS_RECORD_RETARGET = 9, /* value: VP */
    VMBUS_RECORD_RESET = 10,   /* the host has reset the VM */
};

struct vmbus_record {
    uint64_t number; /* from 1 on */
    uint64_t time_ns;
    uint16_t kind;
    uint16_t data_length; /* bytes of data here */
    uint32_t relid;       /* 0: none */
    int32_t result;
    uint32_t length; /* of the whole */
    uint8_t data[VMBUS_RECORD_DATA];
};
_Static_assert(sizeof(struct vmbus_record) == 128, "a record has whole cache lines");

struct vmbus_recorder;

/** NULL: out of memory. */
struct vmbus_recorder *vmbus_recorder_create(void);
void vmbus_recorder_destroy(struct vmbus_recorder *recorder);

/** Record `length` bytes in two parts, as many as there is room for. Any thread; no system call. */
void vmbus_record(struct vmbus_recorder *recorder, enum vmbus_record_kind kind, uint32_t relid,
                  int result, const void *head, size_t head_length, const void *data,
                  size_t length);

/** Write a dump to a file, pipe or socket. 0 or -errno. */
int vmbus_recorder_dump(struct vmbus_recorder *recorder, int fd);

#endif
