/* split.h - the names of the files of a split image */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_SPLIT_H
#define BLOCK_SPLIT_H

#include <stdbool.h>

/* Return the filename of part @n, counted from 1, of the image whose first part is @filename: "vm.v01" beside
 * "vm.vhd". NULL: there is no such file. g_free() it */
char *split_part(const char *filename, unsigned n);

/* Return the filename of the next part that exists, "vm.v01", or a later one if that is missing. NULL: there is none.
 * g_free() it */
char *split_next(const char *filename);

/* Return whether @filename is that of a later part, "vm.v01" */
bool split_is_part(const char *filename);

/* Return the filename of the first part, "vm.vhd", if @filename is that of a later part, "vm.v01", and the first part
 * exists; else NULL. g_free() it */
char *split_first(const char *filename);

#endif
