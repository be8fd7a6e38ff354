/* img-target.h - an output that is there as a whole or not at all */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_TARGET_H
#define MINIBLK_TOOLS_IMG_TARGET_H

#include <sys/stat.h>
#include <miniblk/driver.h>
#include "util/keyval.h"

typedef struct ImgTarget {
    const char *filename;           /* the user's word */
    char *made, *real;              /* what it is made by, and becomes; NULL: it is made in its place, as where that is no
                                     * regular file, has other names, or is in a folder that can't be written to */
    BlockDriverState *held;         /* the file that is to be replaced; NULL: there is none */
    bool there;                     /* one of that name was there at the beginning, */
    struct stat was;                /* and this is what it was */
    bool marked;                    /* the image says that it is unfinished, as long as it is */
    bool begun;                     /* what was in the place of the image is lost */
} ImgTarget;

/* Begin to make @filename, and return the name by which to create the image. There is one target at a time. Messages
 * print @filename in place of that name */
const char *img_target_begin(ImgTarget *target, const char *filename);
/* Create an image by @options. False after a message, in which the reason follows @doing */
bool img_create_image(const char *filename, const BlockDriver *drv, KeyVal *options, const char *doing);
/* Create the image of a target by @options, and by those that its place needs, as img_create_image() does. *@open:
 * the options to open it with, "" if none; g_free() it */
bool img_target_create(ImgTarget *target, const BlockDriver *drv, KeyVal *options, const char *doing, char **open);
/* Take away the mark "unfinished", once all is written to @bs. False after a message */
bool img_target_finish(ImgTarget *target, BlockDriverState *bs);
/* Rename the new image, which is closed, to its filename if @ok; else remove it. An image that was made in its place
 * is emptied if it is a file, else a message says that only a part of it is there. False after a message if that
 * fails, or if @ok is false */
bool img_target_end(ImgTarget *target, bool ok);

#endif
