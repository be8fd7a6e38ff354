/* img-paths.h - compares paths by the files that they lead to */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_PATHS_H
#define MINIBLK_TOOLS_IMG_PATHS_H

#include <miniblk/block.h>
#include "util/keyval.h"

/* Return @path, which is relative to the folder of @image, as a path from the current folder. g_free() it */
char *img_path_from(const char *image, const char *path);
/* Return true if both paths lead to the same file */
bool img_is_same_file(const char *a, const char *b);
/* Return true if @filename is a regular file, and no link to one */
bool img_is_regular_file(const char *filename);
/* Return true if @path is the file of @bs, or of one of its parents */
bool img_is_file_of(BlockDriverState *bs, const char *path);
/* Return true, after a message, if @filename or @options name the file of @bs, or of one of its parents. @filename may
 * also stand for options (nbd://…) */
bool img_is_input(BlockDriverState *bs, const char *filename, const KeyVal *options);

#endif
