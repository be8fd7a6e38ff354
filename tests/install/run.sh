#!/bin/bash
# run.sh - ./run does its job from anywhere, twice, without a terminal: run.sh SOURCE-FOLDER BUILD-FOLDER [anew]
# SPDX-License-Identifier: MIT
#
# It finds its build folder up to date: that of this test. With "anew" there is none, and it makes one first, and does
# its job twice.
. "$(dirname "$0")/../docs/tap.sh"
run=$1/run
export MINIBLK_BUILD=$2/tests/install/run${3+-$3}
export TMPDIR
TMPDIR=$(mktemp -d)
trap 'rm -rf "$TMPDIR" "$MINIBLK_BUILD"' EXIT
rm -rf "$MINIBLK_BUILD"
mkdir -p "$MINIBLK_BUILD"
[[ ${3-} == anew ]] || ln -s "$2" "$MINIBLK_BUILD/run"

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
[[ ${3-} == anew ]] && check "and again" main_job
check "no scratch file is left behind" nothing_left
check "the tools, on files of the current folder" tools
check "exit statuses" exit_status
check_end
