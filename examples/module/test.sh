#!/bin/bash
# test.sh - the module is found and works: test.sh FOLDER, the folder of block-pattern.so
# SPDX-License-Identifier: MIT
set -euo pipefail
export MINIBLK_MODULE_PATH=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# read_pattern BYTE OFFSET LENGTH IMAGE: miniblk-io ends with an error if other bytes are read
read_pattern() {
    miniblk-io -r --image-opts -c "read -P $1 $2 $3" "$4"
}

# refused WORDS COMMAND...: the command fails, and says this
refused() {
    local said

    ! said=$("${@:2}" 2>&1) && [[ $said == *"$1"* ]] || { echo "should say '$1': $said" >&2; return 1; }
}

read_pattern 0 0 512 driver=pattern,size=1M
read_pattern 8 512 512 driver=pattern,size=1M,first=7
read_pattern 1 600 100 driver=raw,file.driver=pattern,file.size=1M
miniblk-img info pattern:64M | grep >/dev/null '^virtual size: 64 MiB'
miniblk-img convert -f raw -O vpc pattern:3M "$scratch/pattern.vhd"
miniblk-img compare -f raw -F vpc pattern:3M "$scratch/pattern.vhd"
refused 'first=256 is not between' miniblk-img info --image-opts driver=pattern,size=1M,first=256
refused 'reading only' miniblk-io -f raw -c 'write 0 512' pattern:1M
refused "is not pattern:SIZE" miniblk-img info pattern:1M,x
