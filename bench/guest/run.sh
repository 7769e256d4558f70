#!/bin/sh
# SPDX-License-Identifier: MIT
# What image/init starts in the measured machine: the workloads, as the host asks for them.
exec /tests/bench
