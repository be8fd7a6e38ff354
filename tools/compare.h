/* compare.h - finds the first difference between two images */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_COMPARE_H
#define MINIBLK_TOOLS_COMPARE_H

#include <miniblk/block.h>
#include "tools/img-progress.h"

/* The values are the exit statuses of qemu-img */
typedef enum CompareResult {
    COMPARE_SAME = 0,
    COMPARE_DIFFERENT = 1,
    COMPARE_NOT_OPENED = 2,
    COMPARE_NO_STATUS = 3,          /* the block status of an image could not be read */
    COMPARE_NO_DATA = 4,            /* the data of an image could not be read */
} CompareResult;

typedef struct CompareFinding {
    CompareResult result;
    bool strict;                    /* the difference is in the block status */
    int64_t offset;                 /* of the sector with the difference; INT64_MAX: none */
    int image;                      /* 0 or 1: the image with the error */
    int error;                      /* an errno number */
} CompareFinding;

/* Find the first difference. Where one image is longer, the other one reads as zeroes. @strict: the block status
 * must be the same, too */
CompareFinding compare_images(BlockDriverState *a, BlockDriverState *b, bool strict, ImgProgress *progress);

#endif
