/* path.h - paths of this host, as text: joins them, and computes relative ones */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_PATH_H
#define UTIL_PATH_H

#include <glib.h>

/* Return @name as seen from @folder, without "." and empty parts. ".." removes a part of @folder as text, also if that
 * part is a link. g_free() it, and all other results that are not const */
char *path_join(const char *folder, const char *name);

/* Return the last part of @path, a pointer into it; NULL if that is no file name: empty, "." or ".." */
const char *path_last(const char *path);

/* Return the relative path from the folder @from to @name in the folder @to. Both are absolute and without ".." */
char *path_relative(const char *from, const char *to, const char *name);

/* Return @path with all symbolic links followed; NULL: it does not exist */
char *path_resolve(const char *path);

#endif
