/* img-image.h - opens and closes an image that the command line names */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_IMAGE_H
#define MINIBLK_TOOLS_IMG_IMAGE_H

#include <miniblk/block.h>

/* An image of the command line */
typedef struct ImgImage {
    const char *filename;
    const char *format;         /* NULL: probe */
    bool image_opts;            /* @filename is an options string */
    const char *options;        /* more options; NULL: none */
    bool named;                 /* @options have the file and the driver; @filename is only printed */
    unsigned flags;             /* BDRV_O_… */
    BlockDriverState *bs;       /* NULL: not open */
    unsigned warnings;          /* how many warnings were printed */
} ImgImage;

/* Take option @c if it belongs to the image; ignore others */
void img_take_option(ImgImage *image, int c);
/* Open the image, and print its warnings. False after a message */
bool img_open(ImgImage *image);
/* Open the image, and leave its warnings to img_close(). False after a message; @errp: the library's error */
bool img_open_silently(ImgImage *image, GError **errp);
/* Print the warnings that are not printed yet, and close the image. 0 or -errno */
int img_close(ImgImage *image);
/* Close an image that was written. False if not @ok, or, after a message, if written bytes may not be on the disk */
bool img_close_written(ImgImage *image, bool ok);

/* Print that @image has no snapshots. Always false */
bool img_refuse_snapshot(const ImgImage *image);
/* Warn if the disk is shorter than the size in its footer, because its geometry counts: a copy is not complete. Prints
 * nothing under QEMU's name */
void img_warn_of_rest(const ImgImage *image);
/* Return the text of the item @key in the info of the driver; NULL: there is none. g_free() it */
char *img_get_text(BlockDriverState *bs, const char *key);

#endif
