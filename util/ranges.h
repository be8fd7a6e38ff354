/* ranges.h - requests that overlap wait for each other */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_RANGES_H
#define UTIL_RANGES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* A request, in the caller's memory until it has left */
typedef struct BlockRange {
    int64_t start, end;         /* bytes; end is behind the last, INT64_MAX: all from start on */
    bool alone;                 /* beside nothing that overlaps; else beside all that are not alone */
    struct BlockRange *before;  /* in the order in which they came; NULL: the first */
} BlockRange;

typedef struct BlockRanges {
    pthread_mutex_t mutex;      /* guards the rest, and who is before whom */
    pthread_cond_t left;        /* one has left */
    BlockRange *last;           /* NULL: nobody is inside */
} BlockRanges;

void ranges_init(BlockRanges *ranges);
/* Nobody is inside, nor still in a call of these functions */
void ranges_destroy(BlockRanges *ranges);

/* Waits for those that came before and may not be beside this one. First come, first served: one that waits is
 * waited for */
void ranges_enter(BlockRanges *ranges, BlockRange *range);
void ranges_leave(BlockRanges *ranges, BlockRange *range);      /* from whatever thread */

#endif
