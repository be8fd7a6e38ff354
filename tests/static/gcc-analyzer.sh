#!/bin/bash
# gcc-analyzer.sh - what GCC's static analyzer finds in the source: gcc-analyzer.sh SOURCE-FOLDER FOLDER...
# SPDX-License-Identifier: MIT
#
# With optimization functions are looked at in one another, without it each path of each.
. "$(dirname "$0")/each-file.sh"

analyze() {
    gcc "${flags[@]}" -O0 -Werror -fanalyzer -c -o /dev/null "$1" && gcc "${flags[@]}" -O2 -Werror -fanalyzer -c -o /dev/null "$1"
}

each_file gcc analyze "$@"
