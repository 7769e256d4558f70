#!/bin/sh
# SPDX-License-Identifier: MIT
# What image/init starts in the measured host: lines of the console as commands, one at a time.
stty -echo
export PATH="$PATH:/tests"
while echo "BENCH READY" && read -r line; do
    [ "$line" = quit ] && exit 0
    eval "$line"
    echo "BENCH DONE $?"
done
