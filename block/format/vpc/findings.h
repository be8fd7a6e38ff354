/* findings.h - VHD: everything that may be wrong, and what a check finds and leaves for the repair */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_FINDINGS_H
#define BLOCK_VPC_FINDINGS_H

#include "block/format/vpc/ends.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/on-disk.h"

/* Every kind of finding, as the layer wants them; VPC_KINDS ends it */
extern const BlockCheckKind vpc_check_kinds[];

/* Rows of vpc_check_kinds[], in its order: that in which they are repaired. docs/VHD.md explains the codes */
typedef enum VpcKind {
    VPC_POISONED, VPC_UNFINISHED, VPC_NO_FOOTER,
    VPC_NO_CHECKSUM, VPC_BAD_CHECKSUM, VPC_NO_HEAD, VPC_NO_TAIL,
    VPC_ENDS_ONE_WRONG, VPC_ENDS_DISAGREE, VPC_ENDS_DIFFER, VPC_TAIL_511, VPC_BEHIND_FOOTER,
    VPC_FOOTER_UNKNOWN, VPC_SIZE_IMPOSSIBLE, VPC_FILE_SHORT, VPC_FOOTER_ODD, VPC_SIZE_ODD,
    VPC_HEADER_CHECKSUM, VPC_HEADER_GONE, VPC_HEADER_UNKNOWN, VPC_BLOCK_SIZE_BAD, VPC_BAT_BAD, VPC_BAT_SHORT,
    VPC_HEADER_ODD, VPC_BLOCK_SIZE_ODD, VPC_BAT_LONG, VPC_BAT_PADDING,
    VPC_LOCATOR_ODD, VPC_PARENT_MISSING, VPC_PARENT_OTHER, VPC_PARENT_CYCLE, VPC_PARENT_UNSEEN,
    VPC_PARENT_TIME, VPC_PARENT_SIZE,
    VPC_BLOCK_CROWD, VPC_BLOCK_OUTSIDE, VPC_BLOCK_CUT, VPC_BLOCK_ON_NAMES, VPC_BLOCK_OVERLAP, VPC_BLOCK_TWICE,
    VPC_BLOCK_ON_TABLES, VPC_BLOCK_BEYOND, VPC_BLOCK_SHORT, VPC_BLOCK_UNALIGNED,
    VPC_LOCATOR_BAD, VPC_LOCATOR_IDLE,
    VPC_BATMAP_LOST, VPC_BATMAP_LONG, VPC_BATMAP_CHECKSUM, VPC_BATMAP_WRONG, VPC_BATMAP_NONE,
    VPC_DATA_UNDER_CLEAR, VPC_DATA_PAST_END, VPC_BLOCK_CLEAR, VPC_BITS_PAST_END, VPC_BLOCK_ZERO,
    VPC_ROOM_EMPTY, VPC_ROOM_USED, VPC_GAP,
    VPC_MARKED,
    VPC_KINDS
} VpcKind;

/* Data is read in pieces of this many bytes */
#define VPC_CHECK_PIECE (128 << 10)

typedef struct VpcCheck {
    BlockDriverState *bs;           /* its VpcState has what was made out of footer and header */
    BlockCheckBuilder *found;       /* NULL: nobody checks */
    BlockCheck *sums;

    VpcEnds ends;
    int64_t new_tail;               /* where the footer at the end is, or should be */
    bool tail_inside;               /* there is none, and need not be: as VpcState has it */
    bool bad_head;                  /* VPC_BAD_CHECKSUM is that of the copy at the start */
    int64_t disk_size;              /* the largest that somebody takes it to have */
    int64_t needed;                 /* blocks of that */
    bool header_checksum_bad;
    bool orderly;                   /* each block is where one may be */
    bool cancelled;                 /* bdrv_go_on() said so: there may be more that is wrong */
    bool lost;                      /* BAT entries were found to be wrong, and their blocks may be elsewhere */

    VpcKeys blocks;                 /* those that can be read, by place */
    VpcKeys others;                 /* those that can't, as far as they take space in the file */
    VpcKeys keys[VPC_KINDS];        /* those that repair() has to move or look at again */
    int64_t end;                    /* of all that is in use, */
    bool room_empty, room_used;     /* is there room for a block between that and the footer, without or with data? */

    VpcBatmap batmap;
    int64_t batmap_at;              /* -1: there is none that could be used */
    int64_t map_at, map_bytes;
    uint8_t *map;                   /* without bits that are wrong */
    VpcHeader mended;               /* the header with locators that fit */
} VpcCheck;

/* bdrv_check_found(); where nobody checks, a warning if it is severe */
#define vpc_found(c, kind, offset, block, ...) \
    ((c)->found ? bdrv_check_found((c)->found, kind, offset, block, __VA_ARGS__) \
     : vpc_is_severe(kind) ? bdrv_warn((c)->bs, vpc_check_code(kind), __VA_ARGS__) : (void)0)
/* Return whether this kind of finding keeps the image from being read as it should. @kind -1: something could not be
 * read */
bool vpc_is_severe(int kind);
const char *vpc_check_code(int kind);

/* Replace s->check, and reset all of VpcState that was read from disk. @sums and @found are NULL when salvage calls */
VpcCheck *vpc_check_new(BlockDriverState *bs, BlockCheck *sums, BlockCheckBuilder *found);
void vpc_check_free(VpcCheck *check);           /* NULL is allowed */

/* Return how many sectors of the disk are in @block */
int64_t vpc_sectors_in(const VpcCheck *c, int64_t block);

/* Count so many more of a kind, of which one was described */
void vpc_found_more(VpcCheck *c, VpcKind kind, int64_t count);

/* Add @key to @list, which may be one of c->keys[], for repair(). A key that there is no memory for is a finding */
void vpc_check_key(VpcCheck *c, VpcKeys *list, uint64_t key);
/* Read from the file. False, and a finding, if that fails. @what: the name of the bytes, for the text */
bool vpc_check_read(VpcCheck *c, int64_t offset, void *buf, int64_t bytes, const char *what);

#endif
