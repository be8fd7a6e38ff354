/* img-backing.h - the parent of a new image: -b, -B and -F */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_BACKING_H
#define MINIBLK_TOOLS_IMG_BACKING_H

#include <miniblk/driver.h>
#include "util/keyval.h"

/* Put the parent @backing and its @format into @options; NULL: not given. @filename: the new image. False after a
 * message, which begins with @where: @drv has no parents, or the new image would overwrite its parent or an image that
 * the parent needs */
bool img_set_backing(KeyVal *options, const BlockDriver *drv, const char *backing, const char *format,
                     const char *filename, const char *where);
/* Return the end of a message, which advises -F raw if @format is NULL and @parent is a raw disk; else "". @parent is
 * relative to the folder of @image */
const char *img_advice_on_parent(const char *image, const char *parent, const char *format);

#endif
