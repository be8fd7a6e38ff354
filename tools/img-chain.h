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

/* The parents of @image, which need not be sound, the nearest first. Where one can't be opened, it is the last that is
 * found, if there is a file where it would be; *@end: why there are no more, to be freed; NULL: the last one has no
 * parent. g_ptr_array_unref() it */
GPtrArray *img_find_chain(const ImgImage *image, char **end);

#endif
