/* vpc.h - what the files of the VHD driver share */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_H
#define BLOCK_VPC_H

#include <glib.h>
#include <miniblk/driver.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/bitmap.h"
#include "block/format/vpc/ends.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"

/* vpc/room.c */
/* Something else than a new block was, or may have been, written into the room below @end */
void vpc_spoil_room(VpcState *s, int64_t end);
/* Choose the *@place of a new block, in front of the footer. Its data reads as zeroes, and its bitmap is there: full
 * in a dynamic disk, zero in a differencing one. Until vpc_keep_place() the next call chooses the same place again */
int vpc_take_place(BlockDriverState *bs, int64_t *place);
/* May the BAT entry of a block at @place, which was taken last, be on disk before the data? */
bool vpc_was_ready(const VpcState *s, int64_t place);
/* The block at @place, which was taken last, is part of the disk */
void vpc_keep_place(VpcState *s, int64_t place);
/* A footer at @tail, on stable storage, so that all before it may be overwritten */
int vpc_move_tail(BlockDriverState *bs, int64_t tail);
/* The footer to the end of the file, and to the start if s->head_bad */
int vpc_settle(BlockDriverState *bs);
/* @footer, which is sealed here, is that of the image from now on. If it fails, the next write or flush puts the old
 * one back */
int vpc_change_footer(BlockDriverState *bs, const VpcFooter *footer);
/* The footer to s->end, if it is further out, and the file is cut behind it. If this fails, the file is valid and too
 * long */
int vpc_trim(BlockDriverState *bs);
/* All behind @end, where blocks ended before, is room again: what was written there counts for nothing. It stays
 * where it is as long as a footer on disk may refer to it */
void vpc_give_back(BlockDriverState *bs, int64_t end);

/* vpc.c */
int vpc_flush(BlockDriverState *bs);

/* vpc/open.c */
extern const BlockOption vpc_open_options[];
int vpc_probe(const BlockProbe *probe);
char *vpc_suspect(const BlockProbe *probe);
bool vpc_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp);
/* From bs->file; @what it is that could not be read */
bool vpc_read(BlockDriverState *bs, int64_t offset, void *buf, int64_t bytes, const char *what, GError **errp);
/* Is the disk of @bs, if that is a VHD, shorter than its footer says, as its geometry counts? */
bool vpc_names_more(BlockDriverState *bs);

/* vpc/survey.c */
/* Fill s->metadata. False if the BAT lies on another part of it */
bool vpc_claim_metadata(BlockDriverState *bs, int64_t file_size, GError **errp);
/* Read all of the BAT: where new blocks may go, and which blocks may not be written to */
bool vpc_survey(BlockDriverState *bs, GError **errp);
/* Warn of blocks that share their places with others, and list them in s->overlapping; for images that are only read, which
 * are not surveyed when they are opened */
void vpc_look_for_shared(BlockDriverState *bs);
/* Is @block in s->overlapping? */
bool vpc_is_shared(const VpcState *s, int64_t block);
/* The metadata of this @use in [@start, @end), and with @room also what it only claims; NULL: none */
const VpcRange *vpc_metadata_in(const VpcState *s, VpcUse use, bool room, int64_t start, int64_t end);
/* Why the block at @place can't be used; NULL if it can. Metadata that the image can do without is no reason */
const char *vpc_misplaced(const VpcState *s, int64_t block, int64_t place, int64_t disk_size);
/* May it be read, or, @write, written to? -EIO and a warning if not */
int vpc_check_block(BlockDriverState *bs, int64_t block, int64_t place, bool write);

/* vpc/backing.c */
bool vpc_open_backing(BlockDriverState *bs, GError **errp);
BlockDriverState *vpc_open_parent(BlockDriverState *bs, const char *filename, GError **errp);
/* When the file of @bs was changed, as a VHD counts seconds. False: not known */
bool vpc_when_changed(BlockDriverState *bs, int64_t *seconds);

/* vpc/rebase.c */
bool vpc_change_backing(BlockDriverState *bs, BlockDriverState *parent, GError **errp);

/* vpc/size.c */
/* A family of programs that an image may be made for, and what they want of it; see docs/VHD.md */
typedef struct VpcReader {
    const char *name;           /* NULL: anybody */
    int64_t unit;               /* sizes are rounded up to a multiple of it; 0: until C x H x S says the same */
    int64_t max_size;           /* of a fixed disk; of others it is no more than VPC_MAX_SIZE */
    uint32_t creator_version;
    char creator[4];
    char creator_os[4];
    bool fixed;                 /* that is what it wants if nobody asks for something else */
    bool batmap;
} VpcReader;
extern const char *const vpc_reader_names[];
/* Return row @reader of the table, an index into vpc_reader_names. -1: the row for anybody or, without @force_size,
 * QEMU's */
const VpcReader *vpc_reader(int reader, bool force_size);
/* Return the reader by whose rules an image with this footer is resized to @size if no option names a reader */
const VpcReader *vpc_reader_of(const VpcFooter *footer, int64_t size);
/* Round @wanted up to *@size, which @reader can see. False: no disk of this type can be that large for it */
bool vpc_choose_size(BlockDriverState *bs, const VpcReader *reader, bool fixed, int64_t wanted, int64_t *size,
                     GError **errp);
/* Warn if @reader does not take such a disk */
void vpc_warn_of_reader(BlockDriverState *bs, const VpcReader *reader, bool fixed, int64_t size);
/* Say why Azure does not take such a disk, see docs/VHD.md, "Azure". NULL: it does */
const char *vpc_not_for_azure(bool fixed, int64_t size);
/* Set the creator's fields of a footer */
void vpc_set_reader(VpcFooter *f, const VpcReader *reader);
/* Set original_size, current_size and geometry of a new footer, or change those of one that has them:
 * vpc_change_size() keeps heads and sectors that are not the algorithm's */
void vpc_set_size(VpcFooter *f, int64_t size);
void vpc_change_size(VpcFooter *f, int64_t size);
/* Set the geometry of a footer that has its sizes from "cylinders/heads/sectors" */
bool vpc_set_geometry(VpcFooter *f, const char *text, GError **errp);
/* Set the largest geometry, whatever the size: for readers of this creator it is not the size */
void vpc_set_max_geometry(VpcFooter *f);
/* Round @size up to one that a geometry can say; above the largest of them, to a sector */
int64_t vpc_round_to_geometry(int64_t size);
/* Check that the sector numbers of a full disk fit into BAT entries, and the BAT into VPC_MAX_BAT bytes */
bool vpc_check_numbers(int64_t size, int64_t block_size, GError **errp);

/* vpc/resize.c */
typedef struct VpcResizeOptions {
    int reader;                 /* -1: by who made the image */
    int force_size;             /* off, on; -1: on, but for those whose readers go by the geometry */
} VpcResizeOptions;
extern const BlockOption vpc_resize_options[];
bool vpc_truncate(BlockDriverState *bs, int64_t size, GError **errp);
bool vpc_resize(BlockDriverState *bs, int64_t size, const void *opts, GError **errp);
bool vpc_preallocate(BlockDriverState *bs, int64_t offset, int64_t bytes, bool full, GError **errp);

/* vpc/relocate.c */
/* The sizes of @footer, and a BAT of @entries. The first @kept are those of the BAT that there is; blocks that others
 * name are free then. Nothing is dirty, and bs->size is the caller's to change. False: nothing has changed, unless
 * s->unsettled */
bool vpc_move_tables(BlockDriverState *bs, const VpcFooter *footer, int64_t entries, int64_t kept, GError **errp);
/* Where the tables are, after they have moved. 0 or -errno */
int vpc_claim_anew(BlockDriverState *bs);
/* No room is left behind the last block, also none that is not ours, and the file is cut there. 0 or -errno */
int vpc_cut_room(BlockDriverState *bs);

/* vpc/gaps.c */
/* Blocks into places further down that are free, as far as there are such. 0 or -errno */
int vpc_fill_gaps(BlockDriverState *bs);

/* vpc/create.c */
typedef struct VpcCreateOptions {
    int64_t size;               /* -1: the parent's */
    int subformat;              /* index into vpc_subformats; -1: what the reader wants */
    int64_t block_size;         /* -1: the parent's, or 2 MiB */
    int force_size;             /* off, on; -1: on, and nobody said so */
    int reader;                 /* -1: any */
    char *creator, *uuid;       /* NULL: by the reader; random */
    char *parent, *parent_driver;   /* of a differencing disk; NULL: none; vpc */
    int64_t timestamp;          /* Unix time; -1: now */
    char *geometry;             /* NULL: the parent's, or by the specification's algorithm */
} VpcCreateOptions;
extern const BlockOption vpc_create_options[];
bool vpc_create(BlockDriverState *bs, const void *opts, GError **errp);

/* vpc/amend.c */
typedef struct VpcAmendOptions {
    char *uuid, *creator, *geometry;    /* NULL, -1: as it is */
    int64_t timestamp;
    int saved_state;
} VpcAmendOptions;
extern const BlockOption vpc_amend_options[];
bool vpc_amend(BlockDriverState *bs, const void *opts, GError **errp);

/* vpc/info.c */
bool vpc_info(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp);

/* vpc/check.c */
extern const BlockCheckKind vpc_check_kinds[];
bool vpc_check(BlockDriverState *bs, BlockCheck *check, BlockCheckBuilder *found, GError **errp);
void vpc_check_free(struct VpcCheck *check);    /* NULL is allowed */

/* vpc/salvage.c */
bool vpc_salvage(BlockDriverState *bs, GError **errp);
/* What is left of a block that can't be read, at @place; -1: nobody knows where. Where it is not there, there may be
 * more behind it that is not there either */
void vpc_salvage_block(BlockDriverState *bs, int64_t offset, int64_t place, BlockExtent *ext);
/* Are sectors [@first, @last) of @block, at @place in a dynamic disk, read as they are in the file though their bits are clear?
 * Warns if so. Not where the block shares its place with another, as the bytes may be that one's */
bool vpc_salvage_hidden(BlockDriverState *bs, int64_t block, int64_t place, int64_t first, int64_t last);

/* vpc/repair.c */
int vpc_repair(BlockDriverState *bs, int kind);

/* Warnings of one kind of trouble that an open image gives at most */
#define VPC_MOST_TOLD 8

/* Bytes of a parent locator that are read: what Windows 10 keeps free for one */
#define VPC_MAX_LOCATOR 65536

#endif
