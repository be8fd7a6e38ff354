#!/bin/bash
# gcc-analyzer.sh - what GCC's static analyzer finds in the source: gcc-analyzer.sh SOURCE-FOLDER FOLDER...
# SPDX-License-Identifier: MIT
#
# With optimization functions are looked at in one another, without it each path of each. GCC 12 takes a struct that
# another file's function returns for uninitialised; what really is, clang-tidy and memcheck look for.
. "$(dirname "$0")/each-file.sh"

analyze() {
    local more=(-Werror -fanalyzer -Wno-analyzer-use-of-uninitialized-value -c -o /dev/null)

    gcc "${flags[@]}" -O0 "${more[@]}" "$1" && gcc "${flags[@]}" -O2 "${more[@]}" "$1"
}

each_file gcc analyze "$@"
