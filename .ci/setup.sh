# setup.sh - what ./run and ./test share: packages, a build folder outside the tree, a quiet build
# SPDX-License-Identifier: MIT

PATH=$PATH:/usr/sbin:/sbin
BASE=${MINIBLK_BUILD:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/miniblk/build-$(printf %s "$ROOT" | sha1sum | cut -c1-10)}

# quietly LOG COMMAND...: its output goes to LOG, and is shown if it fails
quietly() {
    local log=$1

    shift
    "$@" >"$log" 2>&1 </dev/null && return
    tail -n 60 "$log" >&2
    echo "failed: $* (all of its output: $log)" >&2
    return 1
}

# need PACKAGE...: Debian packages; those that are missing are installed
need() {
    local package missing=() sudo=()

    for package; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    [[ ${#missing[@]} -eq 0 ]] && return
    if ! command -v apt-get >/dev/null; then
        echo "no apt-get here; going on in the hope that these are there: ${missing[*]}" >&2
        return
    fi
    [[ $(id -u) -eq 0 ]] || sudo=(sudo)
    echo "installing ${missing[*]}" >&2
    quietly "$BASE/apt.log" "${sudo[@]}" apt-get -q update &&
        quietly "$BASE/apt.log" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get -q -y --no-install-recommends install "${missing[@]}"
}

# build NAME OPTION...: configure once, and bring $BASE/NAME up to date; one at a time. "run" has no tests
build() {
    local name=$1 dir=$BASE/$1 what=all

    [[ $name == run ]] && what=programs

    shift
    exec 9>"$BASE/$name.lock"
    flock 9
    if [[ ! -f $dir/build.ninja ]]; then
        rm -rf "$dir"
        quietly "$BASE/$name.log" meson setup "$@" "$dir" "$ROOT" || return 1
    fi
    quietly "$BASE/$name.log" ninja -C "$dir" "$what" || return 1
    exec 9>&-
}

mkdir -p "$BASE"
