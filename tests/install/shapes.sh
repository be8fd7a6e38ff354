#!/bin/bash
# shapes.sh - other shapes of the library: in another project, with few drivers, without files: shapes.sh SOURCE
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../docs/tap.sh"
source=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
export LC_ALL=C

# What a project with miniblk inside has: its own program, the sources of miniblk
make_superproject() {
    mkdir -p super/subprojects/miniblk &&
        cp -r "$source"/{amalgamation,bench,block,cmake,docs,examples,fuzz,include,meson.build,meson_options.txt} \
            "$source"/{qemu-iotests-compat,tests,tools,util} super/subprojects/miniblk &&
        cp "$source/examples/makefile/program.c" super/program.c &&
        cat >super/subprojects/miniblk.wrap <<'END' &&
[wrap-file]
directory = miniblk

[provide]
dependency_names = miniblk
END
        cat >super/meson.build <<'END'
project('super', 'c')
executable('program', 'program.c', dependencies : dependency('miniblk'))
test('own', find_program('true'))
END
}

build_superproject() {
    PKG_CONFIG_LIBDIR=$(pkg-config --variable pc_path pkg-config) meson setup --wrap-mode=forcefallback super/build super &&
        ninja -C super/build
}

has_no_tests_of_ours() {
    [[ $(meson introspect --tests super/build | jq -r '.[].name') == own ]] ||
        { meson introspect --tests super/build | jq -r '.[].name'; return 1; }
}

has_no_tools_of_ours() {
    local made

    made=$(meson introspect --targets super/build | jq -r '.[] | select(.type == "executable") | .name')
    [[ $made == program ]] || { echo "$made"; return 1; }
}

# program_reads PROGRAM: a VHD that QEMU made
program_reads() {
    qemu-img create -q -f vpc -o force_size=on a.vhd 3M && [[ $("$1" a.vhd) == '3145728 bytes, cannot be booted' ]]
}

# build FOLDER OPTION...: a library
build() {
    meson setup --buildtype=release "$1" "$source" -Dwerror=true -Dtests=false -Dtools=false -Dnbd=disabled "${@:2}" &&
        ninja -C "$1" && DESTDIR=$scratch/$1-root meson install -C "$1" --no-rebuild --quiet
}

# link_with FOLDER NAME: NAME.c, with what build() has put into FOLDER
link_with() {
    local library

    library=$(find "$1-root" -name libminiblk.so) &&
        cc -std=c11 -Wall -Wextra -Werror -I"$(dirname "$(find "$1-root" -name miniblk -path '*include*')")" -o "$1/$2" "$2.c" \
            -L"${library%/*}" -lminiblk -Wl,-rpath,"$scratch/${library%/*}"
}

write_programs() {
    cp "$source/examples/makefile/program.c" . &&
        cat >drivers.c <<'END'
#include <stdio.h>
#include <miniblk/driver.h>

int main(void)
{
    for (const BlockDriver *drv = NULL; (drv = bdrv_next_driver(drv));) {
        printf("%s ", drv->name);
    }
    return 0;
}
END
    cat >memory.c <<'END'
#include <stdio.h>
#include <string.h>
#include <miniblk/block.h>

static char bytes[8 << 20];

static int read_bytes(void *user, int64_t offset, void *buf, int64_t count)
{
    (void)user;
    memcpy(buf, bytes + offset, (size_t)count);
    return 0;
}

static int write_bytes(void *user, int64_t offset, const void *buf, int64_t count)
{
    (void)user;
    memcpy(bytes + offset, buf, (size_t)count);
    return 0;
}

static int truncate_bytes(void *user, int64_t size)
{
    (void)user;
    return size > (int64_t)sizeof(bytes) ? -28 : 0;
}

int main(void)
{
    BlockStorage storage = { 0, NULL, read_bytes, write_bytes, NULL, truncate_bytes };
    char text[6] = "";
    GError *err = NULL;

    if (!bdrv_create_storage(&storage, "driver=vpc,size=1M,block_size=64k", &err)) {
        puts(bdrv_error_message(err));
        return 1;
    }
    storage.size = 1 << 16;
    while (storage.size > 512 && memcmp(bytes + storage.size - 512, "conectix", 8)) {
        storage.size -= 512;
    }
    BlockDriverState *bs = bdrv_open_storage(&storage, "driver=vpc", BDRV_O_RDWR, &err);

    if (!bs || bdrv_pwrite(bs, 100, "hello", 5, 0) < 0 || bdrv_pread(bs, 100, text, 5, 0) < 0 || bdrv_close(bs) < 0) {
        puts(bdrv_error_message(err));
        return 1;
    }
    puts(text);
    bs = bdrv_open("some.vhd", "driver=vpc", 0, &err);
    puts(bdrv_error_message(err));
    bdrv_error_free(err);
    err = NULL;
    bdrv_create("some.vhd", "driver=vpc,size=1M", &err);
    puts(bdrv_error_message(err));
    bdrv_error_free(err);
    return bs != NULL;
}
END
}

# has_drivers FOLDER NAME...: exactly these
has_drivers() {
    local said

    said=$("$1/drivers")
    [[ $said == "${*:2} " ]] || { echo "$said"; return 1; }
}

snapshot_is_refused() {
    cat >snapshot.c <<'END'
#include <stdio.h>
#include <miniblk/block.h>

int main(void)
{
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open("a.vhd", "driver=vpc", BDRV_O_RDWR | BDRV_O_SNAPSHOT, &err);

    puts(bdrv_error_message(err));
    return bs != NULL;
}
END
    link_with few snapshot && few/snapshot | tee said | grep -q "'cow'" || { cat said; return 1; }
}

runs_in_memory() {
    local refused="'some.vhd' cannot be opened: this library is built without the driver 'file'"

    [[ $(storage/memory) == "hello"$'\n'"$refused"$'\n'"$refused" ]] || { storage/memory; return 1; }
}

tests_want_all_drivers() {
    ! meson setup wrong "$source" -Ddrivers=file,raw,vpc -Dtests=true >log && grep 'Dtests=true needs the tools and all drivers' log
}

# tell_size NAME FOLDER: of the shared library, stripped; in all, and its code
tell_size() {
    local library

    library=$(find "$2-root" -name 'libminiblk.so.*.*') && strip -o stripped "$library" &&
        echo "# size of libminiblk.so with $1: $(stat -c %s stripped) bytes, code $(size -A stripped | awk '$1 == ".text" { print $2 }')"
}

check "another project with miniblk as a subproject is made" make_superproject
check "it builds" build_superproject
check "its program reads a VHD" program_reads super/build/program
check "it has no test of miniblk's" has_no_tests_of_ours
check "and no program of miniblk's" has_no_tools_of_ours
check "programs for libraries with few drivers are made" write_programs
check "the whole library builds without tests and tools" build whole
check "with the drivers file, raw and vpc it builds" build few -Ddrivers=file,raw,vpc
check "a program reads a VHD with it" link_with few program
check "and runs" program_reads few/program
check "a program lists its drivers" link_with few drivers
check "these are few" has_drivers few vpc raw split probe-guard file host_device host_cdrom mem
check "a snapshot is refused by the name of the driver that it needs" snapshot_is_refused
check "with the driver vpc alone it builds" build storage -Ddrivers=vpc
check "a program without files links with it" link_with storage memory
check "it uses a VHD in memory, and files are refused by their names" runs_in_memory
check "tests are refused where drivers are missing" tests_want_all_drivers
tell_size "all drivers" whole
tell_size "file, raw and vpc" few
tell_size "vpc alone, without files" storage
check_end
