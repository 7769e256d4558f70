#!/bin/sh
# SPDX-License-Identifier: MIT
# The measured child, started by image/init: its disk is read and written as lines of the console
# tell, "DIRECTION BLOCK DEPTH SECONDS", until "quit". Answers: STORAGE RESULT IOPS OPERATIONS.
stty -echo
for disk in /dev/sd? /dev/vd?; do
    [ ! -b "$disk" ] || break
done
[ -b "$disk" ] || echo "STORAGE ERROR no disk"
# shellcheck source=bench/child/fio.sh
. /tests/fio.sh
while echo "STORAGE READY" && read -r line; do
    [ "$line" = quit ] && exit 0
    # shellcheck disable=SC2086 # the line is four words
    run_fio "$disk" $line
done
