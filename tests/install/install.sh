#!/bin/bash
# install.sh - what "meson install" gives is enough to build on: install.sh SOURCE BUILD module|builtin|disabled
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../docs/tap.sh"
source=$1 build=$2 nbd=$3
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
    [[ $nbd != module || -s $lib/miniblk/block-nbd.so ]] || { echo "no block-nbd.so"; return 1; }
    for file in man1/miniblk-img.1 man1/miniblk-io.1 man3/miniblk.3 man7/miniblk-drivers.7; do
        [[ -s $prefix/share/man/$file ]] || { echo "no manual $file"; return 1; }
    done
    [[ $(cd "$prefix/include" && find . -type f | wc -l) -eq 2 ]]
}

# As bash-completion does it: it loads a file that has the name of the command
has_completion() {
    local name

    for name in miniblk-img miniblk-io; do
        bash --norc --noprofile -c '. "$1" && complete -p "$2"' bash \
            "${lib%/lib*}/share/bash-completion/completions/$name" "$name" || return
    done
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

# Where no other .pc file is: a program with the shared library needs nothing else
alone() {
    env -u PKG_CONFIG_PATH PKG_CONFIG_LIBDIR="${pc%/*}" pkg-config "$@"
}

build_alone() {
    local flags

    [[ $(ls "${pc%/*}") == miniblk.pc ]] && ! alone --exists glib-2.0 && alone --exists miniblk &&
        flags=$(alone --cflags --libs miniblk) && echo "$flags" && ! grep -i glib <<<"$flags" || return
    # shellcheck disable=SC2086
    build_hello alone $flags
}

# Debian's libnbd.pc does not name the libraries that libnbd.a needs
has_static_libraries() {
    local needed=(glib-2.0) symbols=-Wl,-u,g_malloc

    [[ $nbd == builtin ]] && needed+=(libnbd) && symbols+=,-u,nbd_create
    # shellcheck disable=SC2046
    echo 'int main(void) { return 0; }' >try.c &&
        cc -o try try.c -static "$symbols" $(pkg-config --libs --static "${needed[@]}") 2>/dev/null
}

# build_names NAME FLAG...: names.c
build_names() {
    cc -std=c11 -Wall -Wextra -Wpedantic -Wno-unused-parameter -Werror -o "$1" "$source/tests/install/names.c" "${@:2}"
}

our_calls_are_ours() {
    [[ $("./$1") == 'our calls are ours' ]] || { "./$1"; return 1; }
}

# The names of what a program or library loads, without folders
loaded_by() {
    ldd "$1" | awk '{ sub(/.*\//, "", $1); print $1 }' | sort
}

# Our library, GLib, and what GLib loads: with libc, the loader and the vdso seven objects on Debian 12
loads_nothing_else() {
    local glib

    glib=$(ldd "$1" | awk '/libglib-2/ { print $3 }')
    comm -23 <(loaded_by "$1") <({ loaded_by "$glib"; echo libminiblk.so.0; basename "$glib"; } | sort) >more
    [[ -n $glib && ! -s more ]] || { cat more; return 1; }
}

build_hidden() {
    # shellcheck disable=SC2046
    cc -std=gnu11 -Wall -Wextra -Werror -o hidden "$source/tests/install/hidden.c" $(pkg-config --cflags miniblk) -ldl
}

# Nobody is there, so the driver says that it cannot connect
hidden_finds_module() {
    local said

    said=$(./hidden driver=nbd,path=/nonexistent) && echo "$said" &&
        [[ $said == *"Failed to connect to '/nonexistent'"* ]]
}

tools_find_module() {
    "$bin/miniblk-img" info nbd+unix:///?socket=/nonexistent 2>&1 | tee said | grep "Failed to connect to '/nonexistent'" ||
        { cat said; return 1; }
}

# A program with the static library looks where modules are installed, and here that is elsewhere; and it has to export
# the library's functions
static_finds_module() {
    MINIBLK_MODULE_PATH=$lib/miniblk ./"$1" driver=nbd,path=/nonexistent | tee said |
        grep "$2" || { cat said; return 1; }
}

build_opener() {
    cat >opener.c <<'END'
#include <stdio.h>
#include <miniblk/block.h>

int main(int argc, char **argv)
{
    GError *err = NULL;
    BlockDriverState *bs = argc > 1 ? bdrv_open(NULL, argv[1], 0, &err) : NULL;

    puts(bs ? "open" : bdrv_error_message(err));
    bdrv_error_free(err);
    return bs ? bdrv_close(bs) : 0;
}
END
    cc -std=c11 -Wall -Wextra -Werror -o "$1" opener.c "${@:2}"
}

build_example() {
    cp -r "$source/examples/module" example && meson setup -Dwerror=true example/build example && ninja -C example/build
}

test_example() {
    PATH=$bin:$PATH meson test -C example/build --print-errorlogs
}

# Linked with the library, which a module should not be
link_example() {
    local words

    mkdir linked && read -ra words <<<"$(pkg-config --cflags --libs miniblk)" &&
        cc -shared -fPIC -o linked/block-pattern.so example/pattern.c "${words[@]}" &&
        build_opener opener-shared "${words[@]}" &&
        build_opener opener-exports "${words[0]}" "${mixed[@]}" -rdynamic
}

# linked_example_in PROGRAM TEXT
linked_example_in() {
    MINIBLK_MODULE_PATH=linked "$1" driver=pattern,size=1M | tee said | grep "$2" || { cat said; return 1; }
}

# As installed
install_example() {
    cp example/build/block-pattern.so "$lib/miniblk/" && "$bin/miniblk-img" info pattern:64M | grep '^virtual size: 64 MiB'
}

make_program() {
    cp -r "$source/examples/makefile" makefile && make -C makefile CFLAGS='-std=c11 -Wall -Wextra -Werror' "$1"
}

program_reads() {
    "$bin/miniblk-img" create -q -f vpc -o force_size=on a.vhd 3M && [[ $("$1" a.vhd) == '3145728 bytes, cannot be booted' ]]
}

# cmake_project FOLDER TARGET VERSION
cmake_project() {
    mkdir -p "$1" && cp "$source/examples/makefile/program.c" "$1" && cat >"$1/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(program C)
find_package(miniblk $3 REQUIRED)
add_executable(program program.c)
target_link_libraries(program PRIVATE $2)
END
}

cmake_configure() {
    cmake -S "$1" -B "$1/build" -DCMAKE_PREFIX_PATH="$(find "$scratch/dest" -type d -path '*/cmake/miniblk')"
}

cmake_program() {
    cmake_project "cmake-$1" "$2" 0.1 && cmake_configure "cmake-$1" && cmake --build "cmake-$1/build"
}

# A project that wants version $1 is told that there is another
cmake_refuses() {
    cmake_project "wants-$1" miniblk::miniblk "$1" && ! cmake_configure "wants-$1" >log 2>&1 &&
        grep -F 'considered but not accepted' log || { cat log; return 1; }
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
check "library, headers, tools and manuals are there" has_files
check "the completion of both commands is where bash-completion looks" has_completion
check "pkg-config knows it, with the version of the project" test "$(pkg-config --modversion miniblk)" = \
    "$(sed -n "s/^  version : '\(.*\)',/\1/p" "$source/meson.build" | head -n 1)"
check "a program is not linked with GLib" no_glib_linked
check "README.md has an example" extract
# shellcheck disable=SC2046
{
    check "the example builds with the shared library" build_hello shared $(pkg-config --cflags --libs miniblk)
    check "the example runs" says_hello shared
    check "it builds where pkg-config knows of nothing else" build_alone
    check "and runs there" says_hello alone
    if has_static_libraries; then
        check "it builds without any shared library" build_hello static -static $(pkg-config --cflags --libs --static miniblk)
        check "and runs" says_hello static
    else
        skip "it builds without any shared library" "GLib or libnbd, or what they need, is not here as a static library"
    fi
    check "it builds with the static library and GLib's shared one" build_hello mixed $(pkg-config --cflags miniblk) \
        -L"$lib" -l:libminiblk.a $(pkg-config --libs --static miniblk | sed 's/-lminiblk//')
    check "and runs as well" says_hello mixed
    check "a program with the shared library loads GLib, and nothing else" loads_nothing_else ./shared
    check "and so does miniblk-img" loads_nothing_else "$bin/miniblk-img"
    mixed=(-L"$lib" -l:libminiblk.a $(pkg-config --libs --static miniblk | sed 's/-lminiblk//'))
    check "a program with the library's inner names builds with the shared one" build_names names-shared \
        $(pkg-config --cflags --libs miniblk) -rdynamic
    check "and each calls its own" our_calls_are_ours names-shared
    check "it builds with the static one" build_names names-static $(pkg-config --cflags miniblk) "${mixed[@]}" -rdynamic
    check "and each calls its own there, too" our_calls_are_ours names-static
    check "a program with some of the public names builds with the shared one" build_names names-public \
        -DPUBLIC_NAMES $(pkg-config --cflags --libs miniblk) -rdynamic
    check "and the library calls its own" our_calls_are_ours names-public
    if [[ $nbd == module ]]; then
        check "the installed tools find the nbd module" tools_find_module
        check "a program that loads the library itself builds" build_hidden
        check "and the module works in it" hidden_finds_module
        check "a program that exports the static library builds" build_opener opener-exports \
            $(pkg-config --cflags miniblk) "${mixed[@]}" -rdynamic
        check "and the module works in it" static_finds_module opener-exports "Failed to connect to '/nonexistent'"
        check "one that does not export it builds" build_opener opener $(pkg-config --cflags miniblk) "${mixed[@]}"
        check "and the module is refused, with the reason" static_finds_module opener \
            "block-nbd.so' cannot be loaded: undefined symbol: "
    fi
    check "the example of a module builds" build_example
    check "its test finds it good" test_example
    check "it can be linked with the shared library" link_example
    check "and works in a program with that" linked_example_in ./opener-shared open
    check "in one with the static library it is refused" linked_example_in ./opener-exports "another copy of the library"
    check "it is found where modules are installed" install_example
}
check "the installed tools work" tools_work
check "the example of a Makefile builds with what is installed" make_program program
check "and its program reads a VHD" program_reads makefile/program
check "a CMake project finds the shared library" cmake_program shared miniblk::miniblk
check "its program reads a VHD" program_reads cmake-shared/build/program
check "and one the static library" cmake_program static miniblk::static
check "its program reads a VHD as well" program_reads cmake-static/build/program
check "CMake refuses a version that is not there" cmake_refuses 0.99
check "and another major number" cmake_refuses 1.0
check_end
