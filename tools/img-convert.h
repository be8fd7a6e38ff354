/* img-convert.h - what the parts of miniblk-img convert share */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_CONVERT_H
#define MINIBLK_TOOLS_IMG_CONVERT_H

#include "tools/img.h"

typedef struct ConvertArgs {
    ImgImage from, to;
    const char *cache, *from_cache;
    KeyVal *options;
    const char *backing, *backing_format;   /* NULL: not given */
    bool existing;              /* -n */
    bool differences;           /* the output has a parent: write only what that has not */
    bool compress, progress, quiet;
    BlockCopyOptions copy;
} ConvertArgs;

/* False after a message. What is not on the command line stays as it was; file names are NULL then. */
bool convert_parse_args(ConvertArgs *args, int argc, char **argv);
/* Do the options go together? Sets the images' flags. False after a message */
bool convert_check_args(ConvertArgs *args);

/* Make args->to.bs read as args->from.bs does, writing only where it does not yet. False and @errp set on failure */
bool convert_differences(const ConvertArgs *args, ImgProgress *progress, GError **errp);

#endif
