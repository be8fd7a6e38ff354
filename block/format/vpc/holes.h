/* holes.h - VHD: bytes of the file, holes among them, looked at and copied */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_HOLES_H
#define BLOCK_VPC_HOLES_H

#include <glib.h>
#include <miniblk/driver.h>

/* Return whether bs->file is known to have a hole at @offset. *@bytes: how far to look, and how far the answer goes, in
 * whole sectors or up to the end of what was asked for */
bool vpc_is_hole(BlockDriverState *bs, int64_t offset, int64_t *bytes);
/* Look whether these bytes of bs->file are zero. 1: yes; 0: no; or -errno */
int vpc_is_zero(BlockDriverState *bs, int64_t offset, int64_t bytes);
/* Copy bytes of bs->file to another place in it; the two do not overlap. 0 or -errno */
int vpc_copy_bytes(BlockDriverState *bs, int64_t from, int64_t to, int64_t bytes);
/* Cut or lengthen bs->file to @size. 0 or -errno */
int vpc_set_file_size(BlockDriverState *bs, int64_t size);

#endif
