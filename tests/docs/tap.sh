# tap.sh - test cases of shell scripts, reported as TAP
# SPDX-License-Identifier: MIT

tap_count=0

# check NAME COMMAND...: one case, which is good if the command succeeds; what it prints is shown if not
check() {
    local name=$1 out

    shift
    tap_count=$((tap_count + 1))
    if out=$("$@" 2>&1); then
        echo "ok $tap_count - $name"
    else
        echo "not ok $tap_count - $name"
        printf '%s\n' "$out" | sed 's/^/# /'
    fi
}

# skip NAME REASON: one that can't be tried here
skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

check_end() {
    echo "1..$tap_count"
}
