#!/bin/bash
# archive.sh - the static library as one object without its inner names: archive.sh IN OUT FOLDER OBJCOPY AR CC...
# SPDX-License-Identifier: MIT
#
# IN is the library with all names. OUT has the names of the public headers only, so that a program may have functions
# and variables of the other names.
set -euo pipefail
in=$1 out=$2 folder=$3 objcopy=$4 ar=$5
shift 5
mkdir -p "$folder"
"$@" -r -nostdlib -Wl,--whole-archive "$in" -Wl,--no-whole-archive -o "$folder/miniblk.o"
"$objcopy" --localize-hidden "$folder/miniblk.o"
rm -f "$out"
"$ar" rcs "$out" "$folder/miniblk.o"
