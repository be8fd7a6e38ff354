/* tail.h - VHD: room for new blocks, and the footer behind it */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_TAIL_H
#define BLOCK_VPC_TAIL_H

#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"

/* Something else than a new block was, or may have been, written into the room below @end */
void vpc_spoil_room(VpcState *s, int64_t end);
/* Choose the *@place of a new block, in front of the footer. Its data reads as zeroes, and its bitmap is there: full
 * in a dynamic disk, zero in a differencing one. Until vpc_keep_place() the next call chooses the same place again */
int vpc_take_place(BlockDriverState *bs, int64_t *place);
/* May the BAT entry of a block at @place, which was taken last, be on disk before the data? */
bool vpc_was_ready(const VpcState *s, int64_t place);
/* The block at @place, which was taken last, is part of the disk */
void vpc_keep_place(VpcState *s, int64_t place);
/* A footer at @tail, on stable storage, so that all before it may be overwritten */
int vpc_move_tail(BlockDriverState *bs, int64_t tail);
/* The footer to the end of the file, and to the start if s->rewrite_head */
int vpc_rewrite_footers(BlockDriverState *bs);
/* @footer, which is sealed here, is that of the image from now on. If it fails, the next write or flush puts the old
 * one back */
int vpc_change_footer(BlockDriverState *bs, const VpcFooter *footer);
/* The footer to s->blocks_end, if it is further out, and the file is cut behind it. If this fails, the file is valid and too
 * long */
int vpc_trim(BlockDriverState *bs);
/* All behind @end, where blocks ended before, is room again: what was written there counts for nothing. It stays
 * where it is as long as a footer on disk may refer to it */
void vpc_give_back(BlockDriverState *bs, int64_t end);
/* Move the footer directly behind the last block, cut the file there, and take s->blocks_end, s->first_block and
 * s->allocated anew from the BAT: also what is in the room and not ours is given up. 0 or -errno */
int vpc_cut_room(BlockDriverState *bs);
/* Flush the file, so that data and bitmaps are durable, and then write the tables that are dirty in memory. 0 or -errno */
int vpc_write_tables(BlockDriverState *bs);

#endif
