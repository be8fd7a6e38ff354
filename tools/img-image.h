/* img-image.h - an image that the command line names: opened, closed, and what it says of itself */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_IMAGE_H
#define MINIBLK_TOOLS_IMG_IMAGE_H

#include <miniblk/block.h>

/* An image named on the command line */
typedef struct ImgImage {
    const char *filename;
    const char *format;         /* NULL: probe */
    bool image_opts;            /* @filename is an options string */
    const char *options;        /* more of them; NULL: none */
    bool named;                 /* @options name the file, and the driver: @filename is for people */
    unsigned flags;             /* BDRV_O_… */
    BlockDriverState *bs;       /* NULL: not open */
    unsigned warnings;          /* how many were printed */
} ImgImage;

/* An option about the image; others are ignored */
void img_take_option(ImgImage *image, int c);
/* False after a message */
bool img_open(ImgImage *image);
/* The same, with its warnings left for img_close(). @errp: after the message, why, as the library says it */
bool img_open_silently(ImgImage *image, GError **errp);
/* Print what warnings came since, and close. 0 or -errno */
int img_close(ImgImage *image);
/* The same, of an image that was written to. False if not @ok, or after a message if what was written is not on disk */
bool img_close_written(ImgImage *image, bool ok);

/* Always false, after a message: @image has no snapshot to be read in its place */
bool img_refuse_snapshot(const ImgImage *image);
/* Warn if the disk is shorter than its footer says, since its geometry counts: a copy has not all of it. By QEMU's name
 * nothing is said */
void img_warn_of_rest(const ImgImage *image);
/* What the driver's info has by this key; NULL: nothing. g_free() it */
char *img_get_text(BlockDriverState *bs, const char *key);

#endif
