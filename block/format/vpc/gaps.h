/* gaps.h - VHD: the last blocks into places that are free */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_GAPS_H
#define BLOCK_VPC_GAPS_H


/* Move blocks from the end of the file into free space below, as far as there is any. 0 or -errno */
int vpc_fill_gaps(BlockDriverState *bs);

#endif
