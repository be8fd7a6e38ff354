/* survey.h - VHD: which blocks are where they can't be, or on each other */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_SURVEY_H
#define BLOCK_VPC_SURVEY_H

#include "block/format/vpc/state.h"
#include "block/format/vpc/table.h"

/* Read all of the BAT: where new blocks may go, and which blocks may not be written to */
bool vpc_survey(BlockDriverState *bs, GError **errp);
/* Warn of blocks that share their places with others, and list them in s->overlapping; for images that are only read, which
 * are not surveyed when they are opened */
void vpc_look_for_shared(BlockDriverState *bs);
/* Is @block in s->overlapping? */
bool vpc_is_shared(const VpcState *s, int64_t block);
/* May it be read, or, @write, written to? -EIO and a warning if not */
int vpc_check_block(BlockDriverState *bs, int64_t block, int64_t place, bool write);
/* Warn if the file has something in sectors [@first, @last) of a dynamic disk's block, which read as zeroes as their
 * bits are clear. Others show it: QEMU does not look at bits */
void vpc_warn_of_hidden(BlockDriverState *bs, int64_t block, int64_t place, int64_t first, int64_t last);
/* Return, and warn of, the end of the blocks that can't be where their entries say, the same as that of @block. The
 * disk's last block may be shorter, and be somewhere else. A hole in the file is a BAT of zeroes: as long as anybody
 * likes, for nothing */
int64_t vpc_misplaced_end(BlockDriverState *bs, const VpcTable *piece, int64_t block);

#endif
