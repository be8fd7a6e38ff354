/* img-convert.h - what the parts of miniblk-img convert share */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_CONVERT_H
#define MINIBLK_TOOLS_IMG_CONVERT_H

#include "tools/img-image.h"
#include "tools/img-progress.h"
#include "tools/img-target.h"
#include "util/keyval.h"

typedef struct ConvertArgs {
    ImgImage from;              /* what all sources have in common */
    char **filenames;           /* of the sources, one after another */
    int count;
    ImgImage *sources;          /* @count of them */
    int64_t size;               /* of all of them */
    ImgImage to;
    ImgTarget *target;          /* NULL: -n */
    const char *cache, *from_cache;
    KeyVal *options;
    const char *backing, *backing_format;   /* NULL: not given */
    bool existing;              /* -n */
    bool differences;           /* the output has a parent: write only what that has not */
    bool compress, progress, quiet;
    bool salvage, offload, snapshot, bitmaps, skip_broken_bitmaps;     /* --salvage -C -l --bitmaps … */
    int64_t rate;               /* bytes per second; 0: any */
    BlockCopyOptions copy;
} ConvertArgs;

/* Read the command line. Options that are not given leave their fields as they were, and file names are NULL. False
 * after a message */
bool convert_parse_args(ConvertArgs *args, int argc, char **argv);
/* Check that the options go together, and set the flags of the images. False after a message */
bool convert_check_args(ConvertArgs *args);

/* Make args->to.bs read as @from does, writing only where it differs. False and @errp set on failure */
bool convert_differences(const ConvertArgs *args, BlockDriverState *from, ImgProgress *progress, GError **errp);

#endif
