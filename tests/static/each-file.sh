# each-file.sh - a test case for each source file in some folders
# SPDX-License-Identifier: MIT
. "$(dirname "${BASH_SOURCE[0]}")/../docs/tap.sh"

# What a compiler needs to know to read them
read -ra flags < <(pkg-config --cflags glib-2.0)
flags+=(-std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -Iinclude '-DMINIBLK_MODULE_FOLDER="/usr/lib/miniblk"')

# each_file PROGRAM FUNCTION SOURCE-FOLDER FOLDER...: FUNCTION gets a file, and fails or prints what is wrong with it
each_file() {
    local program=$1 function=$2 file

    cd "$3" || exit 1
    shift 3
    if ! command -v "$program" >/dev/null; then
        printf '1..1\nnot ok 1 - %s is not installed\n' "$program"
        exit 1
    fi
    for file in $(find "$@" -name '*.c' | sort); do
        check "$file" "$function" "$file"
    done
    check_end
}
