#!/bin/bash
# amalgamation.sh - miniblk.c and miniblk.h are a whole library: amalgamation.sh SOURCE-FOLDER BUILD-FOLDER
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../docs/tap.sh"
source=$1 made=$2/amalgamation
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
read -ra glib <<<"$(pkg-config --cflags --libs glib-2.0)"

# compile_program NAME SOURCE FLAG...: one command, with the header by its own name
compile_program() {
    sed 's|<miniblk/block.h>|"miniblk.h"|' "$2" >"$1.c" &&
        cc -std=c11 -O1 -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Werror -I"$made" \
            -o "$1" "$made/miniblk.c" "$1.c" "${@:3}" "${glib[@]}" -pthread
}

readme_example() {
    sed -n '/^```c$/,/^```$/p' "$source/README.md" | grep -v '^```' >readme.c && compile_program hello readme.c
}

says_hello() {
    [[ $(./hello) == 'Hello, world!' ]] && "${made%/amalgamation}/tools/miniblk-img" info hello.vhd | grep '^file format: vpc$'
}

calls_its_own() {
    [[ $(./names) == 'our calls are ours' ]] || { ./names; return 1; }
}

# Public names, and others with a prefix
names() {
    cc -c -O0 -o miniblk.o -I"$made" "$made/miniblk.c" "${glib[@]}" &&
        nm miniblk.o | awk 'NF == 3 && $2 ~ /[A-Z]/ { print $3 }' | LC_ALL=C sort >all &&
        diff "$source/tests/docs/exported.list" <(grep -v '^miniblk_' all)
}

make_alone() {
    cp -r "$source/examples/makefile" makefile &&
        make -C makefile alone AMALGAMATION="$made" CFLAGS='-std=c11 -O0 -Wall -Werror' &&
        makefile/alone hello.vhd | grep '^67108864 bytes, cannot be booted$'
}

header_alone() {
    echo '#include "miniblk.h"' >alone.c && cc -std=c99 -Wall -Wextra -Wpedantic -Werror -I"$made" -c alone.c &&
        c++ -x c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -I"$made" -c alone.c
}

check "README's example and miniblk.c are compiled by one command, without a warning" readme_example
check "the example runs, and the tools read its image" says_hello
check "a program with some of the library's inner names compiles" compile_program names "$source/tests/install/names.c"
check "and each calls its own" calls_its_own
check "it has the names that the shared library exports, and all others begin with miniblk_" names
check "miniblk.h compiles alone, as C99 and C++11" header_alone
check "the example of a Makefile builds with it, and reads the image" make_alone
check_end
