/* tail.h - VHD: keeps room for new blocks, and a footer behind it */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_TAIL_H
#define BLOCK_VPC_TAIL_H

#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"

/* Remember that something else than a new block was, or may have been, written into the room below @end */
void vpc_spoil_room(VpcState *s, int64_t end);
/* Choose the *@place of a new block, in front of the footer. Its data reads as zeroes, and its bitmap is there: full
 * in a dynamic disk, zero in a differencing one. Until vpc_keep_place() the next call chooses the same place again */
int vpc_take_place(BlockDriverState *bs, int64_t *place);
/* Return whether the BAT entry of the block at @place, which vpc_take_place() chose last, may be on disk before its
 * data */
bool vpc_was_ready(const VpcState *s, int64_t place);
/* Count the block at @place, which vpc_take_place() chose last, as part of the disk */
void vpc_keep_place(VpcState *s, int64_t place);
/* Write the footer to @tail and flush: then all before it may be overwritten. 0 or -errno */
int vpc_move_tail(BlockDriverState *bs, int64_t tail);
/* Write the footer to s->tail_at, and to the start if s->rewrite_head, and flush. 0 or -errno */
int vpc_rewrite_footers(BlockDriverState *bs);
/* Seal @footer and make it the one of the image. If that fails, the next write or flush puts the old one back */
int vpc_change_footer(BlockDriverState *bs, const VpcFooter *footer);
/* Move the footer down to s->blocks_end, and cut the file behind it. If this fails, the file is valid and too long */
int vpc_trim(BlockDriverState *bs);
/* Make all behind @end, where blocks ended before, room again, as what was written there is not used. It stays where it
 * is as long as a footer on disk may refer to it */
void vpc_give_back(BlockDriverState *bs, int64_t end);
/* Move the footer directly behind the last block, cut the file there, and take s->blocks_end, s->first_block and
 * s->allocated anew from the BAT. All bytes of the room are given up, also those that other programs wrote. 0 or
 * -errno */
int vpc_cut_room(BlockDriverState *bs);
/* The driver's flush(): rewrite the footers if that is due, make data and bitmaps durable, and then write the tables
 * that are dirty in memory. 0 or -errno */
int vpc_flush(BlockDriverState *bs);

#endif
