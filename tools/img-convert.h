/* img-convert.h - shared by the files of miniblk-img convert */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_CONVERT_H
#define MINIBLK_TOOLS_IMG_CONVERT_H

#include "tools/img-image.h"
#include "tools/img-progress.h"
#include "tools/img-target.h"
#include "util/keyval.h"

typedef struct ConvertArgs {
    ImgImage from;              /* options of all sources */
    char **filenames;           /* of the sources, in order */
    int count;
    ImgImage *sources;          /* @count of them */
    int64_t size;               /* of all sources together */
    ImgImage to;
    ImgTarget *target;          /* NULL with -n */
    const char *cache, *from_cache;
    KeyVal *options;
    const char *backing, *backing_format;   /* NULL: not given */
    bool existing;              /* -n: the output exists */
    bool differences;           /* the output has a parent: write only the differences to it */
    bool compress, progress, quiet;
    bool salvage, offload, snapshot, bitmaps, skip_broken_bitmaps;     /* --salvage -C -l --bitmaps … */
    int64_t rate;               /* bytes per second; 0: any */
    BlockCopyOptions copy;
} ConvertArgs;

/* Read the command line. Options that are not given leave their fields unchanged; missing file names are NULL. False
 * after a message */
bool convert_parse_args(ConvertArgs *args, int argc, char **argv);
/* Check that no options exclude each other, and set the flags of the images. False after a message */
bool convert_check_args(ConvertArgs *args);

/* Make args->to.bs read as @from, by writes only where it differs. False and @errp set on failure */
bool convert_differences(const ConvertArgs *args, BlockDriverState *from, ImgProgress *progress, GError **errp);

#endif
