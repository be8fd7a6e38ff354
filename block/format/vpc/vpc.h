/* vpc.h - what the files of the VHD driver share */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_H
#define BLOCK_VPC_H

#include <glib.h>
#include <miniblk/driver.h>
#include "block/format/vpc/backing.h"
#include "block/format/vpc/bat.h"
#include "block/format/vpc/batmap.h"
#include "block/format/vpc/bitmap.h"
#include "block/format/vpc/ends.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/locator.h"
#include "block/format/vpc/metadata.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/tail.h"

/* vpc/open.c */
extern const BlockOption vpc_open_options[];
int vpc_probe(const BlockProbe *probe);
char *vpc_suspect(const BlockProbe *probe);
bool vpc_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp);
/* From bs->file; @what it is that could not be read */
bool vpc_read(BlockDriverState *bs, int64_t offset, void *buf, int64_t bytes, const char *what, GError **errp);

/* vpc/survey.c */
/* Read all of the BAT: where new blocks may go, and which blocks may not be written to */
bool vpc_survey(BlockDriverState *bs, GError **errp);
/* Warn of blocks that share their places with others, and list them in s->overlapping; for images that are only read, which
 * are not surveyed when they are opened */
void vpc_look_for_shared(BlockDriverState *bs);
/* Is @block in s->overlapping? */
bool vpc_is_shared(const VpcState *s, int64_t block);
/* Why the block at @place can't be used; NULL if it can. Metadata that the image can do without is no reason */
const char *vpc_misplaced(const VpcState *s, int64_t block, int64_t place, int64_t disk_size);
/* May it be read, or, @write, written to? -EIO and a warning if not */
int vpc_check_block(BlockDriverState *bs, int64_t block, int64_t place, bool write);

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
bool vpc_check(BlockDriverState *bs, BlockCheck *check, BlockCheckBuilder *found, GError **errp);

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

#endif
