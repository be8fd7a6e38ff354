/* beneath.h - what a name leads to, without opening it, and without leaving a folder */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_BENEATH_H
#define UTIL_BENEATH_H

#include <stdbool.h>

/* An O_PATH descriptor of what @path names when all symbolic links are followed, or -errno. /proc's magic links, which
 * lead to what a process has open, are not followed: -ELOOP.
 * @root: a folder. Nothing outside of it is looked at, so that it can't matter who swaps a link meanwhile. As text,
 * made absolute and without "..", @path must begin with @root, or with where links lead from @root; so must a
 * symbolic link to an absolute path. -EXDEV: it leads out. NULL: @path may lead anywhere.
 * @ask_kernel: openat2() does all this at once. Where there is no such call, or with false, it is done folder by
 * folder */
int beneath_find(const char *root, const char *path, bool ask_kernel);

/* Is @fd a file of /proc, /sys and their like, that is, made up by the kernel when it is read? */
bool beneath_is_made_up(int fd);

#endif
