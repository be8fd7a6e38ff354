/* img-children.h - which images beside an image have it for their parent? */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_CHILDREN_H
#define MINIBLK_TOOLS_IMG_CHILDREN_H

#include <miniblk/block.h>

/* Return the path of an image in the folder of @bs that has it for its parent, and is no file of @except, a child, or its
 * parents. NULL: there is none, or the folder can't be listed, which is warned of by @name, as are images that can't be
 * opened. g_free() it */
char *img_find_child(BlockDriverState *bs, const char *name, BlockDriverState *except);

#endif
