/* SPDX-License-Identifier: MIT */
#ifndef TESTS_VID_DEMAND_H
#define TESTS_VID_DEMAND_H

#include "tests/vid/machine.h"

/** Cases of guest memory that is mapped on demand. */
extern const struct machine_case demand_cases[];
extern const size_t demand_case_count;

#endif
