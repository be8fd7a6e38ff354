#!/bin/bash
# packages.sh - Debian's packages are built, checked, installed in a system of their own, used and removed there:
# packages.sh SOURCE-FOLDER FOLDER
# SPDX-License-Identifier: MIT
#
# The system is as small as debootstrap can make it, and a compiler; GLib's headers and our build folder are not in it.
# It comes from the mirror that apt uses here. All of it is made in FOLDER, and removed at the end.
. "$(dirname "$0")/../docs/tap.sh"
source=$1 work=$2
version=$(sed -n "s/^  version : '\(.*\)',/\1/p" "$source/meson.build" | head -n 1)
tree=$work/miniblk-$version
root=$work/root
maker=
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

# What debootstrap has mounted must not be removed with the rest
remove_all() {
    local mounted

    [[ ! $maker ]] || { kill "$maker" && wait "$maker"; } 2>/dev/null
    while read -r mounted; do
        umount "$mounted"
    done < <(awk -v "root=$root/" 'index($2, root) == 1 { print $2 }' /proc/mounts | sort -r)
    rm -rf --one-file-system "$work"
}

# quietly COMMAND...: its output is shown, from the end, if it fails
quietly() {
    "$@" >"$work/log" 2>&1 </dev/null || { tail -n 40 "$work/log"; return 1; }
}

# What git knows here, and what is new; a tree without git is copied as it is
export_source() {
    mkdir -p "$tree" && cd "$source" || return
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard
    else
        find . -path './build*' -prune -o -type f -print0
    fi | tar --null -T - -c | tar -x -C "$tree" && [[ -s $tree/debian/rules ]] &&
        tar -C "$work" --exclude=debian -czf "$work/miniblk_$version.orig.tar.gz" "${tree##*/}"
}

# Not with what is set for the build folder that this test belongs to
build_packages() {
    cd "$tree" && quietly env -u CFLAGS -u LDFLAGS -u CC DEB_BUILD_OPTIONS="parallel=$(nproc)" dpkg-buildpackage -us -uc
}

has_packages() {
    local package file list

    for package in libminiblk0 libminiblk-dev miniblk-utils miniblk-module-nbd; do
        list=$(dpkg-deb -c "$work/${package}_$version"-*.deb) || return
        for file in NEWS.gz SECURITY.md copyright; do
            [[ $list == *"/usr/share/doc/$package/$file"* ]] || { echo "$package has no $file"; return 1; }
        done
    done
}

# It leaves files in TMPDIR
no_errors() {
    cd "$work" && TMPDIR=$work quietly lintian --allow-root --fail-on error miniblk_"$version"-*.changes
}

# Why there can be no system: not root, or in a container that forbids it
why_no_root() {
    local options

    if [[ $(id -u) -ne 0 ]]; then
        echo "only root can make a system with debootstrap"
    elif ! chroot / true 2>/dev/null; then
        echo "chroot is not allowed here"
    else
        options=$(findmnt -no OPTIONS -T "$work")
        [[ ,$options, != *,nodev,* && ,$options, != *,noexec,* ]] || echo "no devices or programs may be in $work"
    fi
}

# From the mirror that apt uses; in the background, while the packages are built
make_system() {
    local suite mirror

    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Codename: $suite" | head -n 1)
    [[ $suite && $mirror ]] || { echo "apt has no mirror of '$suite'"; return 1; }
    debootstrap --variant=minbase --include=bash-completion,gcc,libc6-dev,pkg-config "$suite" "$root" "$mirror"
}

system_is_made() {
    [[ $status -eq 0 ]] && list_files >"$work/files" && list_packages >"$work/packages" ||
        { tail -n 40 "$work/system.log"; return 1; }
}

# All files, but for what dpkg, apt and the dynamic linker keep
list_files() {
    local kept='\./(proc|sys|dev|tmp|var/(lib/dpkg|lib/apt|cache|log))(/.*)?'

    (cd "$root" && find . -xdev -regextype posix-extended -regex "$kept" -prune -o -print | sort)
}

inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@" </dev/null
}

list_packages() {
    inside dpkg-query -W -f '${Package}\n' | sort
}

# install_packages NAME...: with what they depend on, which apt takes from where it does here
install_packages() {
    local name files=()
    local here=(-o "Dir::State::status=$root/var/lib/dpkg/status" -o "Dir::Cache::archives=$root/tmp/more"
                -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)

    for name; do
        files+=("$work/${name}_$version"-*.deb)
    done
    mkdir -p "$root/tmp/more/partial" && cp "${files[@]}" "$root/tmp/more" &&
        quietly apt-get "${here[@]}" -y --download-only --no-install-recommends install "${files[@]}" &&
        quietly inside bash -c 'dpkg -i /tmp/more/*.deb && rm -r /tmp/more'
}

example_works() {
    mkdir -p "$root/tmp/source/debian/tests" && cp "$source/README.md" "$root/tmp/source" &&
        cp "$source/debian/tests/readme-example" "$root/tmp/source/debian/tests" || return
    ! inside pkg-config --exists glib-2.0 && quietly inside bash -c 'cd /tmp/source && debian/tests/readme-example'
}

# nbd_says TEXT
nbd_says() {
    inside miniblk-img info 'nbd+unix:///?socket=/nonexistent' >"$work/log" 2>&1
    grep "$1" "$work/log" || { cat "$work/log"; return 1; }
}

completes() {
    inside bash -c '. /usr/share/bash-completion/bash_completion
        for name in miniblk-img miniblk-io; do
            _completion_loader $name
            complete -p $name | grep _miniblk_ || exit
        done'
}

has_manuals() {
    local page

    for page in man1/miniblk-img.1 man1/miniblk-io.1 man3/miniblk.3 man7/miniblk-drivers.7; do
        [[ -s $root/usr/share/man/$page.gz ]] || { echo "no $page.gz"; return 1; }
    done
}

# Ours, and what they needed
remove_packages() {
    local added

    mapfile -t added < <(list_packages | comm -13 "$work/packages" -)
    printf '%s\n' "${added[@]}" | grep '^miniblk-utils$' && quietly inside apt-get -y purge "${added[@]}"
}

nothing_is_left() {
    diff "$work/packages" <(list_packages) && diff "$work/files" <(list_files)
}

remove_all
trap remove_all EXIT
mkdir -p "$work"
reason=$(why_no_root)
if [[ ! $reason ]]; then
    make_system >"$work/system.log" 2>&1 </dev/null &
    maker=$!
fi
check "a copy of the source" export_source
check "dpkg-buildpackage" build_packages
check "four packages, each with NEWS and SECURITY.md" has_packages
check "lintian finds no error" no_errors
if [[ $reason ]]; then
    skip "the packages in a system of their own" "$reason"
    check_end
    exit
fi
wait "$maker"
status=$?
maker=
check "a system of its own" system_is_made
check "library, headers and tools are installed" install_packages libminiblk0 libminiblk-dev miniblk-utils
check "README's example compiles there, without GLib's headers, and the tools read its image" example_works
check "without the module there is no nbd" nbd_says "driver 'nbd' is not built in"
check "the module is installed" install_packages miniblk-module-nbd
check "and is found" nbd_says "Failed to connect to '/nonexistent'"
check "bash-completion finds the completions" completes
check "the manuals are there" has_manuals
check "the packages are removed" remove_packages
check "and nothing is left" nothing_is_left
check_end
