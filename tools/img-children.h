/* img-children.h - which images beside an image have it for their parent? */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_CHILDREN_H
#define MINIBLK_TOOLS_IMG_CHILDREN_H

#include <miniblk/block.h>

/* Return the path of a child of @bs in its folder. A file of @except, which is a child, or of its parents does not
 * count. Images that cannot be opened are warned of, as is a folder that cannot be listed, with @name. NULL: no
 * child was found. g_free() it */
char *img_find_child(BlockDriverState *bs, const char *name, BlockDriverState *except);

#endif
