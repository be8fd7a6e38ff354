#!/bin/bash
# clang-tidy.sh - what clang-tidy finds in the source: clang-tidy.sh SOURCE-FOLDER FOLDER...
# SPDX-License-Identifier: MIT
#
# .clang-tidy has the checks. The library is for threads, so there are some more for it; programs may exit(). Of a
# function with very many paths the analyzer follows as many as 50,000 nodes of its graph allow, and not the 225,000 of
# its default, which take three times as long.
. "$(dirname "$0")/each-file.sh"

fewer=(-Xclang -analyzer-config -Xclang max-nodes=50000)

tidy() {
    local more=()

    [[ $1 == block/* || $1 == util/* ]] && more=('--checks=concurrency-*')
    clang-tidy --quiet "${more[@]}" "$1" -- "${flags[@]}" "${fewer[@]}"
}

each_file clang-tidy tidy "$@"
