/* img-chain.h - the images behind an image, to be looked at one by one */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_CHAIN_H
#define MINIBLK_TOOLS_IMG_CHAIN_H

#include <glib.h>
#include "tools/img-image.h"

typedef struct ChainImage {
    char *filename;
    char *options;              /* for bdrv_open(), its driver and file among them */
} ChainImage;

/* Return the parents of @image as ChainImages, the nearest first; the images need not be sound. A parent that cannot
 * be opened is the last one, if there is a file at its place. *@end: the message why there are no more, which the
 * caller frees; NULL: the last image has no parent. g_ptr_array_unref() it */
GPtrArray *img_find_chain(const ImgImage *image, char **end);

#endif
