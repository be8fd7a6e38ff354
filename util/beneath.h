/* beneath.h - finds the file of a path without opening it, and without leaving a folder */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_BENEATH_H
#define UTIL_BENEATH_H

#include <stdbool.h>

/* Return an O_PATH descriptor of the file at @path, with all symbolic links followed, or -errno. The magic links of
 * /proc, which lead to files that a process has open, are not followed: -ELOOP.
 * @root: a folder. Nothing outside of it is looked at, even if another program exchanges links meanwhile. As text, made
 * absolute and without "..", @path must begin with @root, or with @root after its links are resolved; so must the
 * target of an absolute symbolic link. -EXDEV: @path leads out of the folder. NULL: @path may lead anywhere.
 * @ask_kernel: use openat2() if the kernel has it. Else, or if it cannot decide, walk folder by folder */
int beneath_find(const char *root, const char *path, bool ask_kernel);

/* Return whether @fd is a file of /proc, /sys or the like, whose contents the kernel makes up when it is read */
bool beneath_is_made_up(int fd);

#endif
