/* SPDX-License-Identifier: MIT */
#ifndef TESTS_VID_EVENT_H
#define TESTS_VID_EVENT_H

#include "tests/vid/machine.h"

/** Cases of eventfds that a guest signals by hypercall. */
extern const struct machine_case event_cases[];
extern const size_t event_case_count;

#endif
