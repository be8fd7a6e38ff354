/* img-backing.h - -b or -B, and -F: the parent of a new image */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_BACKING_H
#define MINIBLK_TOOLS_IMG_BACKING_H

#include <miniblk/driver.h>
#include "util/keyval.h"

/* Set in @options the parent @backing and its @format, NULL where they are not given. @filename: the new image. False
 * after a message, which begins with @where: @drv has no parents, or the new image would overwrite its parent, or an
 * image that the parent needs */
bool img_set_backing(KeyVal *options, const BlockDriver *drv, const char *backing, const char *format,
                     const char *filename, const char *where);
/* Return the end of a message which advises -F raw: @parent, a path as from the folder of @image, is a raw disk, and
 * @format is NULL. "" in all other cases */
const char *img_advice_on_parent(const char *image, const char *parent, const char *format);

#endif
