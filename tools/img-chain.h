/* img-chain.h - the parents of an image, even where one of them cannot be opened */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_CHAIN_H
#define MINIBLK_TOOLS_IMG_CHAIN_H

#include <glib.h>
#include "tools/img-image.h"

typedef struct ChainImage {
    char *filename;
    char *options;              /* for bdrv_open(), with driver and filename */
} ChainImage;

/* Return the parents of @image as ChainImages, the nearest first; the images may be damaged. If a parent cannot be
 * opened and there is a file at its place, it is the last one. *@end: the message why there are no more, which the
 * caller frees; NULL: the last image has no parent. g_ptr_array_unref() the result */
GPtrArray *img_find_chain(const ImgImage *image, char **end);

#endif
