/* img-children.h - finds the children of an image in its folder */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_CHILDREN_H
#define MINIBLK_TOOLS_IMG_CHILDREN_H

#include <miniblk/block.h>

/* Return the path of a child of @bs in the folder of @bs; NULL: none was found. g_free() it. The files of @except,
 * which is a child, and of its parents do not count. Warn, with @name, if the folder cannot be listed, and of each
 * image in it that cannot be opened */
char *img_find_child(BlockDriverState *bs, const char *name, BlockDriverState *except);

#endif
