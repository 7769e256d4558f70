/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PORT_H
#define PARTITION_PORT_H

#include "hypervisor/partition/partition.h"

/** A partition is finalized: its ports and connections go, and connections of others to them. */
void ports_destroy(struct partition *p);

/**
 * A write of `size` bytes by a child to an address that it has not mapped. True if a doorbell
 * waits there for this size and value: its port has been told, and the write is done.
 */
bool port_doorbell(struct partition *p, gpa_t at, unsigned size, uint64_t value);

#endif
