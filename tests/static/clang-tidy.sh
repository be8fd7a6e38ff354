#!/bin/bash
# clang-tidy.sh - what clang-tidy finds in the source: clang-tidy.sh SOURCE-FOLDER FOLDER...
# SPDX-License-Identifier: MIT
#
# .clang-tidy has the checks. The library is for threads, so there are some more for it; programs may exit().
. "$(dirname "$0")/each-file.sh"

tidy() {
    local more=()

    [[ $1 == block/* || $1 == util/* ]] && more=('--checks=concurrency-*')
    clang-tidy --quiet "${more[@]}" "$1" -- "${flags[@]}"
}

each_file clang-tidy tidy "$@"
