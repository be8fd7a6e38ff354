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

/* Take option @c if it is about the image; ignore others */
void img_take_option(ImgImage *image, int c);
/* Open the image, and print its warnings. False after a message */
bool img_open(ImgImage *image);
/* Do the same, but leave the warnings to img_close(). @errp: the error of the library, after the message */
bool img_open_silently(ImgImage *image, GError **errp);
/* Print the warnings since the last ones, and close the image. 0 or -errno */
int img_close(ImgImage *image);
/* Do the same for an image that was written to. False if not @ok, or after a message if the bytes did not reach the
 * disk */
bool img_close_written(ImgImage *image, bool ok);

/* Print that @image has no snapshot to read. Always false */
bool img_refuse_snapshot(const ImgImage *image);
/* Warn if the disk is shorter than its footer says, because its geometry counts: a copy is not complete. By the name
 * of QEMU nothing is printed */
void img_warn_of_rest(const ImgImage *image);
/* Return the text of the item @key in the info of the driver. NULL: there is none. g_free() it */
char *img_get_text(BlockDriverState *bs, const char *key);

#endif
