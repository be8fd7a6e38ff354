#!/bin/bash
# self-test.sh - is the suite complete, and does its runner notice what is wrong? self-test.sh BUILD-FOLDER
# SPDX-License-Identifier: MIT
suite=$(cd "$(dirname "$0")" && pwd -P)
. "$suite/../tests/docs/tap.sh"
export MINIBLK_BUILD=$1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
export TEST_DIR=$dir/scratch OUTPUT_DIR=$dir/bad
mkdir "$OUTPUT_DIR" "$dir/suite"

nothing() {
    local lines

    lines=$(cat)
    [[ -z $lines ]] || { echo "$lines"; return 1; }
}

numbers() {
    (cd "$suite" && printf '%s\n' [0-9][0-9][0-9])
}

has_sixty() {
    [[ $(numbers | wc -l) -ge 60 ]]
}

heads() {
    local test

    (
        cd "$suite" || exit
        for test in $(numbers); do
            [[ -x $test ]] || echo "$test cannot be executed"
            [[ -f $test.out ]] || echo "$test has no $test.out"
        done
        numbers | xargs awk '
            function judge() {
                if (!title) print name " has no title"
                if (!groups) print name " has no groups"
                if (!spdx) print name " has no SPDX line"
                if (last != "_done") print name " does not end with _done"
            }
            FNR == 1 && name { judge() }
            FNR == 1 { name = FILENAME; title = groups = spdx = 0 }
            index($0, "# " name " - ") == 1 && length($0) > length("# " name " - ") { title = 1 }
            /^# group: [a-z]/ { groups = 1 }
            /^# SPDX-License-Identifier: MIT$/ { spdx = 1 }
            { last = $0 }
            END { judge() }'
    ) | nothing
}

reasons() {
    local test

    for test in $(numbers); do
        if grep -q '^# qemu differs: .* (.*)$' "$suite/$test"; then
            [[ -f $suite/$test.out.qemu ]] || echo "$test says that QEMU differs, but has no $test.out.qemu"
            grep -q "\b$test\b" "$suite/../docs/qemu-compat.md" || echo "docs/qemu-compat.md does not name $test"
        elif compgen -G "$suite/$test.out*.qemu" >/dev/null; then
            echo "$test does not say why QEMU differs"
        fi
    done | nothing
}

no_orphans() {
    local file

    for file in "$suite"/[0-9][0-9][0-9].*; do
        [[ -x ${file%%.*} && $file == *.out* ]] || echo "$file belongs to no test"
    done | nothing
}

# add NNN GROUP OUTPUT <BODY: a test of a suite of our own
add() {
    { printf '#!/bin/bash\n# %s - a title\n# group: %s\n. ./common.rc\n' "$1" "$2"; cat; } >"$dir/suite/$1"
    chmod +x "$dir/suite/$1"
    printf '%s\n' "$3" >"$dir/suite/$1.out"
}

own_suite() {
    cp "$suite"/{check,common.rc,common.filter,upstream.rc} "$dir/suite"
    add 001 good $'hello\n*** done' <<<'echo hello; _done'
    add 002 bad $'hello\n*** done' <<<'echo world; _done'
    add 003 bad $'hello\nthe test ended with 7' <<<'echo hello; exit 7'
    add 004 good '' <<<'_notrun "no reason"'
    add 005 good '*** done' <<<'touch "$TEST_IMG"; [[ $("$QEMU_IMG_PROG" nosuch 2>&1) == qemu-img:* ]] && _done'
    add 006 bad $'hello\n*** done' <<<'echo hello'
}

# sees EXIT-STATUS PATTERN OPTION...: how the runner ends, on the suite of our own; its last line
sees() {
    local status=$1 pattern=$2 out

    shift 2
    out=$("$dir/suite/check" "$@" 2>&1)
    [[ $? -eq $status && $(tail -n 1 <<<"$out") =~ ^$pattern$ ]] || { echo "$out"; return 1; }
}

keeps_bad_output() {
    [[ $(<"$OUTPUT_DIR/002.out.bad") == $'world\n*** done' && ! -e $OUTPUT_DIR/001.out.bad ]]
}

leaves_nothing() {
    find "$TEST_DIR" -mindepth 1 | nothing
}

names_what_was_not_run() {
    [[ $("$dir/suite/check" -raw 001 004) == *$'\nNot run: 004\n'*'all 1 tests' ]]
}

speaks_tap() {
    diff <("$dir/suite/check" -tap -raw 001 002 004 | grep '^1\.\.\|^ok\|^not') - <<'TAP'
1..3
ok 1 - 001 a title
not ok 2 - 002 a title
ok 3 - 004 a title # SKIP no reason
TAP
}

# A source tree whose runner says how it was called
upstream_tree() {
    mkdir -p "$dir/qemu/tests/qemu-iotests"
    cat >"$dir/qemu/tests/qemu-iotests/check" <<'RUNNER'
#!/bin/bash
echo "$@"
[[ -L $0 && -f common.env && -d $TEST_DIR && -d $SOCK_DIR ]] || exit 99
for program in "$QEMU_PROG" "$QSD_PROG" "$QEMU_IMG_PROG" "$QEMU_IO_PROG" "$QEMU_NBD_PROG"; do
    [[ -x $program ]] || exit 98
done
[[ $("$QEMU_PROG" -machine help) == *'(default)' ]] || exit 97
[[ $("$QEMU_IMG_PROG" nosuch 2>&1) == qemu-img:* && $("$QEMU_IO_PROG" nosuch 2>&1) == qemu-io:* ]] || exit 96
"$QEMU_IMG_PROG" --help | grep -q '^Supported formats:.*vpc' || exit 95
echo bad >001.out.bad
exit 3
RUNNER
    chmod +x "$dir/qemu/tests/qemu-iotests/check"
}

upstream() {
    sees 3 '-vpc -c none -i threads -o a=b -misalign -g rw 001 002' -vpc -nocache -o a=b -misalign -g rw \
        --upstream "$dir/qemu" 001-002
}

upstream_writes_nowhere_else() {
    find "$dir/qemu" -newer "$dir/mark" | nothing && [[ $(<"$OUTPUT_DIR/001.out.bad") == bad ]]
}

check "there are sixty tests or more" has_sixty
check "each test has a title, groups, a licence, an end, and a reference" heads
check "where QEMU differs, there is a reason, and docs/qemu-compat.md has it" reasons
check "each reference belongs to a test" no_orphans
own_suite
check "all good: the last line says so" sees 0 'Passed all 2 tests' -raw 001 005
check "one bad: exit status 1" sees 1 'Failed 1 of 2 tests' -raw 001 002
check "its output is kept" keeps_bad_output
check "a test that ends with an error fails, whatever it printed" sees 1 'Failed 1 of 1 tests' -raw 003
check "a test that does not come to its end fails" sees 1 'Failed 1 of 1 tests' -raw 006
check "none ran: exit status 1" sees 1 'No test ran' -raw 004
check "what is not run is named" names_what_was_not_run
check "groups are chosen" sees 0 'Passed all 2 tests' -raw -g good
check "groups are left out" sees 0 'Passed all 2 tests' -raw -x bad
check "several at a time" sees 1 'Failed 3 of 5 tests' -raw -j 3
check "one in five: the others are not run" sees 0 'Passed all 1 tests' -raw -every 5
check "ranges" sees 1 'Failed 2 of 2 tests' -raw 002-003
check "unknown tests, options and folders are errors" sees 2 'check: there is no test 099' -raw 099
check "TAP" speaks_tap
check "no scratch files are left" leaves_nothing
upstream_tree
touch -d '1 second' "$dir/mark"
check "the suite of a source tree is called with the five programs, and its exit status is ours" upstream
check "nothing is written to the source tree, and wrong output is kept" upstream_writes_nowhere_else
check_end
