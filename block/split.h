/* split.h - images that lie in several files */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_SPLIT_H
#define BLOCK_SPLIT_H

/* The file that has part @n, from 1 on, of the image whose first part is @filename: "vm.v01" beside "vm.vhd"; NULL: there
 * is none. g_free() it */
char *split_part(const char *filename, unsigned n);

/* The first part, if @filename is named as a later one and the first is there; NULL: no. g_free() it */
char *split_first(const char *filename);

#endif
