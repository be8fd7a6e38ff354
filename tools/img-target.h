/* img-target.h - an output that is there as a whole or not at all */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_TARGET_H
#define MINIBLK_TOOLS_IMG_TARGET_H

#include <sys/types.h>
#include "tools/img.h"

typedef struct ImgTarget {
    const char *filename;           /* the user's word */
    char *made, *real;              /* what it is made by, and becomes; NULL: it is made in its place, as where that is no
                                     * regular file, has other names, or is in a folder that can't be written to */
    BlockDriverState *held;         /* the file that is to be replaced; NULL: there is none */
    mode_t mode;                    /* its own */
} ImgTarget;

/* The name by which to create it. One target at a time. Messages have @filename */
const char *img_target_begin(ImgTarget *target, const char *filename);
/* It is closed. @ok: it is finished, and takes its name; else what was made beside it is removed. False after a message
 * if that fails, or if @ok was false */
bool img_target_end(ImgTarget *target, bool ok);

#endif
