/* survey.h - VHD: which blocks are where they can't be, or on each other */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_SURVEY_H
#define BLOCK_VPC_SURVEY_H

#include "block/format/vpc/state.h"
#include "block/format/vpc/table.h"

/* Read all of the BAT: where new blocks may go, and which blocks may not be written to */
bool vpc_survey(BlockDriverState *bs, GError **errp);
/* Of an image that is only read, and so was not surveyed when it was opened: warn of blocks that share their places
 * with others, and list them in s->overlapping. Looks at the BAT when it is called first */
void vpc_look_for_shared(BlockDriverState *bs);
/* Return whether @block is in s->overlapping */
bool vpc_is_shared(const VpcState *s, int64_t block);
/* Allow @block at @place to be read or, with @write, written to. 0; or -EIO, and a warning */
int vpc_allow_block(BlockDriverState *bs, int64_t block, int64_t place, bool write);
/* Warn if the file has something in sectors [@first, @last) of a dynamic disk's block, which read as zeroes as their
 * bits are clear. Others show it: QEMU does not look at bits */
void vpc_warn_of_hidden(BlockDriverState *bs, int64_t block, int64_t place, int64_t first, int64_t last);
/* Return where the blocks end that have the same entry as @block, whose place can't be right, and warn of them. The
 * last block of the disk may be shorter, and its place be right. A hole in the file is a BAT of zeroes, of any
 * length */
int64_t vpc_misplaced_end(BlockDriverState *bs, const VpcTable *piece, int64_t block);

#endif
