#!/bin/bash
# install.sh - what "meson install" gives is enough to build on: install.sh SOURCE-FOLDER BUILD-FOLDER
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../docs/tap.sh"
source=$1 build=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

# Moved there and told so, as a package builder does
install_all() {
    meson install -C "$build" --no-rebuild --quiet --destdir "$scratch/dest" || return
    pc=$(find dest -name miniblk.pc)
    sed -i "s|^prefix=|prefix=$scratch/dest|" "$pc"
}

has_files() {
    local prefix=${lib%/lib*} file

    for file in "$lib/libminiblk.so" "$lib/libminiblk.so.0" "$lib/libminiblk.a" "$prefix/bin/miniblk-img" \
        "$prefix/bin/miniblk-io" "$prefix/include/miniblk/block.h" "$prefix/include/miniblk/driver.h"; do
        [[ -s $file ]] || { echo "no $file"; return 1; }
    done
    [[ $(cd "$prefix/include" && find . -type f | wc -l) -eq 2 ]]
}

# The C block of README.md
extract() {
    sed -n '/^```c$/,/^```$/p' "$source/README.md" | grep -v '^```' >hello.c && grep -q main hello.c
}

# build_hello NAME FLAG...
build_hello() {
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror -o "$1" hello.c "${@:2}"
}

no_glib_linked() {
    ! pkg-config --libs miniblk | grep -i glib
}

# Debian's libnbd.pc does not name the libraries that libnbd.a needs
has_static_libraries() {
    local needed

    needed=$(pkg-config --print-requires-private miniblk | sed 's/ .*//')
    # shellcheck disable=SC2046,SC2086
    echo 'int main(void) { return 0; }' >try.c &&
        cc -o try try.c -static -Wl,-u,g_malloc,-u,nbd_create $(pkg-config --libs --static $needed) 2>/dev/null
}

says_hello() {
    rm -f hello.vhd
    [[ $("./$1") == 'Hello, world!' ]] && cmp <(tail -c +1 hello.vhd | grep -aom1 'Hello, world!') <(echo 'Hello, world!')
}

tools_work() {
    rm -f hello.vhd
    ./shared >/dev/null && "$bin/miniblk-img" info hello.vhd | grep -q '^file format: vpc$' &&
        "$bin/miniblk-io" -r -c 'read -v 1M 13' hello.vhd | grep -q 'Hello..world.'
}

check "meson install" install_all
pc=$(find dest -name miniblk.pc)
lib=$scratch/${pc%/pkgconfig/*}
bin=${lib%/lib*}/bin
export PKG_CONFIG_PATH=${pc:+$scratch/${pc%/*}} LD_LIBRARY_PATH=$lib
check "library, headers and tools are there" has_files
check "pkg-config knows it, with the version of the project" test "$(pkg-config --modversion miniblk)" = \
    "$(sed -n "s/^  version : '\(.*\)',/\1/p" "$source/meson.build" | head -n 1)"
check "a program is not linked with GLib" no_glib_linked
check "README.md has an example" extract
# shellcheck disable=SC2046
{
    check "the example builds with the shared library" build_hello shared $(pkg-config --cflags --libs miniblk)
    check "the example runs" says_hello shared
    if has_static_libraries; then
        check "it builds without any shared library" build_hello static -static $(pkg-config --cflags --libs --static miniblk)
        check "and runs" says_hello static
    else
        skip "it builds without any shared library" "GLib or libnbd, or what they need, is not here as a static library"
    fi
    check "it builds with the static library and GLib's shared one" build_hello mixed $(pkg-config --cflags miniblk) \
        -L"$lib" -l:libminiblk.a $(pkg-config --libs --static miniblk | sed 's/-lminiblk//')
    check "and runs as well" says_hello mixed
}
check "the installed tools work" tools_work
check_end
