#!/bin/bash
# headers.sh - every public header compiles alone, as C and as C++: headers.sh SOURCE-FOLDER
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/tap.sh"
source=$1
warnings=(-Wall -Wextra -Wpedantic -Werror)

# No -D_GNU_SOURCE and no GLib: programs need neither
compile() {
    local compiler=$1 language=$2 standard=$3 header=$4

    echo "#include <miniblk/$header>" |
        "$compiler" -x "$language" -std="$standard" "${warnings[@]}" -I"$source/include" -fsyntax-only -
}

for path in "$source"/include/miniblk/*.h; do
    header=$(basename "$path")
    check "$header alone, as C11" compile cc c c11 "$header"
    check "$header alone, as C++11" compile c++ c++ c++11 "$header"
    check "$header alone, as C++20" compile c++ c++ c++20 "$header"
done
check "all of them together" compile cc c c11 "block.h>
#include <miniblk/driver.h"
check_end
