/* judge.h - VHD: the rules about footer, header, BAT and blocks, and about the image behind a differencing disk */
/* SPDX-License-Identifier: MIT
 *
 * A rule returns the faults that it found, and does not say how bad they are: open() stops at the first fault that it
 * can't do with, a check reports all of them, and salvage=on goes on.
 */
#ifndef BLOCK_VPC_JUDGE_H
#define BLOCK_VPC_JUDGE_H

#include <glib.h>
#include <miniblk/driver.h>
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"

/* What may be wrong with a footer whose checksum is right, in the order in which it is looked for */
typedef enum VpcFooterFault {
    VPC_FOOTER_GOOD, VPC_FOOTER_VERSION_BAD, VPC_FOOTER_TYPE_BAD,
    VPC_FOOTER_SIZE_BAD,        /* the size is 2^63 or more */
    VPC_FOOTER_SIZE_HUGE,       /* it is less, but a block behind it would end past 2^63: open() can do with that */
} VpcFooterFault;

/* Return the first fault */
VpcFooterFault vpc_judge_footer(const VpcFooter *footer);
/* Return the clause that says so; g_free() it. NULL: the footer is good */
char *vpc_say_footer_fault(const VpcFooter *footer, VpcFooterFault fault);
/* Return whether the fields of @footer are what every program writes. Then a wrong checksum is the only thing that is
 * wrong with it */
bool vpc_is_plain_footer(const VpcFooter *footer);
/* Return whether @at, a footer's data offset, is a place for a header in front of @limit */
bool vpc_is_header_place(uint64_t at, int64_t limit);

/* What may be wrong with a header, in the order in which it is looked for; its checksum is apart from this */
typedef enum VpcHeaderFault {
    VPC_HEADER_GOOD, VPC_HEADER_NO_COOKIE, VPC_HEADER_VERSION_BAD, VPC_HEADER_BLOCK_SIZE_BAD,
    VPC_HEADER_TOO_MANY_ENTRIES, VPC_HEADER_BAT_UNALIGNED, VPC_HEADER_BAT_OUTSIDE,
} VpcHeaderFault;

/* Return the first fault; tables are to end at or before @limit */
VpcHeaderFault vpc_judge_header(const VpcHeader *header, int64_t limit);
/* Return whether @header can be that of a disk with this footer. The checksum is apart from this */
bool vpc_is_header_of(const VpcHeader *header, const VpcFooter *footer);

/* What may be unusual about a good header. Any of them may come together */
enum {
    VPC_ODD_DATA_OFFSET     = 1 << 0,   /* the data offset, which nobody uses, is not all ones */
    VPC_ODD_VERSION         = 1 << 1,   /* the version is 1.x, and x is not 0 */
    VPC_ODD_BLOCK_SIZE      = 1 << 2,   /* blocks have neither 2 MiB nor 512 KiB */
    VPC_ODD_BLOCK_SIZE_2    = 1 << 3,   /* the block size is no power of two */
};

/* Return all that is unusual. 0: nothing is */
unsigned vpc_judge_odd_header(const VpcHeader *header);

/* Return how many entries the BAT has more than a disk of @disk_size needs. Below 0: so many are missing */
int64_t vpc_spare_entries(const VpcState *s, int64_t disk_size);
/* Return whether these bytes, behind the last entry of a BAT, are padding: all ones or all zeroes */
bool vpc_is_padding(const uint8_t *bytes, int64_t count);

/* What may be wrong with the place of a block. Any of them may come together; VPC_PLACE_OUTSIDE comes with
 * VPC_PLACE_CUT */
enum {
    VPC_PLACE_OUTSIDE       = 1 << 0,   /* its data begins past s->read_limit */
    VPC_PLACE_TABLES        = 1 << 1,   /* its bitmap is where vital metadata is: there never was a block */
    VPC_PLACE_CUT           = 1 << 2,   /* what the disk has of its data ends past s->read_limit */
    VPC_PLACE_OVER_TABLES   = 1 << 3,   /* its data is where vital metadata is */
    VPC_PLACE_OVER_NAMES    = 1 << 4,   /* bitmap or data are where locators or the header of a batmap are */
    VPC_PLACE_OVER_ROOM     = 1 << 5,   /* bitmap or data are where locators or a batmap are, or have room that they do
                                         * not use. Always with VPC_PLACE_OVER_NAMES */
};

/* Return all that is wrong with @block at @place, a block of a disk of @disk_size bytes. 0: nothing is */
unsigned vpc_judge_place(const VpcState *s, int64_t block, int64_t place, int64_t disk_size);
/* Return whether two blocks overlap, of which @before is not behind @key. All are of one length, so that in a sorted
 * list one that overlaps any overlaps a neighbour */
bool vpc_overlap(const VpcState *s, uint64_t before, uint64_t key);

/* What may be odd about the image behind a differencing disk. Any of them may come together. When it was changed is
 * apart from this, see vpc_changed_since() */
enum {
    VPC_BACKING_OTHER_ID    = 1 << 0,   /* its unique id is not the one that the header remembers */
    VPC_BACKING_SHORTER     = 1 << 1,
    VPC_BACKING_LONGER      = 1 << 2,
    VPC_BACKING_NAMES_MORE  = 1 << 3,   /* it is a VHD, and shorter than its footer says, as its geometry counts */
};

/* Return all that is odd about @backing, behind a disk of @size bytes with this header. 0: nothing is. An image that is
 * no VHD has no unique id, and a header whose parent_uuid is zero remembers none */
unsigned vpc_judge_backing(const VpcHeader *header, BlockDriverState *backing, int64_t size);

#endif
