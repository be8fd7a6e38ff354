/* path.h - paths of this host, as text */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_PATH_H
#define UTIL_PATH_H

#include <glib.h>

/* @name in @folder, without "." and empty parts. ".." in @name takes away a part of @folder, whatever
 * that may link to. g_free() it, and what the others return that is not const */
char *path_join(const char *folder, const char *name);

/* The last part of @path, in it; NULL if that is no name of a file: empty, "." or ".." */
const char *path_last(const char *path);

/* The way from the folder @from to @name in the folder @to, both absolute and without ".." */
char *path_relative(const char *from, const char *to, const char *name);

/* Where @path leads, all symbolic links followed; NULL: it does not exist */
char *path_resolve(const char *path);

#endif
