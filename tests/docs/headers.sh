#!/bin/bash
# headers.sh - every public header compiles alone and beside GLib's, as C and as C++: headers.sh SOURCE-FOLDER
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/tap.sh"
source=$1
read -ra glib <<<"$(pkg-config --cflags glib-2.0)"

# compile COMPILER LANGUAGE STANDARD HEADER...: no -D_GNU_SOURCE, which programs need not have
compile() {
    local header

    for header in "${@:4}"; do
        echo "#include <$header>"
    done | "$1" -x "$2" -std="$3" -Wall -Wextra -Wpedantic -Werror -I"$source/include" "${glib[@]}" \
        -fsyntax-only -
}

# compile_ways COMPILER LANGUAGE STANDARD HEADER: alone, twice, behind <glib.h>, and before it but in C99
compile_ways() {
    compile "$@" && compile "$@" "$4" && compile "${@:1:3}" glib.h "$4" && { [[ $3 == c99 ]] || compile "$@" glib.h; }
}

for path in "$source"/include/miniblk/*.h; do
    header=miniblk/$(basename "$path")
    for standard in c99 c11 c17 c2x; do
        check "$header as $standard" compile_ways cc c "$standard" "$header"
    done
    for standard in c++11 c++14 c++17 c++20; do
        check "$header as $standard" compile_ways c++ c++ "$standard" "$header"
    done
done
check "all of them together" compile cc c c11 miniblk/block.h miniblk/driver.h
check_end
