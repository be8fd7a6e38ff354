#!/bin/bash
# short.sh - each target fuzzed for a short time: short.sh SOURCE-FOLDER BUILD-FOLDER SECONDS
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../tests/docs/tap.sh"
export MINIBLK_BUILD=$2/fuzz/short FUZZ_FINDINGS=$2/fuzz/findings FUZZ_JOBS=1
mkdir -p "$MINIBLK_BUILD"

# Nothing but the build, and the first target for a second
why=$("$1/fuzz/run" 1s names 2>/dev/null)
if [[ $? -eq 77 ]]; then
    printf '1..1\nnot ok 1 - %s\n' "$(tail -n 1 <<<"$why")"
    exit 1
fi
for target in open ops check chain options names; do
    check "$target, for $3 seconds" "$1/fuzz/run" "$3s" "$target"
done
check_end
