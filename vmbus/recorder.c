/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vmbus/recorder.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORDS (sizeof(struct vmbus_record) / sizeof(uint64_t))

/*
 * Word 0 is the number, 0 while the rest is being written. All words are atomic, so that a reader
 * that comes at a bad time gets a mixture, sees that the number has changed and drops it. Stores
 * are released one after the other: who sees a word of a record also sees that the number of the
 * one before has gone.
 */
struct slot {
    _Atomic uint64_t word[WORDS];
};

struct vmbus_recorder {
    _Atomic uint64_t next;
    struct slot slots[VMBUS_RECORDER_SLOTS];
};

struct dump_header {
    uint8_t magic[8];
    uint32_t version;
    uint32_t record_size;
    uint32_t count;
    uint32_t reserved;
    uint64_t oldest;
    uint64_t next;
    uint64_t monotonic_ns;
    uint64_t realtime_ns;
};
_Static_assert(sizeof(struct dump_header) == 56, "no holes in what is written");

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

struct vmbus_recorder *vmbus_recorder_create(void)
{
    return calloc(1, sizeof(struct vmbus_recorder));
}

void vmbus_recorder_destroy(struct vmbus_recorder *recorder)
{
    free(recorder);
}

static uint16_t part_copy(struct vmbus_record *r, const void *data, size_t length)
{
    size_t room = VMBUS_RECORD_DATA - r->data_length;
    size_t n = length < room ? length : room;

    if (n > 0)
        memcpy(r->data + r->data_length, data, n);
    return (uint16_t)(r->data_length + n);
}

void vmbus_record(struct vmbus_recorder *recorder, enum vmbus_record_kind kind, uint32_t relid,
                  int result, const void *head, size_t head_length, const void *data, size_t length)
{
    uint64_t number = atomic_fetch_add_explicit(&recorder->next, 1, memory_order_relaxed) + 1;
    struct slot *slot = &recorder->slots[number % VMBUS_RECORDER_SLOTS];
    struct vmbus_record r = {.time_ns = now_ns(CLOCK_MONOTONIC),
                             .kind = (uint16_t)kind,
                             .relid = relid,
                             .result = result,
                             .length = (uint32_t)(head_length + length)};
    uint64_t words[WORDS];

    r.data_length = part_copy(&r, head, head_length);
    r.data_length = part_copy(&r, data, length);
    memcpy(words, &r, sizeof(words));
    atomic_store_explicit(&slot->word[0], 0, memory_order_relaxed);
    for (unsigned i = 1; i < WORDS; i++)
        atomic_store_explicit(&slot->word[i], words[i], memory_order_release);
    atomic_store_explicit(&slot->word[0], number, memory_order_release);
}

/* Copy a record out; false: it is not there, or not whole. */
static bool slot_read(struct slot *slot, uint64_t number, struct vmbus_record *out)
{
    uint64_t words[WORDS];

    for (unsigned i = 0; i < WORDS; i++)
        words[i] = atomic_load_explicit(&slot->word[i], memory_order_acquire);
    if (words[0] != number || atomic_load_explicit(&slot->word[0], memory_order_acquire) != number)
        return false;
    memcpy(out, words, sizeof(*out));
    return true;
}

static int write_all(int fd, const void *data, size_t length)
{
    const uint8_t *at = data;

    while (length > 0) {
        ssize_t n = write(fd, at, length);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            at += n;
            length -= (size_t)n;
        }
    }
    return 0;
}

int vmbus_recorder_dump(struct vmbus_recorder *recorder, int fd)
{
    struct vmbus_record *records = calloc(VMBUS_RECORDER_SLOTS, sizeof(*records));
    uint64_t end = atomic_load_explicit(&recorder->next, memory_order_acquire) + 1;
    uint64_t first = end > VMBUS_RECORDER_SLOTS ? end - VMBUS_RECORDER_SLOTS : 1;
    struct dump_header h = {.magic = {'B', 'H', 'V', 'M', 'B', 'R', 'E', 'C'},
                            .version = VMBUS_RECORDER_VERSION,
                            .record_size = sizeof(*records),
                            .oldest = first,
                            .next = end,
                            .monotonic_ns = now_ns(CLOCK_MONOTONIC),
                            .realtime_ns = now_ns(CLOCK_REALTIME)};
    int err;

    if (!records)
        return -ENOMEM;
    for (uint64_t n = first; n < end; n++)
        h.count += slot_read(&recorder->slots[n % VMBUS_RECORDER_SLOTS], n, &records[h.count]);
    err = write_all(fd, &h, sizeof(h));
    if (!err)
        err = write_all(fd, records, h.count * sizeof(*records));
    free(records);
    return err;
}
