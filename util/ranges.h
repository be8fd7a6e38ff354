/* ranges.h - a lock for ranges: requests that overlap wait for each other */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_RANGES_H
#define UTIL_RANGES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* The range of a request. It is the caller's memory, until ranges_leave() */
typedef struct BlockRange {
    int64_t start, end;         /* bytes [start, end); end INT64_MAX: no end */
    bool alone;                 /* excludes all that overlap; else only those that are alone */
    struct BlockRange *before;  /* the one that came before; NULL: this is the first */
} BlockRange;

typedef struct BlockRanges {
    pthread_mutex_t mutex;      /* guards the rest, and before of each range */
    pthread_cond_t left;        /* signalled when one has left */
    BlockRange *last;           /* the one that came last; NULL: none is inside */
} BlockRanges;

void ranges_init(BlockRanges *ranges);
/* No range may be inside, and no thread in a call of these functions */
void ranges_destroy(BlockRanges *ranges);

/* Wait for all earlier ranges that exclude this one, also for those that still wait themselves */
void ranges_enter(BlockRanges *ranges, BlockRange *range);
void ranges_leave(BlockRanges *ranges, BlockRange *range);      /* any thread may call it */

#endif
