/* check.h - VHD: the parts of a check */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_CHECK_H
#define BLOCK_VPC_CHECK_H

#include "block/format/vpc/bat.h"
#include "block/format/vpc/findings.h"

/* vpc/check-header.c */
/* What is wrong with the header. False if the BAT can't be found by it */
bool vpc_check_header(VpcCheck *c);
/* What is unusual about it */
void vpc_check_odd_header(VpcCheck *c);
/* What is behind the last entry of the BAT */
void vpc_check_padding(VpcCheck *c);
/* A wrong checksum, once all else was looked at */
void vpc_check_header_sum(VpcCheck *c);

/* vpc/check-bat.c */
/* Call @function for each entry of the BAT; what can't be read is a finding, and false */
bool vpc_check_walk(VpcCheck *c, VpcRunFunction *function, void *user);
/* What kind of trouble an entry is; VPC_KINDS: none */
VpcKind vpc_check_entry(const VpcCheck *c, int64_t block, uint32_t sector);
/* Where the first block begins of those that can be read and lie in [@start, @end); INT64_MAX: none. Reads the BAT */
int64_t vpc_check_find_block(VpcCheck *c, int64_t start, int64_t end);
/* Where the last block ends that is in the file as a whole */
int64_t vpc_check_reach(VpcCheck *c);

/* vpc/check-ends.c */
/* Which footer counts: s->footer, and s->found. s->read_limit is where it is; 0: to be found out */
bool vpc_check_choose(VpcCheck *c, GError **errp);
/* What is wrong with it, and with the other one; which kind of disk it is. False if there is no going on */
bool vpc_check_footer(VpcCheck *c);
/* Where blocks end, and what is behind the footer. @reach: where the last one ends that is in the file */
void vpc_check_limit(VpcCheck *c, int64_t reach);

/* vpc/check-blocks.c */
/* The BAT, and which blocks are where they can't be */
void vpc_check_bat(VpcCheck *c);

/* vpc/check-space.c */
/* What no block uses */
void vpc_check_space(VpcCheck *c);

/* vpc/check-bitmaps.c */
void vpc_check_bitmaps(VpcCheck *c);
/* Set the bits of sectors in [@first, @last) that are clear and have data in them all the same. How many, or -errno */
int64_t vpc_find_data(VpcCheck *c, int64_t place, uint8_t *bitmap, int64_t first, int64_t last);

/* vpc/check-batmap.c */
void vpc_check_batmap(VpcCheck *c);
/* Blocks that are not there in full, or not at all: their bits have to be clear */
void vpc_check_map_bits(VpcCheck *c, int64_t block, int64_t count, const char *what);
/* How many bytes of the map Xen sums up */
int64_t vpc_map_summed(const VpcCheck *c);

/* vpc/check-parent.c */
/* Locators, which are mended in c->mended, and the parent */
void vpc_check_parent(VpcCheck *c);

#endif
