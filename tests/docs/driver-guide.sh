#!/bin/bash
# driver-guide.sh - the example of docs/writing-a-driver.md, added as told there, works: driver-guide.sh SOURCE-FOLDER
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/tap.sh"
source=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

copy_source() {
    cp -r "$source"/{amalgamation,bench,block,cmake,docs,examples,include,meson.build,meson_options.txt,tools,util} "$scratch" &&
        mkdir "$scratch"/{fuzz,qemu-iotests-compat,tests} &&
        touch "$scratch"/{fuzz,qemu-iotests-compat,tests}/meson.build
}

# Steps 1 to 3
add_driver() {
    sed -n '/^```c$/,/^```$/p' "$source/docs/writing-a-driver.md" | sed '/^```$/q' | grep -v '^```' >block/filter/slow.c &&
        grep -q bdrv_slow block/filter/slow.c &&
        sed -i "s|^drivers = files(|&'filter/slow.c', |" block/meson.build && grep -q slow block/meson.build &&
        sed -i 's/^extern const BlockDriver /&bdrv_slow, /' block/drivers.h && grep -q slow block/drivers.h &&
        sed -i 's/^    &bdrv_blkdebug,$/&\n    \&bdrv_slow,/' block/drivers.c && grep -q slow block/drivers.c
}

build() {
    meson setup -Dwerror=true -Doptimization=0 build . && ninja -C build tools/miniblk-img tools/miniblk-io
}

use() {
    local below=driver=slow,file.read=20000,file.write=10000,file.file.filename=a.vhd

    build/tools/miniblk-img create -f vpc a.vhd 64M &&
        build/tools/miniblk-io --image-opts -c "write -P 7 1M 4k" "driver=vpc,file.$below" &&
        build/tools/miniblk-io -f vpc -r -c "read -P 7 1M 4k" a.vhd &&
        build/tools/miniblk-img info --image-opts "driver=vpc,file.$below" | grep 'microseconds waited: [1-9]'
}

refuse() {
    ! build/tools/miniblk-img info --image-opts driver=slow,read=-1,file.driver=null 2>err && cat err && grep -q 'is not between' err
}

cd "$scratch" || exit 1
check "a copy of the source" copy_source
check "the example is added in the steps of the guide" add_driver
check "it builds without warnings" build
check "it works below a VHD" use
check "it checks its options" refuse
check_end
