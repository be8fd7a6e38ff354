/* img-paths.h - paths, and the files that they lead to */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_PATHS_H
#define MINIBLK_TOOLS_IMG_PATHS_H

#include <miniblk/block.h>
#include "util/keyval.h"

/* @path as from the folder of @image, itself a path; g_free() it */
char *img_path_from(const char *image, const char *path);
/* Do these paths lead to the same file? */
bool img_is_same_file(const char *a, const char *b);
/* Is it one, and no link to one? A device and an export have bytes from before */
bool img_is_regular_file(const char *filename);
/* Is the file at @path one of @bs, or of one of its parents? */
bool img_is_file_of(BlockDriverState *bs, const char *path);
/* Is the file that @filename names, a path or not, or one that @options name, a file of @bs, or of one of its parents?
 * After a message, then */
bool img_is_input(BlockDriverState *bs, const char *filename, const KeyVal *options);

#endif
