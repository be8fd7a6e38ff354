/* relocate.h - VHD: a BAT of another length, and the blocks in its way */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_RELOCATE_H
#define BLOCK_VPC_RELOCATE_H

#include "block/format/vpc/on-disk.h"

/* Give the disk the sizes of @footer, and a BAT of @entries. The first @kept are those of the BAT that there is; the
 * blocks of all others are free then. Nothing is dirty, and bs->size is the caller's to change. False: nothing has
 * changed, unless s->rewrite_footers */
bool vpc_move_tables(BlockDriverState *bs, const VpcFooter *footer, int64_t entries, int64_t kept, GError **errp);

#endif
