/* img-target.h - a new image that is there as a whole or not at all */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_TARGET_H
#define MINIBLK_TOOLS_IMG_TARGET_H

#include <sys/stat.h>
#include <miniblk/driver.h>
#include "util/keyval.h"

typedef struct ImgTarget {
    const char *filename;           /* as the user gave it */
    char *made, *real;              /* the path of the unfinished image, and its final path. NULL: it is made in place,
                                     * as it is no regular file, has several names, or its folder cannot be written */
    BlockDriverState *held;         /* the file that will be replaced, open; NULL: none */
    bool there;                     /* a file of that name existed at the beginning */
    struct stat was;                /* identity and owner of that file */
    bool marked;                    /* the image has a mark "unfinished" until img_target_finish() */
    bool begun;                     /* the old contents in the place of the image are lost */
} ImgTarget;

/* Begin to make @filename. Return the name with which to create the image; messages print @filename instead of it.
 * There is one target at a time */
const char *img_target_begin(ImgTarget *target, const char *filename);
/* Create an image with @options. False after a message, which has @doing and the reason */
bool img_create_image(const char *filename, const BlockDriver *drv, KeyVal *options, const char *doing);
/* Create the image of a target, as img_create_image() does, with options added that its place needs. *@open: options to
 * open it, "" if none; g_free() it */
bool img_target_create(ImgTarget *target, const BlockDriver *drv, KeyVal *options, const char *doing, char **open);
/* Remove the mark "unfinished", when all is written to @bs. False after a message */
bool img_target_finish(ImgTarget *target, BlockDriverState *bs);
/* If @ok, rename the new image, which is closed, to its filename; else remove it. An image that was made in place is
 * emptied if it is a file; otherwise a message says that it is incomplete. False if @ok is false, or after a message */
bool img_target_end(ImgTarget *target, bool ok);

#endif
