#!/bin/bash
# run.sh - ./run does its job from anywhere, twice, without a terminal: run.sh SOURCE-FOLDER BUILD-FOLDER
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../docs/tap.sh"
run=$1/run
export MINIBLK_BUILD=$2/tests/install/run
export TMPDIR
TMPDIR=$(mktemp -d)
trap 'rm -rf "$TMPDIR"' EXIT

main_job() {
    (cd / && "$run" </dev/null) | tail -n 1 | grep -q 'all of that worked'
}

nothing_left() {
    [[ -z $(ls -A "$TMPDIR") ]]
}

tools() {
    (cd "$TMPDIR" && "$run" img create -f vpc a.vhd 8M </dev/null >/dev/null && "$run" io -f vpc -c 'write -P 3 0 512' a.vhd &&
        "$run" img info a.vhd | grep -q '^file format: vpc$' && rm a.vhd)
}

exit_status() {
    "$run" img info "$TMPDIR/nothing.vhd"
    [[ $? -eq 1 ]] && { "$run" nonsense; [[ $? -eq 2 ]]; }
}

check "the main job, from another folder" main_job
check "and again" main_job
check "no scratch file is left behind" nothing_left
check "the tools, on files of the current folder" tools
check "exit statuses" exit_status
check_end
