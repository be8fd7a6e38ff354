/* compare.h - find the first difference between two images */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_COMPARE_H
#define MINIBLK_TOOLS_COMPARE_H

#include <miniblk/block.h>
#include "tools/img-progress.h"

/* As exit statuses they have the meanings of qemu-img */
typedef enum CompareResult {
    COMPARE_SAME = 0,
    COMPARE_DIFFERENT = 1,
    COMPARE_NOT_OPENED = 2,
    COMPARE_NO_STATUS = 3,          /* an image would not say where its data is */
    COMPARE_NO_DATA = 4,            /* or could not be read */
} CompareResult;

typedef struct CompareFinding {
    CompareResult result;
    bool strict;                    /* it is the block status that differs */
    int64_t offset;                 /* of the sector that differs; INT64_MAX: none */
    int image;                      /* 0 or 1: whose error it is */
    int error;                      /* errno */
} CompareFinding;

/* Find the first difference. Where one image is longer, the other one reads as zeroes. @strict: the block status
 * must be the same, too */
CompareFinding compare_images(BlockDriverState *a, BlockDriverState *b, bool strict, ImgProgress *progress);

#endif
