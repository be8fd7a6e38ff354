/* state.h - VHD: what the driver keeps of an open image */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_STATE_H
#define BLOCK_VPC_STATE_H

#include <glib.h>
#include <miniblk/driver.h>
#include "block/format/vpc/ends.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/on-disk.h"

/* Warnings of one kind of trouble that an open image gives at most */
#define VPC_MOST_TOLD 8

/* What metadata is to the image. It can do without all but the first, which never outweighs a block */
typedef enum {
    VPC_VITAL,                  /* the copy of the footer, the header, the BAT */
    VPC_NAMES,                  /* a parent locator, or the header of a batmap */
    VPC_MAP,                    /* the bits of a batmap */
} VpcUse;

typedef struct VpcRange {
    int64_t start, end;
    int64_t used;               /* behind this, up to end, is nothing but room that a length claims */
    VpcUse use;
    int slot;                   /* of a locator in the header; -1: it is none */
} VpcRange;

typedef struct VpcOptions {
    int size_rule;
    char *parent, *search, *root, *drives;      /* NULL: not given */
    bool ignore_id;
    int64_t max_depth;
    bool unfinished, salvage;
    int64_t salvage_size;                       /* -1: not given */
} VpcOptions;

/* The room between the last block's end and the footer at the end of the file, see vpc/tail.c */
typedef struct VpcRoom {
    int64_t zero_from;          /* from here on the room is zero, below it may hold anything. INT64_MAX: not known */
    int64_t next, ready;        /* where the next block goes, if the places from there to here are ready. 0: none is */
    int64_t taken;              /* the place that was handed out last, if it was ready; else -1 */
} VpcRoom;

/* The file of a dynamic or differencing disk that is open for writing, and the positions in it:
 *
 *   0        header  bat_offset           first_block                      blocks_end         room ahead       tail_at
 *   | footer | header | BAT | locators | ... | block | block | ... | block | next place | zeroes, bitmaps | footer |
 *                                                                                       read_limit
 *
 *   read_limit      A block that ends above it is not in the file, and can't be read. It is where the footer was when
 *                   the image was opened, or the end of the file without one; vpc_keep_place() moves it to the end of
 *                   each new block, so that reading and the next position agree.
 *   first_block     the place of the lowest block. INT64_MAX: there is none
 *   blocks_end      the end of the highest block and of all tables: the next block goes above it
 *   tail_at         where the last footer is. [blocks_end, tail_at) is the room that vpc/tail.c has reserved
 *   lost_metadata   A locator or batmap is said to begin here, above the end of the file, and so is not there.
 *                   INT64_MAX: nothing is said to begin there
 *   grow_limit      The file never grows past this: a BAT entry or lost_metadata points here, and would get bytes that
 *                   are another's. INT64_MAX: nothing does
 *
 * first_block <= blocks_end <= tail_at, and tail_at <= grow_limit if the file grows. A fixed disk has no blocks: its
 * read_limit, blocks_end and tail_at are where its footer is.
 *
 * Which of them may be trusted:
 *
 *   not fixed, read only         read_limit, lost_metadata. The others are zero
 *   not fixed, for writing       all
 *   fixed                        read_limit; and tail_at, blocks_end for writing
 *   BDRV_O_CHECK, salvage=on     read_limit; and tail_at after a check, for its repairs
 *
 * The footers on disk, and what is to be done about them. vpc_rewrite_footers() is what clears a flag:
 *
 *   rewrite_footers rewrite_head
 *   false           either       The footer at tail_at is durable and is s->footer. Anything may be written below it
 *   true            false        The one at tail_at is missing, has 511 bytes, or is not known to be there. It is
 *                                written before anything else. Set by open(), and where a footer further out could
 *                                neither be finished nor cut off (vpc/tail.c)
 *   true            true         The copy at the start is written, too: it was bad, or differed, when the image was
 *                                opened, or vpc_change_footer() failed between the two
 *
 * rewrite_head stays once it was set: the copy then is the same, and is written again at no harm. A fixed disk has no
 * copy. tail_inside is set by open() alone, where the file can't grow and the footer at the start is the one that
 * counts (VPC_AT_HEAD): the footer at tail_at has the rest of the medium behind it, and nothing is ever cut off.
 * damaged is set
 * while the BAT is surveyed or the tables are claimed; a resize is refused then. */
typedef struct VpcState {
    VpcFooter footer;           /* the one that counts, as it is on disk */
    VpcFound found;
    bool fixed, differencing;   /* both false: dynamic */
    bool parent_loops;          /* while the parent was looked for, an image was found that leads here */
    VpcOptions options;         /* the strings are the state's own */
    int64_t read_limit;

    /* dynamic and differencing */
    VpcHeader header;           /* as it is on disk */
    int64_t bat_offset;
    int64_t bat_bytes;          /* without padding */
    int64_t block_size;
    int64_t bitmap_bytes;       /* of one block: whole sectors */
    VpcRange metadata[13];      /* where no new block may be: footer, header, BAT, locators, batmap */
    unsigned metadata_count;
    int64_t lost_metadata;

    VpcKeys overlapping;        /* numbers of blocks that share a place with another, sorted. Open for reading: filled
                                 * when the first block is read */

    /* dynamic and differencing, and open for writing */
    int64_t tail_at, blocks_end;
    int64_t first_block;
    int64_t grow_limit;
    VpcRoom room;
    bool tail_inside;
    bool rewrite_head;
    bool rewrite_footers;
    bool damaged;               /* there are overlapping blocks, or blocks or metadata where none can be */
    int64_t allocated;          /* blocks that are there */

    /* under the map lock */
    bool surveyed;              /* read only: vpc_look_for_shared() was called */
    bool was_written;           /* atomic: map() was asked for a place to write to. Data may be on its way while its bit
                                 * is clear */
    int64_t hidden_block;       /* atomic: number of the block that was warned of last, plus 1 */
    int hidden_told;            /* atomic: warnings of data in sectors that read as zeroes, up to VPC_MOST_TOLD */
    uint8_t spare[VPC_SECTOR];  /* a sector of a table that can't be read as a whole */
    int64_t spare_at;           /* where spare is in the file; 0: it has nothing */
    GHashTable *broken;         /* tables that can't be read as a whole, by the sectors where they begin, as pointers;
                                 * NULL: there is none */

    struct VpcCheck *check;     /* what the last vpc_check() found; NULL: there was none */
    struct VpcState *before;    /* from vpc_reopen() to vpc_reopen_done(): the state to go back to */
} VpcState;

#endif
