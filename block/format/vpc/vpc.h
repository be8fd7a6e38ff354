/* vpc.h - VHD: the callbacks of the driver that are not in vpc.c itself, and their options */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_H
#define BLOCK_VPC_H

#include <glib.h>
#include <miniblk/driver.h>

/* vpc/open.c */
extern const BlockOption vpc_open_options[];
int vpc_probe(const BlockProbe *probe);
char *vpc_suspect(const BlockProbe *probe);
bool vpc_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp);
/* Read the footer, the header and the BAT into a state that has only its options, as bs->flags ask for */
bool vpc_open_image(BlockDriverState *bs, GError **errp);

/* vpc/reopen.c */
bool vpc_reopen(BlockDriverState *bs, GError **errp);
void vpc_reopen_done(BlockDriverState *bs, bool ok);

/* vpc/rebase.c */
bool vpc_change_backing(BlockDriverState *bs, BlockDriverState *parent, GError **errp);

/* vpc/resize.c */
typedef struct VpcResizeOptions {
    int reader;                 /* -1: by the creator of the image */
    int force_size;             /* off, on; -1: on, but for those whose readers go by the geometry */
} VpcResizeOptions;
extern const BlockOption vpc_resize_options[];
bool vpc_truncate(BlockDriverState *bs, int64_t size, GError **errp);
bool vpc_resize(BlockDriverState *bs, int64_t size, const void *opts, GError **errp);
bool vpc_preallocate(BlockDriverState *bs, int64_t offset, int64_t bytes, bool full, GError **errp);

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
    bool unfinished;            /* VPC_MARK_UNFINISHED */
} VpcCreateOptions;
extern const BlockOption vpc_create_options[];
bool vpc_create(BlockDriverState *bs, const void *opts, GError **errp);

/* vpc/amend.c */
typedef struct VpcAmendOptions {
    char *uuid, *creator, *geometry;    /* NULL, -1: as it is */
    int64_t timestamp;
    int saved_state, unfinished;
} VpcAmendOptions;
extern const BlockOption vpc_amend_options[];
bool vpc_amend(BlockDriverState *bs, const void *opts, GError **errp);

/* vpc/info.c */
bool vpc_info(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp);
bool vpc_get_geometry(BlockDriverState *bs, BlockGeometry *geometry);

/* vpc/check.c */
bool vpc_check(BlockDriverState *bs, BlockCheck *check, BlockCheckBuilder *found, GError **errp);

/* vpc/repair.c */
int vpc_repair(BlockDriverState *bs, int kind);

#endif
