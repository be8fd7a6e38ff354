/* salvage.h - VHD: what can be read of an image that can't be opened otherwise */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_SALVAGE_H
#define BLOCK_VPC_SALVAGE_H


/* Open an image as far as that goes, for reading */
bool vpc_salvage(BlockDriverState *bs, GError **errp);
/* Map what is left at @place of a block that can't be read; -1: its place is not known. Of what is not there, *@ext may
 * reach over blocks behind it that are not there either */
void vpc_salvage_block(BlockDriverState *bs, int64_t offset, int64_t place, BlockExtent *ext);
/* Are sectors [@first, @last) of @block, at @place in a dynamic disk, read as they are in the file though their bits
 * are clear? Warns if so. Not where the block shares its place with another, as the bytes may be that one's */
bool vpc_salvage_hidden(BlockDriverState *bs, int64_t block, int64_t place, int64_t first, int64_t last);

#endif
