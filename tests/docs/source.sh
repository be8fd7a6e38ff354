#!/bin/bash
# source.sh - what the source and the library promise of themselves: source.sh SOURCE-FOLDER LIBMINIBLK.SO [MODULE...]
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/tap.sh"
cd "$1" || exit 1
source=$PWD
library=$2
shift 2
modules=("$@")

code_files() {
    find . \( -name .git -o -name 'build*' \) -prune -o -type f \
        \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.[1-8]' -o -path ./run -o -path ./test -o -path ./.ci/run \) -print
}

# Fails and says so if anything comes in
nothing() {
    local lines

    lines=$(cat)
    [[ -z $lines ]] || { echo "$lines"; return 1; }
}

spdx() {
    code_files | xargs grep -cE 'SPDX-License-Identifier: MIT( \*/)?$' | grep -v ':1$' | sed 's/:/: SPDX lines: /' | nothing
}

head_comment() {
    find block util tools include examples tests -name '*.[ch]' -exec awk '
        FNR == 1 {
            name = FILENAME
            sub(/.*\//, "", name)
            if (index($0, "/* " name " - ") != 1) print FILENAME " does not begin with \047/* " name " - ...\047"
        }' {} + | nothing
}

# The names that a library exports, without the name of a version
names_of() {
    nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $NF); print $NF }' | LC_ALL=C sort
}

exported() {
    names_of "$library" | grep -v '^bdrv_\|^block_' | nothing
}

exported_list() {
    diff "$source/tests/docs/exported.list" <(names_of "$library")
}

# Every name that the headers declare for programs is in the list, and the other way round
declared_list() {
    diff "$source/tests/docs/exported.list" <(cat include/miniblk/*.h | gcc -fpreprocessed -dD -E -P -x c - |
        grep -oE '\b(bdrv|block)_[a-z0-9_]+\(' | tr -d '(' | LC_ALL=C sort -u)
}

has_version() {
    nm -D --defined-only "$library" | awk '$2 != "A" { print $NF }' | grep -v '@@MINIBLK_0$' | nothing
}

# The static library has no other names than the shared one
archive_names() {
    diff <(names_of "$library") \
         <(nm --defined-only -g "${library%.so}.a" | awk 'NF == 3 { print $NF }' | LC_ALL=C sort)
}

module_exports() {
    local module

    for module in "${modules[@]}"; do
        [[ $(names_of "$module") == miniblk_module ]] || { echo "$module exports:"; names_of "$module"; return 1; }
    done
}

# What is built as a module sees of the library what every module sees
modules_are_outside() {
    grep -nE '^#include "' block/protocol/nbd/*.[ch] | grep -vE '"(block/protocol/nbd|util)/' | nothing
}

# The list in HACKING.md, and what the library and its modules really take from there
glib_subset() {
    diff <(sed -n '/^```glib/,/^```$/p' HACKING.md | grep -o 'g_[a-z0-9_]*' | LC_ALL=C sort -u) \
         <(nm -D --undefined-only "$library" "${modules[@]}" | awk '{ sub(/@.*/, "", $NF); print $NF }' | grep '^g_' |
           LC_ALL=C sort -u)
}

# libm and libpthread are parts of the C library; ld-linux is its loader
few_libraries() {
    readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -vE '^(libc|libm|libpthread|ld-linux.*|libglib-2\.0|libnbd)\.so\.[0-9]+$' | nothing
}

no_glib_header() {
    grep -l 'include <glib' include/miniblk/*.h | nothing
}

# Both say it once more: a header that is installed is not made by the build
version_is_said() {
    local version major minor micro

    version=$(sed -n "s/^  version : '\(.*\)',/\1/p" meson.build | head -n 1)
    IFS=. read -r major minor micro <<<"$version"
    diff <(sed -n 's/^#define \(MINIBLK_VERSION[A-Z_]*\)  *\([0-9"].*\)/\1 \2/p' include/miniblk/block.h) - <<END
MINIBLK_VERSION_MAJOR $major
MINIBLK_VERSION_MINOR $minor
MINIBLK_VERSION_MICRO $micro
MINIBLK_VERSION "$version"
END
}

# So do NEWS and Debian's packages
news_has_version() {
    local version

    version=$(sed -n "s/^  version : '\(.*\)',/\1/p" meson.build | head -n 1)
    [[ $(grep -m 1 '^[0-9]' NEWS) == "$version" ]] || { echo "NEWS does not begin with $version"; return 1; }
    [[ $(head -n 1 debian/changelog) == "miniblk ($version-"* ]] ||
        { echo "debian/changelog does not begin with $version"; return 1; }
}

# The symbols that Debian's package promises
debian_symbols() {
    diff tests/docs/exported.list <(sed -n 's/^ \([a-z_]*\)@MINIBLK_0 .*/\1/p' debian/libminiblk0.symbols)
}

# The library is a guest in somebody's program
well_behaved() {
    grep -nE '\b(printf|puts|putchar|perror|exit|abort|_exit|signal|setlocale|assert|g_assert[a-z_]*|g_error|g_warning|g_print[a-z]*|g_message)\(' \
        -r --include='*.c' block util | grep -v snprintf | nothing
}

manual_is_clean() {
    local page

    for page in docs/man/*.[1-8]; do
        LC_ALL=C groff -man -Tascii -ww -b "$page" 2>&1 >/dev/null | sed "s|^|$page: |"
    done | nothing
}

# Every source file of folder $1 is in the list of its README.md
listed() {
    comm -13 <(grep -o '`[^`]*`' "$1/README.md" | sort -u) <(find "$1" -name '*.[ch]' -printf '`%P`\n' | sort) |
        sed "s|\$| is not in $1/README.md|" | nothing
}

# What a folder of block/ is for, its files keep to
formats_have_no_locks() {
    grep -rnE '#include (<pthread.h>|<sys/|"block/layer.h")' block/format | nothing
}

only_vpc_knows_vhd() {
    grep -rlE '\bVpcState\b|format/vpc/state.h' --include='*.[ch]' block tools util | grep -v '^block/format/vpc/' | nothing
}

only_protocols_open_images() {
    grep -rnE '[^_>.a-z](open|open64|fopen|stat|lstat|fstat|pread|pwrite|preadv|pwritev|fallocate|fsync|fdatasync)\(' \
        --include='*.c' block/*.c block/format | grep -vE ':[0-9]+:( \*|/\*)|/\*.*(open|stat)\(\)|"[^"]*open\(\)' | nothing
}

check "every file has one SPDX line" spdx
check "every C file begins with its name and what it is" head_comment
check "every exported symbol begins with bdrv_ or block_" exported
check "the list of exported symbols is what the library exports" exported_list
check "the list of exported symbols is what the headers declare" declared_list
check "every exported symbol has the version MINIBLK_0" has_version
if [[ -e ${library%.so}.a ]]; then
    check "the static library shows the same symbols" archive_names
fi
if [[ ${#modules[@]} -gt 0 ]]; then
    check "a module exports miniblk_module, and nothing else" module_exports
fi
check "the nbd driver includes public headers, its own and util's" modules_are_outside
check "what the library uses of GLib is what HACKING.md lists" glib_subset
check "the library needs the C library, GLib and libnbd, and no other" few_libraries
check "no public header includes GLib's" no_glib_header
check "block.h has the version of meson.build" version_is_said
check "NEWS and debian/changelog begin with that version" news_has_version
check "debian/ lists the exported symbols" debian_symbols
check "the library does not print, exit or assert" well_behaved
check "the manual pages are well-formed" manual_is_clean
check "block/README.md lists every file of block/" listed block
check "tools/README.md lists every file of tools/" listed tools
check "no format has a lock, asks the system, or sees into the layer" formats_have_no_locks
check "nothing outside of format/vpc/ knows VpcState" only_vpc_knows_vhd
check "neither the layer nor a format opens, reads or writes a file of the host" only_protocols_open_images
check_end
