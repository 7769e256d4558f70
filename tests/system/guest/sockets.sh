#!/bin/sh
# SPDX-License-Identifier: MIT
# What a child of the tests of sockets does: it serves an echo on port 5000, and talks to the host
# by itself; one line "@WORD ..." each.
#   @out      a service that is there
#   @nobody   one on which nobody listens
#   @refused  one that is not allowed
#   @many     eight at once
#   @facts    what the kernel complains of
/tests/talk echo vsock 5000 > /tmp/echo.log &
echo "@out $(/tests/talk to vsock 6000 3000000) ."
echo "@nobody $(/tests/talk to vsock 6001 10) ."
echo "@refused $(/tests/talk to vsock 6002 10) ."
for i in 1 2 3 4 5 6 7 8; do
    /tests/talk to vsock 6000 1000000 > "/tmp/talk$i" &
    eval "talk$i=$!"
done
for i in 1 2 3 4 5 6 7 8; do
    eval "wait \$talk$i"
done
echo "@many $(grep -c '^same 1000000$' /tmp/talk*[0-9] | grep -c ':1$') ."
echo "@facts $(dmesg | grep -E 'BUG:|WARNING|Oops|stall|lockup|blocked for|hv_.*(rror|ail)' |
    head -n 1 | tr ' ' -) ."
echo "@up ."
while :; do
    sleep 100
done
