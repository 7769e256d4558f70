/* SPDX-License-Identifier: MIT */
#ifndef INTERCEPT_DECODE_H
#define INTERCEPT_DECODE_H

/* The decoder is shared with the worker. */
#include "lib/decode.h"

#endif
