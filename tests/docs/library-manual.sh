#!/bin/bash
# library-manual.sh - the program in miniblk(3) compiles and works: library-manual.sh SOURCE-FOLDER BUILD-FOLDER
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/tap.sh"
source=$1 build=$2
img=$build/tools/miniblk-img
export LD_LIBRARY_PATH=$build/block
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

# The lines between .nf and .fi, without the escapes of troff
extract() {
    sed -n '/^\.SH EXAMPLE/,/^\.fi/p' "$source/docs/man/miniblk.3" | sed '1,/^\.nf/d; /^\.fi/d' |
        sed 's/\\e/\\/g; s/\\-/-/g; s/\\(aq/'\''/g' >copy.c && grep -q 'int main' copy.c
}

compile() {
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$source/include" -o copy copy.c -L"$build/block" -lminiblk
}

copies() {
    head -c 3000000 /dev/urandom >disk.raw && truncate -s 5M disk.raw && ./copy disk.raw disk.vhd 2>said &&
        "$img" compare -f raw -F vpc disk.raw disk.vhd && "$img" info disk.vhd | grep 'virtual size: 5 MiB (5242880 bytes)'
}

shows_progress() {
    tr '\r' '\n' <said | grep -E '^[1-9][0-9]* of [1-9][0-9]* MiB$' || { cat said; return 1; }
}

says_why_not() {
    ! ./copy nothing.raw other.vhd 2>said && grep -i 'not copied: .*no such file' said || { cat said; return 1; }
}

check "it is a program" extract
check "it compiles without warnings" compile
check "it copies a disk" copies
check "it shows its progress" shows_progress
check "it says why it can not" says_why_not
check_end
