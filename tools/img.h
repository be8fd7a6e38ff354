/* img.h - what the subcommands of miniblk-img share */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_H
#define MINIBLK_TOOLS_IMG_H

#include <getopt.h>
#include "tools/common.h"
#include "tools/img-progress.h"
#include "util/keyval.h"

/* A subcommand: argv[0] is its name. Returns the exit status; messages are printed. */
int img_amend(int argc, char **argv);
int img_bench(int argc, char **argv);
int img_bitmap(int argc, char **argv);
int img_check(int argc, char **argv);
int img_commit(int argc, char **argv);
int img_compare(int argc, char **argv);
int img_convert(int argc, char **argv);
int img_create(int argc, char **argv);
int img_dd(int argc, char **argv);
int img_info(int argc, char **argv);
int img_map(int argc, char **argv);
int img_measure(int argc, char **argv);
int img_rebase(int argc, char **argv);
int img_resize(int argc, char **argv);
int img_snapshot(int argc, char **argv);

/* Long options that have no letter */
enum { IMG_OPT_IMAGE_OPTS = 256, IMG_OPT_TARGET_IMAGE_OPTS, IMG_OPT_TARGET_IS_ZERO, IMG_OPT_OUTPUT,
       IMG_OPT_BACKING_CHAIN, IMG_OPT_OBJECT, IMG_OPT_SALVAGE, IMG_OPT_BITMAPS, IMG_OPT_SKIP_BROKEN_BITMAPS,
       IMG_OPT_FLUSH_INTERVAL, IMG_OPT_NO_DRAIN, IMG_OPT_PATTERN, IMG_OPT_SIZE,
       IMG_OPT_LAST };            /* the first that a subcommand may use for itself */

#define IMG_HELP_OPTION { "help", 0, NULL, 'h' }
#define IMG_COMMON_OPTIONS IMG_HELP_OPTION, { "object", 1, NULL, IMG_OPT_OBJECT }
/* What img_take_option() takes, beside -f and -U */
#define IMG_IMAGE_OPTIONS { "format", 1, NULL, 'f' }, { "force-share", 0, NULL, 'U' }, \
                          { "image-opts", 0, NULL, IMG_OPT_IMAGE_OPTS }

/* getopt_long(), where @letters begins with ':'. Help and usage errors end the program. */
int img_getopt(int argc, char **argv, const char *letters, const struct option *options);

/* The message, a hint at --help, and exit(1) */
void img_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* False after a message about @what if @text is no size, or not from @min to @max; for the second, not from 0 on */
bool img_parse_range(const char *what, const char *text, int64_t min, int64_t max, int64_t *bytes);
bool img_parse_size(const char *what, const char *text, int64_t *bytes);
/* That a size is none, in the words that QEMU has for options; @where stands before them */
void img_refuse_size(const char *where);
/* A number as C writes it; false if it is none, or not from @min to @max */
bool img_parse_count(const char *text, long min, long max, long *count);

/* --output: false after a message if @text is neither "human" nor "json" */
bool img_parse_output(const char *text, bool *json);

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

/* A message, and false, if @cache, @what's, is none of QEMU's cache modes. @what: "" or "source " */
bool img_parse_cache(const char *what, const char *cache, unsigned *flags);

/* -l: "snapshot.id=ID,snapshot.name=NAME" or anything else. False after a message */
bool img_check_snapshot(const char *text);
/* Always false, after a message: @image has no snapshot to be read in its place */
bool img_refuse_snapshot(const ImgImage *image);

/* Is the file that @filename names, a path or not, or one that @options name, a file of @bs, or of one of its parents?
 * After a message, then */
bool img_is_input(BlockDriverState *bs, const char *filename, const KeyVal *options);
/* What the driver's info has by this key; NULL: nothing. g_free() it */
char *img_get_text(BlockDriverState *bs, const char *key);
/* Return the path of an image in the folder of @bs that has it for its parent, and is no file of @except, a child, or its
 * parents. NULL: there is none, or the folder can't be listed, which is warned of by @name, as are images that can't be
 * opened. g_free() it */
char *img_find_child(BlockDriverState *bs, const char *name, BlockDriverState *except);
/* Is the file at @path one of @bs, or of one of its parents? */
bool img_is_file_of(BlockDriverState *bs, const char *path);
/* Is it one, and no link to one? A device and an export have bytes from before */
bool img_is_regular_file(const char *filename);
/* Warn if the disk is shorter than its footer says, since its geometry counts: a copy has not all of it. By QEMU's name
 * nothing is said */
void img_warn_of_rest(const ImgImage *image);
/* Do these paths lead to the same file? */
bool img_is_same_file(const char *a, const char *b);
/* @path as from the folder of @image, itself a path; g_free() it */
char *img_path_from(const char *image, const char *path);

/* -o: add to @options what @text says. False after a message */
bool img_add_create_options(KeyVal *options, const char *text);
/* A driver that can create, by name; NULL after a message, which begins with @where */
const BlockDriver *img_find_creator(const char *format, const char *where);
/* Has the driver a create option @name? */
bool img_has_create_option(const BlockDriver *drv, const char *name);
/* False after such a message if @drv does not know all of @options */
bool img_check_create_options(const KeyVal *options, const BlockDriver *drv, const char *where);
/* -b or -B, and -F, into the @options of a new image; each may be NULL. False after such a message if @drv has no
 * parents, or if the parent is the file @filename that is to be made */
bool img_set_backing(KeyVal *options, const BlockDriver *drv, const char *backing, const char *format,
                     const char *filename, const char *where);
/* For bdrv_create(): @options, and what they say by default; g_free() it */
char *img_creation_options(KeyVal *options, const BlockDriver *drv);
/* How to name the format of @parent, as from @image's folder, as the end of a message: it is no VHD, and @format is NULL.
 * "" in all other cases */
const char *img_advice_on_parent(const char *image, const char *parent, const char *format);
/* Make the image. False after a message, in which the reason stands behind @doing */
bool img_create_image(const char *filename, const BlockDriver *drv, KeyVal *options, const char *doing);
/* True, after printing them, if @options ask for the options that there are */
bool img_create_help(const KeyVal *options, const BlockDriver *drv);

#endif
