/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_SCSI_H
#define TESTS_UNIT_SHIM_SCSI_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include "lib/bits.h"
#include "vsp/storage/scsi_priv.h"

/*
 * A logical unit on its own, and a short way to send it CDBs. `out` is what the guest has in its
 * buffer, `data` what comes back.
 */

#define DISK_BLOCKS 0x10000ULL
#define BLOCK       512U

static struct scsi_device dev;
static struct scsi_task task;
static uint8_t data[SCSI_DATA_MAX], out[SCSI_DATA_MAX];
static const uint8_t vm_a[RESERVE_ID_SIZE] = "vm a";

static inline void shim_unit(enum scsi_kind kind)
{
    dev = (struct scsi_device){
        .kind = kind,
        .identity = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD,
                     0xEE, 0xFF, 0x01},
        .transfer_max = 8U << 20,
        .medium = {.blocks = DISK_BLOCKS,
                   .block_size = kind == SCSI_DISK ? BLOCK : 2048,
                   .discard_blocks = kind == SCSI_DISK ? 8 : 0,
                   .read_only = kind != SCSI_DISK},
        .write_cache = true,
    };
    memset(out, 0, sizeof(out));
}

static inline void run_as(const uint8_t *who, enum scsi_direction direction, uint32_t buffer,
                          const uint8_t *cdb, unsigned length)
{
    task = (struct scsi_task){.direction = direction,
                              .buffer_length = buffer,
                              .cdb_length = (uint8_t)length,
                              .initiator = who,
                              .luns = 1,
                              .data = data};
    memcpy(task.cdb, cdb, length);
    memset(data, 0xEE, sizeof(data));
    task.data_length = scsi_parameters(&dev, &task);
    assert_true(task.data_length <= buffer && task.data_length <= SCSI_DATA_MAX);
    memcpy(data, out, task.data_length);
    scsi_execute(&dev, &task);
    assert_true(task.data_length <= SCSI_DATA_MAX);
}

/* A command with a buffer of `n` bytes for what it returns. */
#define IN(n, ...)                                                                                 \
    run_as(vm_a, SCSI_DATA_IN, n, (const uint8_t[]){__VA_ARGS__},                                  \
           sizeof((const uint8_t[]){__VA_ARGS__}))
/* With the first `n` bytes of `out`. */
#define OUT(n, ...)                                                                                \
    run_as(vm_a, SCSI_DATA_OUT, n, (const uint8_t[]){__VA_ARGS__},                                 \
           sizeof((const uint8_t[]){__VA_ARGS__}))
#define NO(...)                                                                                    \
    run_as(vm_a, SCSI_NO_DATA, 0, (const uint8_t[]){__VA_ARGS__},                                  \
           sizeof((const uint8_t[]){__VA_ARGS__}))

static inline void check_good(uint32_t length)
{
    assert_int_equal(task.status, SCSI_GOOD);
    assert_int_equal(task.io.kind, SCSI_IO_NONE);
    assert_int_equal(task.data_length, length);
}

static inline void check_sense(uint8_t key, uint16_t asc)
{
    assert_int_equal(task.status, SCSI_CHECK_CONDITION);
    assert_int_equal(task.key, key);
    assert_int_equal(task.asc, asc);
    assert_int_equal(task.io.kind, SCSI_IO_NONE);
    assert_int_equal(task.data_length, 0);
}

static inline void check_io(enum scsi_io_kind kind, uint64_t offset, uint64_t length)
{
    assert_int_equal(task.status, SCSI_GOOD);
    assert_int_equal(task.io.kind, kind);
    assert_int_equal(task.io.offset, offset);
    assert_int_equal(task.io.length, length);
}

#endif
