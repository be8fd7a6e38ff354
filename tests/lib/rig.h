/* rig.h - a disk in memory behind a blkdebug node, and requests by letters */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include "medium.h"

enum { RIG_SIZE = 1 << 20, RIG_UNIT = 4096, RIG_OLD = 1, RIG_NEW = 2 };

/* RIG_SIZE bytes of RIG_OLD */
typedef struct Rig {
    Medium medium;
    BlockDriverState *bs;
} Rig;

Rig rig_new(const char *options);       /* blkdebug's; the disk's counts start at 0 */
void rig_free(Rig *rig);
BlockDriverState *rig_try_open(Medium *medium, const char *options, GError **errp);

/* On any image: 0 or -errno. What is written is RIG_NEW */
int rig_read(BlockDriverState *bs, int64_t offset, int64_t bytes);
int rig_write(BlockDriverState *bs, int64_t offset, int64_t bytes);
int rig_truncate(BlockDriverState *bs, int64_t size);

/* The first RIG_UNIT bytes, by a letter: (r)ead, (w)rite, (z)ero, (d)iscard, (f)lush, (t)runcate to RIG_SIZE,
 * block (s)tatus */
int rig_request(BlockDriverState *bs, char kind);

/* What comes of requests one after another: '.' for those that work, 'X' for those that do not; g_free() it */
char *rig_outcome(BlockDriverState *bs, const char *requests);

#endif
