#!/bin/sh
# SPDX-License-Identifier: MIT
# The guest's side of the system tests: takes lines "NUMBER COMMAND" from the console, runs each
# COMMAND in this shell and closes its output with "@NUMBER STATUS". The line "end" ends it.
stty -echo
. ./checks.sh
echo "@ready"
while read -r number command; do
    [ "$number" != end ] || break
    eval "$command"
    echo "@$number $?"
done
