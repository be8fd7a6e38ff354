/* header.h - VHD: the header of a dynamic or differencing disk */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_HEADER_H
#define BLOCK_VPC_HEADER_H

#include <glib.h>
#include <miniblk/driver.h>
#include "block/format/vpc/on-disk.h"

/* Where everybody has the header, in a file of ours */
#define VPC_HEADER_HOME 512

/* Return whether it begins as every header */
bool vpc_has_header_cookie(const VpcHeader *header);
/* Return the checksum that @header should have */
uint32_t vpc_header_sum(const VpcHeader *header);
/* Return whether its checksum is right */
bool vpc_header_is_sealed(const VpcHeader *header);
/* Store the checksum of a header that was changed */
void vpc_seal_header(VpcHeader *header);
/* Read all of the header; or the first half of it, with a warning, if the checksum says that the second one, which
 * could not be read, is zero. 0 or -errno: then the first half is in *@header, or zeroes are */
int vpc_read_header(BlockDriverState *bs, int64_t offset, VpcHeader *header);

#endif
