/* img-target.h - an output that is there as a whole or not at all */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_TARGET_H
#define MINIBLK_TOOLS_IMG_TARGET_H

#include <sys/stat.h>
#include "tools/img.h"

typedef struct ImgTarget {
    const char *filename;           /* the user's word */
    char *made, *real;              /* what it is made by, and becomes; NULL: it is made in its place, as where that is no
                                     * regular file, has other names, or is in a folder that can't be written to */
    BlockDriverState *held;         /* the file that is to be replaced; NULL: there is none */
    bool there;                     /* one of that name was there at the beginning, */
    struct stat was;                /* and this is what it was */
} ImgTarget;

/* Return the name by which to create the image. There is one target at a time. Messages have @filename in its place */
const char *img_target_begin(ImgTarget *target, const char *filename);
/* Rename what was made, and is closed, to its filename if @ok, else remove it. False, after a message, if that
 * fails, or if @ok is false */
bool img_target_end(ImgTarget *target, bool ok);

#endif
