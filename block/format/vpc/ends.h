/* ends.h - VHD: both ends of the file, where footers are */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_ENDS_H
#define BLOCK_VPC_ENDS_H

#include <glib.h>
#include <miniblk/driver.h>
#include "block/format/vpc/on-disk.h"

/* The end of messages about a wrong checksum: how to go on */
#define VPC_MENDED "check -r all mends it if all else agrees, salvage=on reads what is left"

/* Where the footer that counts was found */
typedef enum { VPC_AT_TAIL, VPC_AT_TAIL_511, VPC_AT_HEAD } VpcFound;

/* A footer that could not be read is all zeroes, and not ok */
typedef struct VpcEnds {
    VpcFooter head, tail;
    bool head_ok, tail_ok;
    int head_error, tail_error;     /* why it could not be read, -errno; 0: it was */
    int64_t size, tail_at;          /* of the file; where @tail is in it */
} VpcEnds;

/* Read both. False: there is no room for a footer */
bool vpc_read_ends(BlockDriverState *bs, VpcEnds *ends, GError **errp);
/* Choose the valid footer that counts: the one at the end, or its copy at the start. False: there is none, and nothing
 * is set */
bool vpc_choose_end(const VpcEnds *ends, VpcFooter *footer, VpcFound *found);
/* Return whether the footer at the end is missing because it is at the start, of a fixed disk, which has no copy; set
 * the error then */
bool vpc_fixed_at_start(const VpcEnds *ends, GError **errp);
/* Look for a footer that is not where it should be: padding tools append to files. -ENOENT: there is none; another
 * -errno: the file could not be read */
int64_t vpc_stray_footer(BlockDriverState *bs, const VpcEnds *ends);
/* Say why there is no footer. Always false */
bool vpc_no_footer(BlockDriverState *bs, const VpcEnds *ends, GError **errp);
/* Name the part that is missing of a split image, as the end of a message. "": the image has no parts. g_free() it */
char *vpc_missing_part(BlockDriverState *bs);
/* Return whether head and tail differ exactly as an interrupted rebase or resize leaves them. Then the tail is valid */
bool vpc_is_half_changed(const VpcEnds *ends);
/* Return whether head and tail describe different disks. Others change identifiers in one of them only */
bool vpc_ends_disagree(const VpcEnds *ends);

#endif
