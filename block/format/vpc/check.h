/* check.h - VHD: the parts of a check */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_CHECK_H
#define BLOCK_VPC_CHECK_H

#include "block/format/vpc/bat.h"
#include "block/format/vpc/findings.h"

/* vpc/check-header.c */
/* Read the header and report its faults. False if the BAT can't be found by it */
bool vpc_check_header(VpcCheck *c);
/* Report unusual fields of a header that has no fault */
void vpc_check_odd_header(VpcCheck *c);
/* Report bytes behind the last entry of the BAT that are no padding */
void vpc_check_padding(VpcCheck *c);
/* Report a wrong checksum of the header, once all else was checked */
void vpc_check_header_sum(VpcCheck *c);

/* vpc/check-bat.c */
/* Call @function for each entry of the BAT. False, and a finding, if the BAT can't be read */
bool vpc_check_walk(VpcCheck *c, VpcRunFunction *function, void *user);
/* Return the kind of finding that the entry of @block is; VPC_KINDS: it is none */
VpcKind vpc_check_entry(const VpcCheck *c, int64_t block, uint32_t sector);
/* Return where the first block begins of those that can be read and lie in [@start, @end); INT64_MAX: there is none.
 * Reads the BAT */
int64_t vpc_check_find_block(VpcCheck *c, int64_t start, int64_t end);
/* Return where the last block ends that is in the file as a whole */
int64_t vpc_check_reach(VpcCheck *c);

/* vpc/check-ends.c */
/* Choose the footer that counts: s->footer, s->found, and s->read_limit where it is; 0: vpc_check_limit() finds it */
bool vpc_check_choose(VpcCheck *c, GError **errp);
/* Report faults of the chosen footer and of the other one; set s->fixed and s->differencing. False: nothing else of the
 * image can be checked */
bool vpc_check_footer(VpcCheck *c);
/* Set s->read_limit, and report bytes behind the footer. @reach: where the last block ends that is in the file */
void vpc_check_limit(VpcCheck *c, int64_t reach);

/* vpc/check-blocks.c */
/* Report entries whose blocks are where they can't be, and fill c->blocks and c->others */
void vpc_check_bat(VpcCheck *c);

/* vpc/check-space.c */
/* Report space that no block uses */
void vpc_check_space(VpcCheck *c);

/* vpc/check-bitmaps.c */
/* Report faults of the bitmaps of c->blocks */
void vpc_check_bitmaps(VpcCheck *c);
/* Set the bits of sectors in [@first, @last) that are clear and have data in them all the same. How many, or -errno */
int64_t vpc_find_data(VpcCheck *c, int64_t place, uint8_t *bitmap, int64_t first, int64_t last);

/* vpc/check-batmap.c */
/* Read the batmap into c->map, and report its faults */
void vpc_check_batmap(VpcCheck *c);
/* Report bits of the batmap of blocks that are not there in full, or not at all, and clear them in c->map */
void vpc_check_map_bits(VpcCheck *c, int64_t block, int64_t count, const char *what);
/* Return how many bytes of c->map Xen's tools sum up */
int64_t vpc_map_summed(const VpcCheck *c);

/* vpc/check-parent.c */
/* Report faults of locators, which are mended in c->mended, and of the parent */
void vpc_check_parent(VpcCheck *c);

#endif
