#!/bin/bash
# memcheck.sh - a test program under valgrind: memcheck.sh PROGRAM [-s CASE...]
# SPDX-License-Identifier: MIT
#
# Its cases but for those after -s, which are reported as they are; and exit status 9 if it used what was not initialised or not its own, or
# lost memory. What is still reachable at the end is GLib's.
if ! command -v valgrind >/dev/null; then
    printf '1..1\nnot ok 1 - valgrind is not installed\n'
    exit 1
fi
kinds=definite,indirect,possible
exec valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=$kinds --show-leak-kinds=$kinds \
    --fair-sched=try "$@" --tap
