/* ranges.c - a lock for ranges: requests that overlap wait for each other */
/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include "util/ranges.h"

void ranges_init(BlockRanges *ranges)
{
    pthread_mutex_init(&ranges->mutex, NULL);
    pthread_cond_init(&ranges->left, NULL);
    ranges->last = NULL;
}

void ranges_destroy(BlockRanges *ranges)
{
    pthread_cond_destroy(&ranges->left);
    pthread_mutex_destroy(&ranges->mutex);
}

static bool must_wait(const BlockRange *range)
{
    for (const BlockRange *r = range->before; r; r = r->before) {
        if ((r->alone || range->alone) && r->start < range->end && range->start < r->end) {
            return true;
        }
    }
    return false;
}

/* A request waits only for earlier ones, so one of them can always go on */
void ranges_enter(BlockRanges *ranges, BlockRange *range)
{
    pthread_mutex_lock(&ranges->mutex);
    range->before = ranges->last;
    ranges->last = range;
    while (must_wait(range)) {
        pthread_cond_wait(&ranges->left, &ranges->mutex);
    }
    pthread_mutex_unlock(&ranges->mutex);
}

void ranges_leave(BlockRanges *ranges, BlockRange *range)
{
    pthread_mutex_lock(&ranges->mutex);
    BlockRange **link = &ranges->last;

    while (*link != range) {
        link = &(*link)->before;
    }
    *link = range->before;
    pthread_cond_broadcast(&ranges->left);
    pthread_mutex_unlock(&ranges->mutex);
}
