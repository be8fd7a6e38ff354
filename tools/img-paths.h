/* img-paths.h - paths, and the files that they lead to */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_PATHS_H
#define MINIBLK_TOOLS_IMG_PATHS_H

#include <miniblk/block.h>
#include "util/keyval.h"

/* Return @path as seen from the folder of @image, which is a path, too. g_free() it */
char *img_path_from(const char *image, const char *path);
/* Return true if both paths lead to the same file */
bool img_is_same_file(const char *a, const char *b);
/* Return true if a regular file has this name, and not a link to one. Devices and exports keep bytes from before */
bool img_is_regular_file(const char *filename);
/* Return true if @path is the file of @bs, or of one of its parents */
bool img_is_file_of(BlockDriverState *bs, const char *path);
/* Return true, after a message, if a file that @filename or @options name is one of @bs, or of its parents.
 * @filename need not be a path */
bool img_is_input(BlockDriverState *bs, const char *filename, const KeyVal *options);

#endif
