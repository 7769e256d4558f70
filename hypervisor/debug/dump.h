/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_DUMP_H
#define DEBUG_DUMP_H

struct lp;

/** The newest `entries` of an LP's trace ring, oldest first. */
void dump_trace(const struct lp *lp, unsigned entries);

/** A key typed on the hypervisor's console: prints the matching dump, or the list of keys. */
void dump_key(int key);

#endif
