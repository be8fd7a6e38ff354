/* state.h - VHD: what the driver keeps of an open image */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_STATE_H
#define BLOCK_VPC_STATE_H

#include <glib.h>
#include <miniblk/driver.h>
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

/* Where the footer that counts was found */
typedef enum { VPC_AT_TAIL, VPC_AT_TAIL_511, VPC_AT_HEAD } VpcFound;

/* The room between the last block's end and the footer at the end of the file, see vpc/tail.c */
typedef struct VpcRoom {
    int64_t zero_from;          /* below this the room may hold anything, from here on it is zero; INT64_MAX: nobody knows */
    int64_t next, ready;        /* where the next block goes, if the places from there to here are ready. 0: none is */
    int64_t taken;              /* the place that was handed out last, if it was ready; else -1 */
} VpcRoom;

typedef struct VpcState {
    VpcFooter footer;           /* the one that counts, as it is on disk */
    VpcFound found;
    bool fixed, differencing;
    bool loops;                 /* when its parent was looked for, an image was found that leads here */
    VpcOptions options;         /* the strings are the state's own */
    int64_t limit;              /* guest data ends at or before this: at the footer, or the end of the file */

    /* dynamic and differencing */
    VpcHeader header;           /* as it is on disk */
    int64_t bat_offset, bat_bytes;      /* bytes: without padding */
    int64_t block_size, bitmap_bytes;
    VpcRange metadata[13];      /* where no new block may be: footer, header, BAT, locators, batmap */
    unsigned metadata_count;
    int64_t promised;           /* metadata is said to begin here, and is not inside the file; INT64_MAX: none */

    VpcKeys overlapping;        /* numbers of blocks that share a place with another, sorted. Open for reading: since the first
                                 * block was read */

    /* dynamic and differencing, and open for writing */
    int64_t tail;               /* where the footer at the end of the file is, */
    int64_t end;                /* and the last block's end: between them is room reserved for new blocks */
    int64_t lowest;             /* where the first block is */
    bool in_place;              /* the file has a fixed length, and ends in no footer: what is behind the last block is free */
    int64_t ceiling;            /* a BAT entry or a locator points here, past the end of the file: never grow so far */
    VpcRoom room;
    bool head_bad;              /* the copy at the start is to be written, */
    bool unsettled;             /* and the footer at the end, before anything else */
    int64_t allocated;          /* blocks */
    bool unsound;               /* there are such, or blocks or metadata where none can be */

    /* under the map lock */
    bool surveyed;              /* read only: vpc_look_for_shared() was called */
    bool was_written;           /* atomic: map() was asked for a place to write to. Data may be on its way, its bit not yet set */
    int64_t hidden_block;       /* atomic: number of the block that was warned of last, plus 1 */
    int hidden_told;            /* atomic: warnings of data in sectors that read as zeroes, up to VPC_MOST_TOLD */
    uint8_t spare[VPC_SECTOR];  /* a sector of a table that can't be read as a whole, */
    int64_t spare_at;           /* and where it is in the file; 0: there is none */
    GHashTable *broken;         /* such tables, by the sectors where they begin, as pointers; NULL: none */

    struct VpcCheck *check;     /* what the last vpc_check() found; NULL: there was none */
} VpcState;

#endif
