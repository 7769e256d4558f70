/* SPDX-License-Identifier: MIT */
#ifndef TESTS_GUEST_CHILDREN_H
#define TESTS_GUEST_CHILDREN_H

#include "abi/tlfs/intercept.h"
#include "abi/tlfs/management.h"
#include "tests/guest/rt/hv.h"

/*
 * The test kernel as a parent: it creates children by hypercalls, runs small real-mode programs in
 * them (child_code.S), answers their intercepts, and takes everything back. Its own memory serves
 * as theirs. What goes wrong fails the case that runs.
 */

#define POOL_PAGES   2048U
#define MEMORY_START (96ULL << 20) /* pages that children use as their memory */
#define CODE_GPA     0x1000ULL
#define GUEST_PAGES  16U
#define ALL_RWX                                                                                    \
    (HV_MAP_GPA_READABLE | HV_MAP_GPA_WRITABLE | HV_MAP_GPA_KERNEL_EXECUTABLE |                    \
     HV_MAP_GPA_USER_EXECUTABLE)

struct child {
    uint64_t id;
    uint64_t memory; /* physical address of its first page */
    struct hv_message *message[4];
    struct hv_vp_register_page *registers[4];
};

/** Pages that are ours now: a stack of frame numbers, and how many it has if nothing is deposited.
 */
extern uint64_t pool[];
extern unsigned pool_count, pool_total;

/** A hypercall with its input and output in memory; the status. `out` may be NULL. */
uint16_t parent_call(uint16_t code, const void *in, size_t size, void *out, size_t out_size);
/** The same for calls that take a partition id; memory is deposited as it is needed. */
uint16_t partition_call(uint16_t code, uint64_t id);

void pool_fill(void);
/** Deposit `count` pages; the status of the call. */
uint16_t pool_deposit(uint64_t id, unsigned count);
/** Take back all that is free there; the number of pages. */
unsigned pool_withdraw(uint64_t id);
struct hv_output_get_memory_balance pool_balance(uint64_t id);

/** An initialized partition without VPs; false if that failed. */
bool child_create(struct child *c);
/** A child with one VP and GUEST_PAGES pages at 0, of which the second holds a program. */
bool child_with_program(struct child *c, unsigned n, const uint8_t *code, const uint8_t *end);
/** Every pool that exists is emptied, and the child is gone. */
void child_destroy(struct child *c);
bool child_vp_create(struct child *c, uint32_t vp);

uint16_t child_map(struct child *c, uint64_t gpa, uint64_t pa, unsigned count, uint32_t flags);
uint16_t child_unmap(struct child *c, uint64_t gpa, unsigned count);
/** Take pages away without a word to the hypervisor of what is there. */
uint16_t child_close(struct child *c, uint64_t gpa, unsigned count, uint32_t flags);

struct hv_register_assoc child_reg(uint32_t name, uint64_t value);
void child_set(struct child *c, uint32_t vp, const struct hv_register_assoc *list, unsigned count);
uint64_t child_get(struct child *c, uint32_t vp, uint32_t name);

/** Let a VP go on. */
void child_run(struct child *c, uint32_t vp);
/** The same, behind the instruction of the message. */
void child_go_on(struct child *c, const struct hv_x64_intercept_message_header *h, unsigned len);

/** SynIC of this CPU ready for intercepts, or no longer. */
void parent_listen(void);
void parent_stop_listening(void);

/** The next intercept of VP 0, and one that must be an access to this port; NULL if it does not
 * come. */
struct hv_message *child_intercept(struct child *c);
struct hv_x64_io_port_intercept_message *child_io(struct child *c, uint16_t port);

#endif
